"""A replayer as a real process between two pipes, and destinations on loopback: good ones and all kinds of bad ones."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from launcher.records import frame, new_record
from launcher.replay_protocol import (
    Account,
    Closing,
    DestinationFailed,
    OutputAccount,
    ReplaySettings,
    Told,
    decode_line,
)

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-c", "import sys; from launcher.replay import main; sys.exit(main(sys.argv[1:]))"]
LONG_SECONDS = 60  # a test that waits so long has failed

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def get(path: str = "/") -> bytes:
    """A record of a GET."""
    return new_record(f"GET {path} HTTP/1.1\r\nHost: app\r\n\r\n".encode(), b"")


def post(path: str = "/", body: bytes = b"x") -> bytes:
    """A record of a POST."""
    return new_record(f"POST {path} HTTP/1.1\r\nHost: app\r\nContent-Length: {len(body)}\r\n\r\n".encode(), body)


def settings(options: Sequence[tuple[str, str]], queue_bytes: int = 1 << 24, stats_interval: float = 60) -> bytes:
    """The first frame."""
    told = ReplaySettings(
        options=tuple((name, value, value) for name, value in options),
        queue_bytes=queue_bytes,
        stats_interval=stats_interval,
    )
    return frame(told.encode())


class ReplayerProcess:
    """A running replayer, its standard input, and what it has said on its account pipe."""

    def __init__(self, process: trio.Process, account: trio.lowlevel.FdStream) -> None:
        self.process = process
        self._account = account
        self._unread = b""
        self.lines: list[bytes] = []

    async def write(self, *data: bytes) -> None:
        """Bytes to its standard input."""
        assert self.process.stdin is not None
        await self.process.stdin.send_all(b"".join(data))

    async def replay(self, *records: bytes) -> None:
        await self.write(*map(frame, records))

    async def until(self, condition: Callable[[Told], bool]) -> None:
        """Reads the account until a line says so, or has said so."""
        while not any(condition(decode_line(line)) for line in self.lines):
            assert await self._read_lines(), f"the account ended before that: {self.lines}"

    async def until_all(self, condition: Callable[[ReplayerProcess], bool]) -> None:
        """Reads the account until all that it has said fulfils the condition."""
        while not condition(self):
            assert await self._read_lines(), f"the account ended before that: {self.lines}"

    async def end(self, drain_seconds: float | None = 20) -> int:
        """Ends its input, with a closing frame or (None) without, reads the account, and returns the exit status."""
        if drain_seconds is not None:
            await self.write(frame(b""), frame(Closing(drain_seconds).encode()))
        await self.close_input()
        while await self._read_lines():
            pass
        return await self.process.wait()

    async def close_input(self) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.aclose()

    async def stderr(self) -> str:
        """All that it has said there, once it has ended."""
        assert self.process.stderr is not None
        return b"".join([bytes(data) async for data in self.process.stderr]).decode()

    @property
    def final(self) -> Sequence[OutputAccount]:
        """The outputs of the last account, which must be the final one."""
        last = decode_line(self.lines[-1])
        assert isinstance(last, Account) and last.final
        return last.outputs

    @property
    def failures(self) -> list[DestinationFailed]:
        told = map(decode_line, self.lines)
        return [line for line in told if isinstance(line, DestinationFailed)]

    async def _read_lines(self) -> bool:
        """Reads on; False at the end."""
        data = bytes(await self._account.receive_some())
        *lines, self._unread = (self._unread + data).split(b"\n")
        self.lines += lines
        return bool(data)


def outcomes_are(**outcomes: int) -> Callable[[Told], bool]:
    """For `until`: the first output's outcomes, as in `outcomes_are(_2xx=1)`."""
    expected = {name.lstrip("_"): count for name, count in outcomes.items()}
    return lambda line: isinstance(line, Account) and line.outputs[0].outcomes == expected


def received(count: int) -> Callable[[Told], bool]:
    """For `until`: the first output has received so many records."""
    return lambda line: isinstance(line, Account) and line.outputs[0].received == count


def has_failed(count: int) -> Callable[[ReplayerProcess], bool]:
    """For `until_all`: so many failures were told, summed up or not."""
    return lambda running: sum(said.count for said in running.failures) == count


def peak_memory_bytes(pid: int) -> int:
    """The most that a process has had in memory."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match
    return int(match[1]) * 1024


@asynccontextmanager
async def replayer(
    options: Sequence[tuple[str, str]] = (),
    *,
    first: bytes | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int = subprocess.DEVNULL,
    account_pipe: tuple[int, int] | None = None,
    program: Sequence[str] = PROGRAM,
    **more: float,
) -> AsyncIterator[ReplayerProcess]:
    """A replayer that has got its settings: `options`, or the bytes `first`."""
    account_out, account_in = account_pipe or os.pipe()
    process = await trio.lowlevel.open_process(
        [*program, "--launcher-pipe", str(account_in)],
        stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE,
        pass_fds=[account_in], cwd=ROOT, env={**os.environ, **(env or {})},
    )  # fmt: skip
    os.close(account_in)
    try:
        with trio.fail_after(LONG_SECONDS):
            async with trio.lowlevel.FdStream(account_out) as account:
                running = ReplayerProcess(process, account)
                await running.write(settings(options, **more) if first is None else first)  # type: ignore[arg-type]
                yield running
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                await trio.aclose_forcefully(stream)


# ---- destinations --------------------------------------------------------------------------------------------------

Handler = Callable[["Visit"], Awaitable[None]]


@dataclass
class Destination:
    """A listener on loopback; `requests` are whole requests as they came, over all connections."""

    port: int
    scheme: str = "http"
    host: str = "127.0.0.1"
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


class Visit:
    """One connection to a destination."""

    def __init__(self, destination: Destination, stream: trio.abc.Stream, sock: trio.SocketStream) -> None:
        self.destination = destination
        self.stream = stream
        self.sock = sock
        self._held = b""

    async def request(self) -> bytes | None:
        """The next whole request; None at the end of the connection."""
        while not (match := re.match(rb"(?s).*?\r\n\r\n", self._held)):
            if not await self._more():
                return None
        head = match[0]
        end = len(head) + int((re.search(rb"(?i)\ncontent-length: *(\d+)", head) or (b"", b"0"))[1])
        while len(self._held) < end:
            if not await self._more():
                return None
        request, self._held = self._held[:end], self._held[end:]
        self.destination.requests.append(request)
        return request

    async def _more(self) -> bool:
        data = await self.stream.receive_some()
        self._held += data
        return bool(data)

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    def reset(self) -> None:
        """Ends the connection with an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.socket.close()


async def healthy(visit: Visit) -> None:
    while await visit.request() is not None:
        await visit.send(OK)


@asynccontextmanager
async def destination(
    handler: Handler = healthy, ssl_context: object = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Destination]:
    """Serves until the end of the block; what happens to a connection after its handler's end: it is closed."""
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    served = Destination(listeners[0].socket.getsockname()[1], "https" if ssl_context else "http", host)

    async def serve(sock: trio.SocketStream) -> None:
        served.connections += 1
        stream = trio.SSLStream(sock, ssl_context, server_side=True) if ssl_context else sock  # type: ignore[arg-type]
        try:
            await handler(Visit(served, stream, sock))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, serve, listeners)
        yield served
        nursery.cancel_scope.cancel()
