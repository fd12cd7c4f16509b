"""Does the app accept connections yet, still, again? Asked by connecting, as the platform's own check would be.

Once it has accepted, the kernel is asked whether it still listens, where it can tell: that costs 5 µs and the app sees
nothing of it, so it can be asked every few milliseconds.
"""

from __future__ import annotations

import socket
from types import TracebackType

import trio

from launcher import addresses
from launcher.listener_lookup import ListenerLookup
from launcher.relay import AppAddress
from launcher.sockets import RESET_ON_CLOSE

_CONNECT_SECONDS = 1.0  # an app that takes longer has a full backlog: it listens, and that counts as accepting

_LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


async def accepting_address(port: int, unix_socket: str | None) -> AppAddress | None:
    """Where the app accepts: its Unix socket, else 127.0.0.1, else ::1; None while it doesn't."""
    if unix_socket is not None:
        return AppAddress(socket.AF_UNIX, unix_socket) if await _accepts(socket.AF_UNIX, unix_socket) else None
    for family, host in _LOOPBACKS:
        if await _accepts(family, (host, port)):
            try:
                return AppAddress(family, (host, port), addresses.private_address(family))
            except OSError:
                return None  # no descriptor: ask again later
    return None


async def is_taken(host: str, port: int) -> bool:
    """Whether somebody accepts where clients are to connect."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    places = _LOOPBACKS if host in ("::", "0.0.0.0") else ((family, host),)
    for place_family, place in places:
        if await _accepts(place_family, (place, port)):
            return True
    return False


async def accepts(app: AppAddress) -> bool:
    """Whether the app still accepts there."""
    return await _accepts(app.family, app.address)


class AppWatch:
    """Asks of an app that has just accepted whether it still does. It holds a descriptor while its block runs."""

    def __init__(self, app: AppAddress) -> None:
        self._app = app
        self._lookup = _lookup(app)

    def __enter__(self) -> AppWatch:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._lookup is not None:
            self._lookup.close()

    @property
    def is_unseen(self) -> bool:
        """Whether the app sees nothing of it, and it may be asked often."""
        return self._lookup is not None

    async def accepts(self) -> bool:
        """Whether the app accepts now."""
        is_listening = self.is_listening()
        return await accepts(self._app) if is_listening is None else is_listening

    def is_listening(self) -> bool | None:
        """The same in a plain call; None where the kernel can't tell."""
        if self._lookup is None:
            return None
        try:
            return self._lookup.is_listening()
        except OSError:
            self._lookup.close()
            self._lookup = None
            return None


def _lookup(app: AppAddress) -> ListenerLookup | None:
    """None where the kernel can't tell, or what it tells is not what a connection meets (an address is translated)."""
    if isinstance(app.address, str):
        return None
    try:
        lookup = ListenerLookup(app.family, *app.address)
    except OSError:
        return None
    try:
        if lookup.is_listening():
            return lookup
    except OSError:
        pass
    lookup.close()
    return None


async def _accepts(family: socket.AddressFamily, address: tuple[str, int] | str) -> bool:
    try:
        probe = trio.socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return False  # no such family here, or no descriptor: ask again later
    with probe:
        try:
            with trio.move_on_after(_CONNECT_SECONDS) as scope:
                await probe.connect(address)
            return scope.cancelled_caught or not _is_connected_to_itself(probe)
        except OSError:
            return False


def _is_connected_to_itself(probe: trio.socket.SocketType) -> bool:
    """Whether the kernel gave the probe of a closed port that very port to call from: TCP's simultaneous open.

    It happens once in some thousand probes of a port in ip_local_port_range. The reset keeps the port out of TIME_WAIT.
    """
    if probe.family == socket.AF_UNIX or probe.getsockname() != probe.getpeername():
        return False
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    return True
