"""The sockets of the data plane: how a listener is opened, and which options connections get.

Where the system is Linux, an accepted socket has its listener's TCP_NODELAY and SO_KEEPALIVE (tcp_create_openreq_child
copies them): they need not be set for each client.
"""

from __future__ import annotations

import socket
import struct
import sys

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds

_BACKLOG = 1024
_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)  # Linux: a system call less
_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; Python names it from 3.12 on


def open_listener(host: str, port: int) -> socket.socket:
    """A non-blocking listener. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        listener.setblocking(False)
        set_tcp_options(listener)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _bind_source(sock: socket.socket, source: str) -> None:
    """Connects from `source`; the port is chosen at connect, so that every destination has all ports to itself."""
    sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))


def set_up_accepted(sock: socket.socket) -> None:
    """Makes a client's socket what the relay needs."""
    sock.setblocking(False)
    if sys.platform != "linux":
        set_tcp_options(sock)


def new_connecting(family: int, source: str | None) -> socket.socket:
    """A non-blocking socket for one connection to the app, from `source` if there is one. Raises OSError."""
    sock = socket.socket(family, socket.SOCK_STREAM | _NONBLOCK)
    try:
        if not _NONBLOCK:
            sock.setblocking(False)
        if source is not None:
            _bind_source(sock, source)
        if family != socket.AF_UNIX:  # asking the socket makes an enum of the answer, which takes 1.5 µs
            set_tcp_options(sock)
    except OSError:
        sock.close()
        raise
    return sock


def set_tcp_options(sock: socket.socket) -> None:
    """No waiting for more bytes, and a dead peer is noticed."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def reset_on_close(sock: socket.socket) -> None:
    """Makes the socket's close a reset."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
