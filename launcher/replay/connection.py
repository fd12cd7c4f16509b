"""One connection to a destination, plain or TLS: sends a request and reads its answer, one at a time.

Plain calls on a non-blocking socket that stays registered with the poller for reading: an exchange costs one send and
one recv. Request and answer flow at the same time, because a destination may answer, and stop reading, before it has
the whole body. What the far side does wrong is a value, `Ended`, never an exception. After an exchange that is not
`is_reusable` the connection can only be closed.
"""

from __future__ import annotations

import random
import socket
import ssl
from typing import Protocol

import trio

from launcher.poller import PEER_ENDS, READABLE, WRITABLE, Poller
from launcher.replay.outcomes import Ended, status_class
from launcher.replay.requests import Request
from launcher.replay.responses import ResponseError, ResponseReader

MAX_AGE_SECONDS = 60.0  # a name's new addresses are followed after that; with jitter, so that not all reconnect at once

_RECEIVE_BYTES = 64 * 1024
_SEND_BYTES = 64 * 1024
_TLS_SEND_BYTES = 16 * 1024  # a TLS record: OpenSSL takes it whole or wants the very same bytes again
_IDLE = READABLE | PEER_ENDS  # its end may have come already, behind the answer


class Owner(Protocol):
    """Who uses a connection."""

    def exchanged(self, connection: Connection, ended: Ended) -> None:
        """The exchange that it began has ended."""


class Keeper(Protocol):
    """Who keeps it while nobody uses it."""

    def went_stale(self, connection: Connection) -> None:
        """Something came, an end or bytes that nobody asked for: it is of no use any more."""


class Connection:
    """Owns a connected, non-blocking socket that nobody has registered; for TLS, after its handshake."""

    def __init__(self, poller: Poller, sock: socket.socket) -> None:
        self._poller = poller
        self._socket = sock
        self._fd = sock.fileno()
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        self._send_bytes = _TLS_SEND_BYTES if self._is_tls else _SEND_BYTES
        self._unsent: list[memoryview] = []
        self._reader: ResponseReader | None = None
        self._owner: Owner | None = None
        self.keeper: Keeper | None = None
        self.old_at = trio.current_time() + MAX_AGE_SECONDS * random.uniform(0.75, 1)
        poller.register(self._fd, _IDLE, self._on_event)

    def exchange(self, request: Request, reader: ResponseReader, owner: Owner) -> None:
        """Sends the request and reads the answer; `owner` is told of the end, later. It has no time-out of its own."""
        self._reader = reader
        self._owner = owner
        if len(request.head) + len(request.body) <= self._send_bytes:
            data = request.head + request.body if request.body else request.head
            try:
                sent = self._socket.send(data)
            except (BlockingIOError, ssl.SSLWantWriteError):
                sent = 0
            except OSError:
                self._unsent = [memoryview(data)]
                return  # reading tells why, or still gets an answer: RFC 9112 §9.5
            if sent == len(data):
                return
            self._unsent = [memoryview(data)[sent:]]
        else:
            self._unsent = [memoryview(request.head), request.body]
        self._poller.modify(self._fd, _IDLE | WRITABLE)

    def is_stale(self) -> bool:
        """An idle connection on which anything arrived, an end or bytes that nobody asked for, is of no use."""
        try:
            if self._is_tls:
                return self._receive_nowait() is not None
            self._socket.recv(1, socket.MSG_PEEK)
            return True
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Closes the socket; nobody is told of an exchange's end any more."""
        self._owner = self._reader = None
        self._unsent = []
        if self._fd >= 0:
            self._poller.unregister(self._fd)
            self._poller.close_later(self._socket)
            self._fd = -1

    def _on_event(self, ready: int) -> None:
        if self._owner is None:
            if self.is_stale():
                self.close()
                if self.keeper is not None:
                    self.keeper.went_stale(self)
            return
        if ready & WRITABLE:
            self._send()
        if ready & ~WRITABLE:
            self._receive(ready)

    def _send(self) -> None:
        try:
            while self._unsent:
                part = self._unsent[0]
                sent = self._socket.send(part[: self._send_bytes])
                self._unsent[0] = part[sent:]
                if sent == len(part):
                    del self._unsent[0]
                if sent < self._send_bytes:
                    break  # the end of a part, or of what the socket takes
        except (BlockingIOError, ssl.SSLWantWriteError):
            return
        except OSError:
            self._poller.modify(self._fd, _IDLE)  # reading tells why
            return
        if not self._unsent:
            self._poller.modify(self._fd, _IDLE)

    def _receive(self, ready: int) -> None:
        assert self._reader is not None
        reader = self._reader
        try:
            while True:
                data = self._socket.recv(_RECEIVE_BYTES)
                response = reader.receive(data) if data else reader.receive_eof()
                if response is not None:
                    can_go_on = response.is_reusable and not self._unsent and not ready & PEER_ENDS
                    self._end(Ended(status_class(response.status), "", can_go_on, False, response))
                    return
                if not data:
                    words = "closed before the whole answer had come"
                    self._end(Ended("reset", words, was_silent=not reader.has_begun))
                    return
                if not (self._is_tls and self._socket.pending()):  # type: ignore[attr-defined]
                    return  # level-triggered: the rest gets its turn
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return  # what made the socket readable was not for us: TLS's own messages
        except ResponseError as error:
            self._end(Ended("protocol", str(error)))
        except ssl.SSLError as error:
            self._end(Ended("tls", f"TLS failed: {error.reason or 'broken'}"))
        except OSError as error:
            words = (error.strerror or type(error).__name__).lower()
            self._end(Ended("reset", words, was_silent=not reader.has_begun))

    def _end(self, ended: Ended) -> None:
        owner, self._owner, self._reader = self._owner, None, None
        assert owner is not None
        owner.exchanged(self, ended)

    def _receive_nowait(self) -> bytes | None:
        """b"" at the end; None when what made the socket readable was not for us (TLS's own messages)."""
        try:
            return self._socket.recv(_RECEIVE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
