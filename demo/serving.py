"""What the demo's app and its destination have in common: a small HTTP/1.1 server on loopback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any


class Server(ThreadingTCPServer):
    """A thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that goes away is no news
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Calls `answer` for each request, whatever its method."""

    protocol_version = "HTTP/1.1"  # connections are kept; to `Expect: 100-continue` http.server answers by itself
    disable_nagle_algorithm = True

    def answer(self) -> None:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):  # http.server looks for do_GET, do_POST...
            return self.answer
        raise AttributeError(name)

    def read_body(self) -> bytes:
        """The request's body, with its chunks put together."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().partition(b";")[0] or b"0", 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b""):
            pass  # trailers

    def send(self, body: bytes, content_type: str) -> None:
        """Answers 200 with this body."""
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """No line for each request."""
