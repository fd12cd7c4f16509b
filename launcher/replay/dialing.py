"""Makes a TCP connection to the first of several addresses that takes it: RFC 8305, without tasks.

The addresses are tried in their order, the next one when one has failed or has been silent for 250 ms; those that lose
are closed. Plain calls and the poller; the result is a call.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence

from launcher.poller import WRITABLE, Poller
from launcher.replay.outcomes import Ended
from launcher.replay.resolver import Address

STAGGER_SECONDS = 0.25  # RFC 8305 §5: the Connection Attempt Delay


class Dial:
    """One connection's making. One call of `done` follows `start`, at once or later, but none after `cancel`."""

    def __init__(
        self, poller: Poller, addresses: Sequence[Address], done: Callable[[socket.socket | Ended], None]
    ) -> None:
        self._poller = poller
        self._untried = list(addresses)
        self._done = done
        self._trying: dict[int, socket.socket] = {}
        self._errors: list[OSError] = []
        self._is_over = False

    def start(self) -> None:
        """Tries the first address."""
        self._try_next()

    def cancel(self) -> None:
        """Closes everything."""
        self._is_over = True
        for fd, sock in self._trying.items():
            self._poller.unregister(fd)
            self._poller.close_later(sock)
        self._trying.clear()

    def _try_next(self) -> None:
        while self._untried:
            address = self._untried.pop(0)
            try:
                sock = _connecting(address)
            except OSError as error:
                self._errors.append(error)
                continue
            self._wait_for(sock)
            return
        if not self._trying:
            self._end(_no_connection(self._errors))

    def _wait_for(self, sock: socket.socket) -> None:
        fd = sock.fileno()
        self._trying[fd] = sock
        self._poller.register(fd, WRITABLE, lambda _ready: self._on_event(fd, sock))
        if self._untried:
            waiting = len(self._untried)
            self._poller.call_later(STAGGER_SECONDS, lambda: self._on_silence(waiting))

    def _on_silence(self, waiting: int) -> None:
        if not self._is_over and len(self._untried) == waiting:
            self._try_next()

    def _on_event(self, fd: int, sock: socket.socket) -> None:
        self._poller.unregister(fd)
        del self._trying[fd]
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._poller.close_later(sock)
            self._errors.append(OSError(code, os.strerror(code)))
            self._try_next()
        else:
            self.cancel()  # the others
            self._done(sock)

    def _end(self, ended: Ended) -> None:
        self._is_over = True
        self._done(ended)


def _connecting(address: Address) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(address.sockaddr)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


def _no_connection(errors: Sequence[OSError]) -> Ended:
    """What it means that every address failed."""
    words = ", ".join(dict.fromkeys(os.strerror(each.errno).lower() for each in errors if each.errno))
    if all(each.errno == errno.ETIMEDOUT for each in errors):
        return Ended("timeout", words)
    return Ended("refused", words)
