"""A destination of the copies: an HTTP/1.1 server in a thread each connection, that notes what arrives."""

from __future__ import annotations

import hashlib
import socket
import socketserver
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import IO

PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Arrival:
    """One request; the body's chunks are taken out of their framing before it is digested."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    sha256: str

    def header(self, name: str) -> str | None:
        """The first value of a header, by its name in any case."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)


class Destination:
    """Listens on a free port of 127.0.0.1 while its `with` block runs; answers everything with `status`, and with
    `headers`, whole lines."""

    def __init__(self, *, status: int = 200, headers: str = "") -> None:
        self._answer = b"HTTP/1.1 %d Told\r\n%sContent-Length: 2\r\n\r\nok" % (status, headers.encode())
        self._changed = threading.Condition()
        self._arrivals: list[Arrival] = []
        self._connections: set[socket.socket] = set()
        self._server = _Server(("127.0.0.1", 0), self._serve)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Destination:
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        with self._changed:
            for connection in self._connections:
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()  # waits for its threads

    @property
    def port(self) -> int:
        port: int = self._server.server_address[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def arrivals(self) -> list[Arrival]:
        """What has arrived so far, in order of arrival."""
        with self._changed:
            return list(self._arrivals)

    def wait_for_arrivals(self, count: int) -> list[Arrival]:
        """The arrivals, once there are `count` or more."""
        with self._changed:
            there = self._changed.wait_for(lambda: len(self._arrivals) >= count, PATIENCE_SECONDS)
            assert there, f"{len(self._arrivals)} of {count} copies arrived: {self._arrivals[-5:]}"
            return list(self._arrivals)

    def _serve(self, connection: socket.socket) -> None:
        with self._changed:
            self._connections.add(connection)
        try:
            with connection.makefile("rb") as stream:
                while (arrival := _read_request(stream)) is not None:
                    with self._changed:
                        self._arrivals.append(arrival)
                        self._changed.notify_all()
                    connection.sendall(self._answer)
        except OSError:
            return  # the replayer has closed or reset the connection
        finally:
            with self._changed:
                self._connections.discard(connection)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], serve: object) -> None:
        self._serve = serve
        super().__init__(address, socketserver.BaseRequestHandler)

    def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], _: object) -> None:
        assert isinstance(request, socket.socket) and callable(self._serve)
        self._serve(request)


def _read_request(stream: IO[bytes]) -> Arrival | None:
    """The next request; None at the end of the connection, orderly or not."""
    request_line = stream.readline()
    if not request_line:
        return None
    headers = []
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name, value.strip()))
    known = {name.lower(): value for name, value in headers}
    digest = hashlib.sha256()
    if known.get("transfer-encoding", "").lower() == "chunked":
        while size := int(stream.readline().split(b";")[0], 16):
            digest.update(stream.read(size))
            stream.readline()
        while stream.readline() not in (b"\r\n", b""):
            pass  # trailers
    else:
        digest.update(stream.read(int(known.get("content-length", 0))))
    method, target, _ = request_line.decode("latin-1").split(" ", 2)
    return Arrival(method, target, tuple(headers), digest.hexdigest())
