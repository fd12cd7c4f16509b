"""One connection to a destination, plain or TLS: sends a request and reads its answer, one at a time.

Plain calls on a non-blocking socket; trio only waits. Request and answer flow at the same time, because a destination
may answer, and stop reading, before it has the whole body. What the far side does wrong is a value, `Ended`, never an
exception. After an exchange that is not `is_reusable`, or that was cancelled, the connection can only be closed.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

import trio

from launcher.replay.outcomes import status_class
from launcher.replay.requests import Request
from launcher.replay.responses import Response, ResponseError, ResponseReader

_RECEIVE_BYTES = 64 * 1024
_SEND_BYTES = 64 * 1024
_TLS_SEND_BYTES = 16 * 1024  # a TLS record: OpenSSL takes it whole or wants the very same bytes again


@dataclass(frozen=True)
class Ended:
    """How one exchange ended. `error` is for people; it holds neither secrets nor bytes from the destination."""

    outcome: str
    error: str = ""
    is_reusable: bool = False
    was_silent: bool = False  # the connection ended before one byte of an answer


class Connection:
    """Owns a connected, non-blocking socket; for TLS, after its handshake."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._send_bytes = _TLS_SEND_BYTES if isinstance(sock, ssl.SSLSocket) else _SEND_BYTES
        self._is_sent = True

    async def exchange(self, request: Request) -> Ended:
        """Sends the request and reads the answer. Has no time-out of its own."""
        reader = ResponseReader(request.method, needs_keep_alive=request.is_http10)
        unsent = [memoryview(request.head), request.body]
        self._is_sent = False
        if len(request.head) + len(request.body) <= self._send_bytes:
            data = memoryview(request.head + request.body)
            try:
                unsent = [data[self._send_nowait(data) :]]
            except OSError:
                return await self._receive(reader)
            self._is_sent = not unsent[0]
        if self._is_sent:
            return await self._receive(reader)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, unsent)
            ended = await self._receive(reader)
            nursery.cancel_scope.cancel()
        return ended

    async def _send(self, parts: list[memoryview]) -> None:
        try:
            for part in parts:
                for start in range(0, len(part), self._send_bytes):
                    piece = part[start : start + self._send_bytes]
                    while piece:
                        await trio.lowlevel.wait_writable(self._socket)
                        piece = piece[self._send_nowait(piece) :]
        except OSError:
            return  # reading tells why, or still gets an answer: RFC 9112 §9.5
        self._is_sent = True

    def _send_nowait(self, data: memoryview) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError):
            return 0

    async def _receive(self, reader: ResponseReader) -> Ended:
        response: Response | None = None
        try:
            while response is None:
                await trio.lowlevel.wait_readable(self._socket)
                data = self._receive_nowait()
                if data is None:
                    continue
                response = reader.receive(data) if data else reader.receive_eof()
                if not data:
                    break
        except ResponseError as error:
            return Ended("protocol", str(error))
        except ssl.SSLError as error:
            return Ended("tls", f"TLS failed: {error.reason or 'broken'}")
        except OSError as error:
            return Ended("reset", _words(error), was_silent=not reader.has_begun)
        if response is None:
            return Ended("reset", "closed before the whole answer had come", was_silent=not reader.has_begun)
        return Ended(status_class(response.status), is_reusable=response.is_reusable and self._is_sent)

    def _receive_nowait(self) -> bytes | None:
        """b"" at the end; None when what made the socket readable was not for us (TLS's own messages)."""
        try:
            return self._socket.recv(_RECEIVE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def is_stale(self) -> bool:
        """An idle connection on which anything arrived, an end or bytes that nobody asked for, is of no use."""
        try:
            return self._receive_nowait() is not None
        except OSError:
            return True

    def close(self) -> None:
        """Closes the socket at once; never fails."""
        try:
            self._socket.close()
        except OSError:
            pass


def _words(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
