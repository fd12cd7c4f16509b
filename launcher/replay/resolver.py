"""Looks names up without letting one destination's slow name server hold up another's.

Each name has one lookup at a time, in a thread of its own, and those who wait share its result. It is asked for again
when it is older than two seconds, so new connections follow a name whose addresses change. Nobody waits for a thread
that is stuck but those who need that very name, and they have their time-outs.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import trio

from launcher.poller import Poller

FRESH_SECONDS = 2.0


class Address(NamedTuple):
    """One place to connect to."""

    family: int
    sockaddr: Any


Found = Sequence[Address] | OSError | UnicodeError
Done = Callable[[Found], None]


class Resolver:
    """Every method is a plain call, inside of trio. Results come as calls from `poller`, or at once."""

    def __init__(
        self, poller: Poller, look_up: Callable[..., Any] = socket.getaddrinfo, *, fresh_seconds: float = FRESH_SECONDS
    ) -> None:
        self._poller = poller
        self._look_up = look_up
        self._fresh_seconds = fresh_seconds
        self._waiting: dict[tuple[str, int], list[Done]] = {}
        self._found: dict[tuple[str, int], tuple[float, Sequence[Address]]] = {}

    def find(self, host: str, port: int, done: Done) -> None:
        """Calls `done` with the addresses, at least one, or with what getaddrinfo raised."""
        name = (host, port)
        fresh_until, addresses = self._found.get(name, (0.0, ()))
        if trio.current_time() < fresh_until:
            done(addresses)
        elif name in self._waiting:
            self._waiting[name].append(done)
        elif (literal := _literal(host, port)) is not None:
            done([literal])
        else:
            self._waiting[name] = [done]
            self._start(name)

    def _start(self, name: tuple[str, int]) -> None:
        token = trio.lowlevel.current_trio_token()

        def look_up() -> Found:
            return _found(self._look_up(*name, type=socket.SOCK_STREAM))

        def deliver(outcome: Any) -> None:  # in the thread
            try:
                token.run_sync_soon(self._poller.call_later, 0, lambda: self._deliver(name, outcome))
            except trio.RunFinishedError:
                return  # it was stuck for longer than the replayer lived

        trio.lowlevel.start_thread_soon(look_up, deliver, name=f"lookup {name[0]}")

    def _deliver(self, name: tuple[str, int], outcome: Any) -> None:
        found: Found
        try:
            addresses = found = outcome.unwrap()
            self._found[name] = (trio.current_time() + self._fresh_seconds, addresses)
        except (OSError, UnicodeError) as error:
            found = error
        for done in self._waiting.pop(name):
            done(found)


def _literal(host: str, port: int) -> Address | None:
    """The address that `host` is, if it is no name."""
    for family, sockaddr in ((socket.AF_INET, (host, port)), (socket.AF_INET6, (host, port, 0, 0))):
        try:
            socket.inet_pton(family, host)
        except (OSError, UnicodeError, ValueError):
            continue
        return Address(family, sockaddr)
    return None


def _found(answers: Sequence[tuple[Any, ...]]) -> Sequence[Address]:
    """The addresses in getaddrinfo's order, but the second one is of another family if any is (RFC 8305 §4)."""
    addresses = list(dict.fromkeys(Address(family, sockaddr) for family, _, _, _, sockaddr in answers))
    if not addresses:
        raise socket.gaierror(socket.EAI_NONAME, "no address belongs to the name")
    for index, address in enumerate(addresses[1:], 1):
        if address.family != addresses[0].family:
            addresses.insert(1, addresses.pop(index))
            break
    return addresses
