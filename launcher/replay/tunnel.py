"""A way through an http proxy to a destination that speaks TLS: CONNECT, RFC 9110 §9.3.6; without tasks."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

from launcher.poller import READABLE, Poller
from launcher.replay.outcomes import Ended

_MAX_HEAD_BYTES = 16 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})[ \r\n]")


class Tunnel:
    """One connection's CONNECT. Exactly one call of `done` follows `start`, but none after `cancel`."""

    def __init__(self, poller: Poller, done: Callable[[socket.socket | Ended], None]) -> None:
        self._poller = poller
        self._done = done
        self._socket: socket.socket | None = None
        self._answer = b""

    def start(self, sock: socket.socket, request: bytes) -> None:
        """Takes over the socket, which is new and not registered, so that it takes a short request whole."""
        self._socket = sock
        self._poller.register(sock.fileno(), READABLE, self._on_event)
        try:
            is_sent = sock.send(request) == len(request)
        except OSError as error:
            self._fail("reset", f"{error.strerror or 'broken'}".lower())
            return
        if not is_sent:
            self._fail("refused", "it does not take a whole request")

    def cancel(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._poller.unregister(self._socket.fileno())
            self._poller.close_later(self._socket)
            self._socket = None

    def _on_event(self, _ready: int) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_MAX_HEAD_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail("reset", f"{error.strerror or 'broken'}".lower())
            return
        self._answer += data
        _, blank, rest = self._answer.partition(b"\r\n\r\n")
        status = _STATUS.match(self._answer)
        if blank and status and status[1].startswith(b"2") and not rest:  # in TLS the client speaks first
            self._poller.unregister(self._socket.fileno())
            sock, self._socket = self._socket, None
            self._done(sock)
        elif blank and status:
            self._fail("refused", f"it answered {status[1].decode()} to CONNECT")
        elif blank or len(self._answer) > _MAX_HEAD_BYTES:
            self._fail("protocol", "it does not answer CONNECT in HTTP/1.x")
        elif not data:
            self._fail("reset", "it closed before it had answered CONNECT")

    def _fail(self, outcome: str, words: str) -> None:
        self.cancel()
        self._done(Ended(outcome, f"the proxy: {words}"))
