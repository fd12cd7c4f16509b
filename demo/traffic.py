"""The requests that the demo sends, one after the other, and what a right answer to each of them is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse

from app import DOWNLOAD
from destination import Copy

PATIENCE_SECONDS = 60  # the first answer of an app in development may take its time

# The examples of RFC 6455 §1.3 and §5.7: a handshake, and "Hello" as a client and as a server writes it.
WEBSOCKET_KEY, WEBSOCKET_ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
CLIENT_HELLO, SERVER_HELLO = bytes.fromhex("818537fa213d7f9f4d5158"), b"\x81\x05Hello"


@dataclass(frozen=True)
class Request:
    """A request to the demo's app, which answers with what it got."""

    method: str
    target: str
    kind: str = ""
    body: bytes = b""
    on_same_connection: bool = False  # as the request before
    is_copied: bool = True

    def send(self, connection: HTTPConnection) -> HTTPResponse:
        connection.request(self.method, self.target, self.body or None)
        return connection.getresponse()

    def check(self, response: HTTPResponse, connection: HTTPConnection, number: int) -> str:
        """What a person should know of a right answer to the request with this number. Raises ValueError."""
        answer = response.read()
        sent = {**self.copy._asdict(), "bytes": len(self.body), "number": number}
        if response.status != 200 or json.loads(answer) != sent:
            raise ValueError(f"status {response.status}, {answer!r} for {sent}")
        return f"200, got {len(self.body):,} bytes" if self.body else "200"

    @property
    def copy(self) -> Copy:
        """What should arrive at the destination."""
        return Copy.of(self.method, self.target, self.body)

    def __str__(self) -> str:
        return f"{self.method} {self.target}" + (f" ({self.kind})" if self.kind else "")


class ChunkedUpload(Request):
    def send(self, connection: HTTPConnection) -> HTTPResponse:
        pieces = (self.body[start : start + 30_000] for start in range(0, len(self.body), 30_000))
        headers = {"Transfer-Encoding": "chunked"}
        connection.request(self.method, self.target, pieces, headers, encode_chunked=True)
        return connection.getresponse()


class PoliteUpload(Request):
    """Sends its body only when it is told to go on."""

    def send(self, connection: HTTPConnection) -> HTTPResponse:
        connection.putrequest(self.method, self.target)
        connection.putheader("Content-Length", str(len(self.body)))
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        interim = b""
        while not interim.endswith(b"\r\n\r\n") and (byte := connection.sock.recv(1)):
            interim += byte
        if not interim.startswith(b"HTTP/1.1 100 "):
            raise ValueError(f"{interim!r}, not 100 Continue")
        connection.send(self.body)
        return connection.getresponse()


class Download(Request):
    def check(self, response: HTTPResponse, connection: HTTPConnection, number: int) -> str:
        body = response.read()
        if response.status != 200 or body != DOWNLOAD:
            raise ValueError(f"status {response.status}, {len(body)} bytes, not the {len(DOWNLOAD)} of the file")
        return f"200, {len(body):,} bytes"


class WebSocket(Request):
    """A handshake, then a frame, which the app should send back."""

    def send(self, connection: HTTPConnection) -> HTTPResponse:
        headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        connection.request(self.method, self.target, headers={**headers, "Sec-WebSocket-Key": WEBSOCKET_KEY})
        return connection.getresponse()

    def check(self, response: HTTPResponse, connection: HTTPConnection, number: int) -> str:
        if response.status != 101 or response.headers["Sec-WebSocket-Accept"] != WEBSOCKET_ACCEPT:
            raise ValueError(f"status {response.status}, no WebSocket")
        connection.sock.sendall(CLIENT_HELLO)
        if (frame := connection.sock.recv(100)) != SERVER_HELLO:
            raise ValueError(f"the frame came back as {frame!r}")
        return "101, echoed Hello"


class Visit(Request):
    """A request to an app that the demo knows nothing of: any answer is right."""

    def check(self, response: HTTPResponse, connection: HTTPConnection, number: int) -> str:
        return f"{response.status}, {len(response.read()):,} bytes"


VARIED = [
    Request("GET", "/search?q=tea&page=2", "a query"),
    Request("POST", "/orders", "JSON", b'{"item": "tea", "amount": 2}'),
    ChunkedUpload("POST", "/photos", "a chunked upload", DOWNLOAD[:200_000]),
    PoliteUpload("PUT", "/reports/7", "Expect: 100-continue", DOWNLOAD[:50_000]),
    Download("GET", "/download", "1 MB"),
    WebSocket("GET", "/chat", "a WebSocket upgrade", is_copied=False),
    Request("GET", "/users/1", "a connection..."),
    Request("PATCH", "/users/1", "...the same", b'{"name": "Ada"}', on_same_connection=True),
    Request("DELETE", "/users/1", "...the same", on_same_connection=True),
]
VISITS = [Visit("GET", "/")] * 5


@dataclass(frozen=True)
class Exchange:
    """A request that was sent, and how the app answered it."""

    request: Request
    answer: str
    is_right: bool


def send(requests: Sequence[Request], port: int) -> Iterator[Exchange]:
    """Sends one request after the other, on a new connection unless it wants the same."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    for number, request in enumerate(requests, 1):
        if not request.on_same_connection:
            connection.close()
        connection.auto_open = not request.on_same_connection
        try:
            yield Exchange(request, request.check(request.send(connection), connection, number), is_right=True)
        except (ValueError, OSError, HTTPException) as error:
            yield Exchange(request, f"{type(error).__name__}: {error}", is_right=False)
    connection.close()
