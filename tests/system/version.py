"""One version of an app as a process of its own, over http or https: a destination whose answers are compared.

No two of its answers are the same: ids, times, order of keys, cookies. The path says in which form they come:
`/plain/N`, `/gzip/N` (packed at `--level`), `/brotli/N` (bytes that only a brotli could undo, other ones at each
level), `/chunked/N` (cut anywhere), `/large/N` (5 MB of JSON, the same each time, in chunks). With `--worse` it has a
changed type in each form but brotli, and a wrong status. It appends the path to `--journal` when it has answered.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LARGE = {"items": [{"id": number, "name": "an item of the list", "price": 1.5} for number in range(100_000)]}
LARGE_BYTES = json.dumps(LARGE).encode()  # 5.3 MB
WORSE_LARGE_BYTES = json.dumps({"items": [*LARGE["items"][:-1], {**LARGE["items"][-1], "price": "1.5"}]}).encode()


class Version:
    """A running one."""

    def __init__(self, journal: Path, *words: str, port: int = 0) -> None:
        self.journal = journal
        self._words = words
        self.port = port
        self.start()

    def start(self) -> None:
        """Also once more, at the same port."""
        words = [sys.executable, __file__, "--journal", str(self.journal), "--port", str(self.port), *self._words]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())  # told once it listens

    @property
    def count(self) -> int:
        """How many answers it has sent."""
        return self.journal.read_bytes().count(b"\n")

    def kill(self) -> None:
        """It is gone: its connections end, new ones are refused."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def version(journal: Path, *words: str) -> Iterator[Version]:
    running = Version(journal, *words)
    try:
        yield running
    finally:
        running.kill()


# ---- the server ------------------------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    options: argparse.Namespace
    journal: int

    def do_GET(self) -> None:
        kind, _, number = self.path.strip("/").partition("/")
        self.status, self.more = 200, {"Content-Type": "application/json"}
        chunks = getattr(self, f"answer_{kind}")(int(number))
        self.send_response(self.status)
        for name, value in self.more.items():
            self.send_header(name, value)
        self.send_header("Set-Cookie", f"session={uuid.uuid4()}; Path=/; HttpOnly")
        if len(chunks) == 1:
            self.send_header("Content-Length", str(len(chunks[0])))
        else:
            self.send_header("Transfer-Encoding", "chunked")
            chunks = [*(b"%x\r\n%s\r\n" % (len(each), each) for each in chunks), b"0\r\n\r\n"]
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(chunk)
        self.wfile.flush()
        os.write(self.journal, self.path.encode() + b"\n")

    def a_body(self, number: int) -> bytes:
        """Never twice the same, but in what it means."""
        price = 1.5 + number % 10
        members = [
            ("id", number), ("price", str(price) if self.options.worse else price), ("request", str(uuid.uuid4())),
            ("at", time.time()), ("token", uuid.uuid4().hex), ("shard", random.randrange(1000)), ("tags", ["a", "b"]),
        ]  # fmt: skip
        random.shuffle(members)
        return json.dumps(dict(members), indent=random.choice([None, 1])).encode()

    def answer_plain(self, number: int) -> list[bytes]:
        if self.options.worse and number % 5 == 0:
            self.status = 500
        return [self.a_body(number)]

    def answer_gzip(self, number: int) -> list[bytes]:
        self.more["Content-Encoding"] = "gzip"
        text = self.a_body(number) if self.options.worse else json.dumps({"id": number, "text": ["x"] * 300}).encode()
        return [gzip.compress(text, self.options.level, mtime=random.randrange(2**31))]

    def answer_brotli(self, number: int) -> list[bytes]:
        self.more["Content-Encoding"] = "br"
        return [hashlib.sha256(b"%d at %d" % (number, self.options.level)).digest()]

    def answer_chunked(self, number: int) -> list[bytes]:
        body = self.a_body(number)
        cut = random.randrange(1, len(body) - 1)
        return [body[:cut], body[cut:]]

    def answer_large(self, number: int) -> list[bytes]:
        body = WORSE_LARGE_BYTES if self.options.worse else LARGE_BYTES
        return [body[start : start + 60_000] for start in range(0, len(body), 60_000)]

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--journal", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--level", type=int, default=6)
    parser.add_argument("--worse", action="store_true")
    parser.add_argument("--certificate")
    Handler.options = options = parser.parse_args()
    Handler.journal = os.open(options.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    server = Server(("127.0.0.1", options.port), Handler)
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(server.server_port, flush=True)
    server.serve_forever(0.05)


if __name__ == "__main__":
    main()
