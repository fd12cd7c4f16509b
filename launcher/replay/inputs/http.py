"""`--input-http ADDR`: takes copies over HTTP, as nginx's `mirror` or another proxy sends them; answers at once.

Bounded are connections (1000), what they hold of requests half read (64 MiB together) and each request
(--copy-buffer-size). A slow or idle client costs itself only: when all places are taken, the connection that has been
idle longest makes room for a new one.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress

import trio

from launcher.addresses import any_host
from launcher.listen_address import ListenAddress, parse_listen_address
from launcher.replay.inputs import InputError, InputTally, Receive
from launcher.replay.inputs.acceptor import Acceptor
from launcher.replay.inputs.intake import ConnectionIntake, Intake, refusal
from launcher.replay.limiters import make_limiter
from launcher.sockets import open_listener

MAX_CONNECTIONS = 1000
MAX_HELD_BYTES = 64 * 1024**2
_LINGER_BYTES = 64 * 1024
_IDLE_SECONDS = 120.0  # nginx keeps upstream connections for 60
_REQUEST_SECONDS = 60.0  # from a request's first byte to the last of its answer
_STOPPING_SECONDS = 0.5  # what a client has sent by then is still taken
_LINGER_SECONDS = 1.0  # a refused client is read on, lest a reset take the answer away from it: RFC 9112 §9.6


class HttpInput:
    """An Input."""

    def __init__(self, address: ListenAddress, max_request_bytes: int) -> None:
        self.tally = InputTally(f"--input-http {address.shown}")
        self._address = address
        self._max_request_bytes = max_request_bytes
        self._listener: socket.socket | None = None
        self._intake: Intake | None = None
        self._acceptor = Acceptor(self.tally)
        self._connections: dict[_Connection, None] = {}
        self._idle: dict[_Connection, None] = {}  # those without a request half read, the longest idle first

    def open(self) -> None:
        self._listener = listen(self._address, "--input-http")
        port = self._listener.getsockname()[1]
        self.tally.shown = f"--input-http {self._address.with_port(port).shown}"

    async def run(self, receive: Receive) -> None:
        assert self._listener is not None, "an input is opened before it runs"
        limiter = make_limiter(self._address.limit) if self._address.limit else None
        self._intake = Intake(self.tally, receive, limiter, self._max_request_bytes, MAX_HELD_BYTES)
        self._intake.is_stopping = self._acceptor.is_stopping
        async with trio.open_nursery() as nursery:
            with self._listener:
                await self._acceptor.run(self._listener, lambda sock: self._begin(sock, nursery))

    def stop(self) -> None:
        self._acceptor.stop()
        if self._intake is not None:
            self._intake.is_stopping = True
        for connection in self._connections:
            connection.hurry()

    def _begin(self, sock: socket.socket, nursery: trio.Nursery) -> None:
        assert self._intake is not None
        if len(self._connections) >= MAX_CONNECTIONS:
            longest_idle = next((each for each in self._idle if not each.has_more_to_read()), None)
            if longest_idle is None:
                self._refuse(sock)
                return
            self._forget(longest_idle)
            longest_idle.scope.cancel()
        connection = _Connection(sock, ConnectionIntake(self._intake), self._idle)
        self._connections[connection] = None
        if self._intake.is_stopping:
            connection.hurry()
        nursery.start_soon(self._serve, connection)

    def _refuse(self, sock: socket.socket) -> None:
        self.tally.count("refused", f"{MAX_CONNECTIONS} connections are busy")
        sock.setblocking(False)
        with sock, suppress(OSError):  # its client may be gone already
            sock.send(refusal(503))  # a new socket has room for it

    async def _serve(self, connection: _Connection) -> None:
        try:
            await connection.run()
        finally:
            self._forget(connection)

    def _forget(self, connection: _Connection) -> None:
        self._connections.pop(connection, None)
        self._idle.pop(connection, None)


class _Connection:
    """One client."""

    def __init__(self, sock: socket.socket, intake: ConnectionIntake, idle: dict[_Connection, None]) -> None:
        self.scope = trio.CancelScope()
        self._plain_sock = sock
        self._sock = trio.socket.from_stdlib_socket(sock)
        self._intake = intake
        self._idle = idle
        self._latest = float("inf")  # no deadline is later
        self._wait(_IDLE_SECONDS)

    def hurry(self) -> None:
        """The input is stopping."""
        self._latest = trio.current_time() + _STOPPING_SECONDS
        self.scope.deadline = min(self.scope.deadline, self._latest)

    def has_more_to_read(self) -> bool:
        """The client has sent something that was not read yet."""
        try:
            return bool(self._plain_sock.recv(1, socket.MSG_PEEK))
        except OSError:  # there is nothing, or it is gone
            return False

    async def run(self) -> None:
        """Until the client or the input has enough. Nothing that the client does makes it raise."""
        try:
            with self.scope:
                await self._converse()
        except OSError:
            pass  # a reset, say
        except Exception as error:  # noqa: BLE001 - trio's cancellation is no Exception; a defect costs one connection
            self._intake.failed(error)
        finally:
            self._intake.closed()
            self._sock.close()

    async def _converse(self) -> None:
        self._idle[self] = None
        was_busy = False
        while not self._intake.is_done:
            data = await self._sock.recv(self._intake.wanted_bytes)
            if not data:
                return
            self._idle.pop(self, None)
            answered = self._intake.answered
            answer = self._intake.receive(data)
            if not was_busy or self._intake.answered > answered:  # another request has begun
                self._wait(_REQUEST_SECONDS)
            await self._send(answer)
            was_busy = self._intake.is_busy
            if not was_busy:
                self._wait(_IDLE_SECONDS)
                self._idle[self] = None
        await self._linger()

    async def _send(self, answer: bytes) -> None:
        rest = memoryview(answer)
        while rest:
            rest = rest[await self._sock.send(rest) :]

    async def _linger(self) -> None:
        self._wait(_LINGER_SECONDS)
        self._sock.shutdown(socket.SHUT_WR)
        while await self._sock.recv(_LINGER_BYTES):
            pass

    def _wait(self, seconds: float) -> None:
        self.scope.deadline = min(trio.current_time() + seconds, self._latest)


def listen(address: ListenAddress, flag: str) -> socket.socket:
    """A listener. Raises InputError."""
    host = address.host or any_host()
    try:
        found = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return open_listener(str(found[0][4][0]), address.port)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InputError(f"{flag} {address.shown} can't be listened on: {why}") from None


def new_http_input(value: str, settings: Mapping[str, str]) -> HttpInput:
    """The input for one value of the flag. `settings` are the options that can't be repeated, as they were given."""
    max_request_bytes = int(settings.get("copy-buffer-size", str(5 * 1024**2)))  # gor's default
    return HttpInput(parse_listen_address(value), max_request_bytes)
