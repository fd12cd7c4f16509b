"""Opens connections to one destination: name, TCP, a proxy's tunnel, TLS; and a back-off while it refuses.

While the destination is in back-off, records end at once with the outcome of the last failed connect instead of piling
up: what they would meet later is a destination that has just come back, and a burst of old traffic.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import trio

from launcher.poller import Poller
from launcher.replay.backoff import Backoff
from launcher.replay.connection import Connection
from launcher.replay.dialing import Dial
from launcher.replay.outcomes import Ended
from launcher.replay.resolver import Found, Resolver
from launcher.replay.tls import Handshake
from launcher.replay.tunnel import Tunnel

Connected = Callable[[Connection | Ended], None]


@dataclass(frozen=True, kw_only=True)
class Route:
    """How a destination is reached."""

    host: str  # to connect to: the destination, or the proxy
    port: int
    is_proxy: bool = False
    closed: str = ""  # why nothing can be sent on it, for people; empty if it can
    connect_request: bytes = b""  # what asks a proxy for a tunnel; it may hold a password
    tls: ssl.SSLContext | None = None
    tls_host: str = ""  # the destination


class Connector:
    """One destination's."""

    def __init__(self, poller: Poller, resolver: Resolver, route: Route) -> None:
        self.poller = poller
        self.resolver = resolver
        self.route = route
        self._backoff = Backoff()
        self._last_failure = Ended("refused")

    def connect(self, done: Connected) -> Attempt | None:
        """Calls `done` once, at once or later, with a connection or why there is none. It has no time-out of its own.

        None: there is nothing to cancel, because in back-off, or without a way, `done` was called at once.
        """
        if self.route.closed:
            done(Ended("refused", self.route.closed))
            return None
        if not self._backoff.may_connect(trio.current_time()):
            done(self._last_failure)
            return None
        attempt = Attempt(self, done)
        attempt.start()
        return attempt

    def ended(self, started: float, failure: Ended | None) -> None:
        """What became of an attempt."""
        if failure is None:
            self._backoff.succeeded()
        else:
            self._last_failure = failure
            self._backoff.failed(started, trio.current_time())

    def cancelled(self, started: float) -> None:
        """An attempt was given up."""
        self._backoff.timed_out(started, trio.current_time())


class Attempt:
    """One connection that is being made: each stage ends in a call that begins the next one."""

    def __init__(self, connector: Connector, done: Connected) -> None:
        self._connector = connector
        self._route = connector.route
        self._poller = connector.poller
        self._done = done
        self._started = trio.current_time()
        self._stage: Dial | Tunnel | Handshake | None = None
        self._is_over = False

    def start(self) -> None:
        """Looks the name up first."""
        self._connector.resolver.find(self._route.host, self._route.port, self._found)

    def cancel(self) -> None:
        """Gives it up; nothing is called any more."""
        if not self._is_over:
            self._is_over = True
            if self._stage is not None:
                self._stage.cancel()
            self._connector.cancelled(self._started)

    def _found(self, found: Found) -> None:
        if self._is_over:  # cancelled while a name server was silent
            return
        if isinstance(found, (OSError, UnicodeError)):
            words = (getattr(found, "strerror", None) or type(found).__name__).lower()
            whose = "the proxy's" if self._route.is_proxy else "the"
            self._end(Ended("dns", f"{whose} name was not found: {words}"))
            return
        self._stage = dial = Dial(self._poller, found, self._dialled)
        dial.start()

    def _dialled(self, dialled: socket.socket | Ended) -> None:
        if isinstance(dialled, Ended):
            self._end(Ended(dialled.outcome, f"{'the proxy: ' * self._route.is_proxy}{dialled.error}"))
        elif self._route.connect_request:
            self._stage = tunnel = Tunnel(self._poller, self._tunnelled)
            tunnel.start(dialled, self._route.connect_request)
        else:
            self._tunnelled(dialled)

    def _tunnelled(self, tunnelled: socket.socket | Ended) -> None:
        if isinstance(tunnelled, Ended) or self._route.tls is None:
            self._end(tunnelled)
            return
        self._stage = handshake = Handshake(self._poller, self._end)
        handshake.start(tunnelled, self._route.tls, self._route.tls_host)

    def _end(self, result: socket.socket | Ended) -> None:
        self._is_over = True
        self._connector.ended(self._started, result if isinstance(result, Ended) else None)
        self._done(result if isinstance(result, Ended) else Connection(self._poller, result))
