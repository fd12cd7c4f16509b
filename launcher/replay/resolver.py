"""Looks names up without letting one destination's slow name server hold up another's.

trio runs every lookup in a thread, at most 40 at a time for all: a name server that hangs would use them up. Here each
name has one lookup at a time, and those who wait share its result, which is asked for again after a second.
"""

from __future__ import annotations

import socket
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import trio

FRESH_SECONDS = 1.0


class Resolver(trio.abc.HostnameResolver):
    """For `trio.socket.set_custom_hostname_resolver`."""

    def __init__(
        self, look_up: Callable[..., Any] = socket.getaddrinfo, *, fresh_seconds: float = FRESH_SECONDS
    ) -> None:
        self._look_up = look_up
        self._fresh_seconds = fresh_seconds
        self._limiters: defaultdict[Any, trio.CapacityLimiter] = defaultdict(lambda: trio.CapacityLimiter(1))
        self._found: dict[tuple[Any, ...], tuple[float, Any]] = {}

    async def getaddrinfo(
        self, host: bytes | None, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """As socket.getaddrinfo; also raises what that raises."""
        query = (host, port, family, type, proto, flags)
        return await trio.to_thread.run_sync(
            self._look_up_or_share, query, abandon_on_cancel=True, limiter=self._limiters[host]
        )

    def _look_up_or_share(self, query: tuple[Any, ...]) -> Any:
        fresh_until, addresses = self._found.get(query, (0.0, None))
        if time.monotonic() >= fresh_until:
            addresses = self._look_up(*query)
            self._found[query] = (time.monotonic() + self._fresh_seconds, addresses)
        return addresses

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        """As socket.getnameinfo."""
        return await trio.to_thread.run_sync(socket.getnameinfo, sockaddr, flags)
