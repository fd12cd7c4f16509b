"""Does the app accept connections yet, still, again? Asked by connecting, as the platform's own check would be."""

from __future__ import annotations

import socket

import trio

from launcher import addresses
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
