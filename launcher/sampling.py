"""Sticky sampling: a user is in or out as a whole, at every request, in every process, after every restart. Pure.

A key (a cookie's or a header's value, a client's address) has a place from 0 up to, not with, 100, by the hash that
gor's --http-header-limiter uses; a sample of PERCENT takes the places below it. So a larger sample keeps those that a
smaller one had, and for whole percents the choice is gor's: `fnv1a(value) % 100 < PERCENT`. A request without a key is
drawn by lot, where gor would let it pass: the share that is copied stays what was asked for.
"""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from launcher.fnv1a import fnv1a
from launcher.selection import SampleBy

MAX_KEY_BYTES = 1024  # of a longer value the first so many count: a hash takes 0.08 µs a byte of the relay's time

_BLANKS = b" \t"
_BUCKETS = 100
_HASHES_A_BUCKET = 2**32 // _BUCKETS + 1
_FORWARDED = b"\nx-forwarded-for:"


@dataclass(frozen=True)
class Peer:
    """Who has opened a connection."""

    address: bytes = b""  # empty if unknown
    is_proxy: bool = False  # it says in X-Forwarded-For whose requests it brings


def peer_of(address: str, *, in_dyno: bool) -> Peer:
    """Whose address it is. What comes from a dyno's router, or from an address that is not public, comes from a proxy.
    A client with a public address is believed its own address only.
    """
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return Peer(is_proxy=in_dyno)
    mapped = known.ipv4_mapped if isinstance(known, ipaddress.IPv6Address) else None  # on a listener for both families
    known = mapped or known
    return Peer(str(known).encode(), in_dyno or not known.is_global)


def place_of(key: bytes) -> float:
    """The key's place from 0 up to, not with, 100. Its whole part is gor's."""
    above, bucket = divmod(fnv1a(key[:MAX_KEY_BYTES]), _BUCKETS)
    return bucket + above / _HASHES_A_BUCKET


class Sampler:
    """Draws requests, by key if there is one. `draw` gives numbers from 0 up to, not with, 1."""

    def __init__(self, by: SampleBy | None, draw: Callable[[], float] | None = None) -> None:
        self._key = _reader(by)
        self._draw = draw or random.random

    def takes(self, head: bytes, peer: Peer, percent: float) -> bool:
        """Whether a request is in a sample of `percent`, by its head as the framer has found it."""
        key = self._key(head, peer) if self._key is not None else b""
        return (place_of(key) if key else self._draw() * 100) < percent


# ---- keys: b"" is none ---------------------------------------------------------------------------------------------

_Reader = Callable[[bytes, Peer], bytes]


def _reader(by: SampleBy | None) -> _Reader | None:
    if by is None:
        return None
    if by.kind == "client":
        return _client
    name = by.name.encode()
    return _cookie_reader(name) if by.kind == "cookie" else _header_reader(name)


def _header_reader(name: bytes) -> _Reader:
    """The first header of the name, as gor finds it."""
    start = b"\n%s:" % name.lower()

    def read(head: bytes, _peer: Peer) -> bytes:
        found = head.lower().find(start)
        return _value(head, found + len(start)) if found >= 0 else b""

    return read


def _cookie_reader(name: bytes) -> _Reader:
    """The first cookie of the name that has a value; names of cookies have a case."""
    pattern = re.compile(rb"(?:^|;)[ \t]*%s=([^;]+)" % re.escape(name))

    def read(head: bytes, _peer: Peer) -> bytes:
        lowered = head.lower()
        found = lowered.find(b"\ncookie:")
        while found >= 0:
            cookies = _value(head, found + len(b"\ncookie:"))
            if match := pattern.search(cookies):
                return match[1].strip(_BLANKS)
            found = lowered.find(b"\ncookie:", found + 1)
        return b""

    return read


def _client(head: bytes, peer: Peer) -> bytes:
    """The last address in X-Forwarded-For is the proxy's own word; those before it came from the client."""
    if peer.is_proxy:
        found = head.lower().rfind(_FORWARDED)
        forwarded = _value(head, found + len(_FORWARDED)).rpartition(b",")[2].strip(_BLANKS) if found >= 0 else b""
        if forwarded:
            return forwarded.partition(b":")[0] if forwarded.count(b":") == 1 else forwarded  # some add the port
    return peer.address


def _value(head: bytes, start: int) -> bytes:
    """What stands from there to the end of the line, without the blanks around it."""
    return head[start : head.index(b"\r", start)].strip(_BLANKS)
