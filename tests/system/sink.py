"""A real web server that keeps a journal of every request it got: the destination of copies, and the app behind it all.

As a script it is a process of its own: a strict HTTP/1.1 server (h11) that writes one line of JSON a request, at its
end, and answers with the request's id and digest. `Sink` starts one as a destination; `command` is the words for one
as the app. Both tell the same facts, so what the app got can be compared with what the destinations got.

As the app it also serves `/download/BYTES`, accepts `Upgrade: websocket` (and echoes from then on), and declines any
other upgrade. With `--hang` it reads everything and never answers; with `--deaf` it accepts and reads nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import h11

PATIENCE_SECONDS = 60.0  # a wait so long has failed
_POLL_SECONDS = 0.01
_BLOCK_BYTES = 64 * 1024
_ID = re.compile(rb"/r/([0-9]+)")


@dataclass(frozen=True)
class Arrival:
    """One request as it arrived."""

    id: int  # from its path; -1 without one
    connection: int
    head: str  # as on the wire, latin-1
    body_bytes: int  # of the decoded body
    digest: str  # of the decoded body
    wire_digest: str  # of the body as on the wire, chunk lines and trailers included

    @property
    def headers(self) -> list[tuple[str, str]]:
        lines = self.head.split("\r\n")[1:-2]
        return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def journal(path: Path) -> list[Arrival]:
    """All that has arrived so far, in the order of the requests' ends."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]  # behind the last newline a line may be half written
    return [Arrival(**json.loads(line)) for line in lines]


def wait_until(condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for something that another process does. Fails with `what` when it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(_POLL_SECONDS)


def command(path: Path, *words: str) -> list[str]:
    """The command of a server that keeps its journal in `path` and listens on $PORT."""
    return [sys.executable, str(Path(__file__).resolve()), "--journal", str(path), *words]


class Sink:
    """A running destination."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        assert process.stdout is not None
        self.process = process
        self.path = path
        self.port = int(process.stdout.readline())  # told once it listens
        self._counted_bytes = 0
        self._count = 0
        self._highest_id = -1

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def count(self) -> int:
        """How many requests have arrived whole."""
        self._read_news()
        return self._count

    @property
    def highest_id(self) -> int:
        """The highest id that has arrived: with ids in order, how far the copies have come; -1 at first."""
        self._read_news()
        return self._highest_id

    def _read_news(self) -> None:
        with self.path.open("rb") as file:
            file.seek(self._counted_bytes)
            lines = file.read().split(b"\n")[:-1]  # behind the last newline a line may be half written
        self._counted_bytes += sum(len(line) + 1 for line in lines)
        self._count += len(lines)
        self._highest_id = max([self._highest_id, *(json.loads(line)["id"] for line in lines)])

    def arrivals(self) -> list[Arrival]:
        return journal(self.path)

    def wait_for(self, count: int, seconds: float = PATIENCE_SECONDS) -> None:
        """Waits until so many requests have arrived."""
        wait_until(lambda: self.count >= count, f"{count} arrivals at {self.url}", seconds)

    def kill(self) -> None:
        """The destination is gone: its connections end, new ones are refused."""
        self.process.kill()
        self.process.wait()


@contextmanager
def sink(path: Path, *words: str, port: int = 0) -> Iterator[Sink]:
    """A destination that keeps its journal in `path`, on `port` or any free one."""
    process = subprocess.Popen(command(path, "--port", str(port), *words), stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield Sink(process, path)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


# ---- the server ----------------------------------------------------------------------------------------------------


class Server:
    """What all connections share."""

    def __init__(self, path: Path, *, hangs: bool, is_deaf: bool) -> None:
        self.hangs = hangs
        self.is_deaf = is_deaf
        self.connections = 0
        self.transports: list[asyncio.Transport] = []  # one that is not read has nobody else who keeps it
        self._journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, **facts: object) -> None:
        os.write(self._journal, json.dumps(facts).encode() + b"\n")  # one write: a killed server leaves whole lines


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        server.connections += 1
        self._number = server.connections
        self._http = h11.Connection(h11.SERVER)
        self._raw = bytearray()  # of the request that is being read, and what was received behind it
        self._request: h11.Request | None = None
        self._hash = hashlib.sha256()
        self._body_bytes = 0
        self._has_switched = False
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._download: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.transports.append(transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._server.is_deaf:
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        if self._has_switched:
            self._transport.write(data)
            return
        self._raw += data
        self._http.receive_data(data)
        self._handle()

    def eof_received(self) -> None:
        with suppress(RuntimeError):  # the protocol has been switched
            self._http.receive_data(b"")
            self._handle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.transports.remove(self._transport)
        if self._download is not None:
            self._download.cancel()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def _handle(self) -> None:
        try:
            while not self._has_switched:
                event = self._http.next_event()
                if event is h11.NEED_DATA and self._http.they_are_waiting_for_100_continue:
                    self._send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    return
                if isinstance(event, h11.ConnectionClosed):
                    self._transport.close()
                    return
                self._handle_event(event)
        except h11.RemoteProtocolError as error:
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            self._transport.close()
            print(f"sink: {error}", file=sys.stderr, flush=True)

    def _handle_event(self, event: object) -> None:
        if isinstance(event, h11.Request):
            self._request = event
            self._hash = hashlib.sha256()
            self._body_bytes = 0
        elif isinstance(event, h11.Data):
            self._hash.update(event.data)
            self._body_bytes += len(event.data)
        elif isinstance(event, h11.EndOfMessage):
            self._end_request()

    def _end_request(self) -> None:
        request = self._request
        assert request is not None
        rest, _ = self._http.trailing_data
        wire = bytes(self._raw[: len(self._raw) - len(rest)])
        self._raw = bytearray(rest)
        end = wire.index(b"\r\n\r\n") + 4
        ident = _ID.search(request.target)
        self._server.write(
            id=int(ident[1]) if ident else -1, connection=self._number, head=wire[:end].decode("latin-1"),
            body_bytes=self._body_bytes, digest=self._hash.hexdigest(), wire_digest=digest_of(wire[end:]),
        )  # fmt: skip
        if not self._server.hangs:
            self._answer(request, ident[1] if ident else b"-")

    def _answer(self, request: h11.Request, ident: bytes) -> None:
        upgrade = dict(request.headers).get(b"upgrade", b"")
        if upgrade == b"websocket":
            self._switch()
        elif request.target.startswith(b"/download/"):
            self._download = asyncio.get_running_loop().create_task(self._send_download(int(request.target[10:])))
        else:
            digest = self._hash.hexdigest().encode()
            body = b"" if request.method == b"HEAD" else ident + b" " + digest
            length = b"%d" % len(ident + b" " + digest)
            headers = [(b"Content-Length", length), (b"X-Id", ident), (b"X-Digest", digest)]
            self._send(h11.Response(status_code=200, headers=headers), *([h11.Data(data=body)] if body else []))
            self._end_response()

    def _switch(self) -> None:
        headers = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")]
        self._send(h11.InformationalResponse(status_code=101, headers=headers, reason=b"Switching Protocols"))
        self._has_switched = True
        if self._raw:
            self._transport.write(bytes(self._raw))

    async def _send_download(self, length: int) -> None:
        self._send(h11.Response(status_code=200, headers=[(b"Content-Length", b"%d" % length)]))
        for block in download_blocks(length):
            await self._may_write.wait()
            self._send(h11.Data(data=block))
        self._end_response()
        self._handle()

    def _send(self, *events: h11.Event) -> None:
        self._transport.write(b"".join(self._http.send(event) or b"" for event in events))

    def _end_response(self) -> None:
        self._send(h11.EndOfMessage())
        if self._http.our_state is h11.MUST_CLOSE:
            self._transport.close()
        elif self._http.their_state is h11.DONE:
            self._http.start_next_cycle()


def download_blocks(length: int) -> Iterator[bytes]:
    """The bytes of `/download/LENGTH`: no two blocks are the same."""
    pattern = hashlib.sha256(b"download").digest() * (_BLOCK_BYTES // 32)
    for number, start in enumerate(range(0, length, _BLOCK_BYTES)):
        block = number.to_bytes(8, "big") + pattern[8:]
        yield block[: length - start]


async def serve(words: Sequence[str]) -> None:
    """Runs a server until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--port", type=int, default=os.environ.get("PORT"))
    parser.add_argument("--hang", action="store_true")
    parser.add_argument("--deaf", action="store_true")
    options = parser.parse_args(words)
    server = Server(options.journal, hangs=options.hang, is_deaf=options.deaf)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Connection(server), "127.0.0.1", options.port, backlog=4096)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await listener.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(serve(sys.argv[1:]))
