"""The app of the scenarios: answers every request after a little processor time, ends in good order at SIGTERM.

`app.py [--work-us N] [--wait-ms N] [--port N] [--hold-mib N] [--open-ms N]`: N microseconds of processor and N
milliseconds of waiting before each answer, and N MiB in use; `/large` and `/bytes/N` are large ones, `/events` has no
end until then, and `/discard` throws a body away. At SIGTERM, or N milliseconds later, it closes its listener, answers
what comes on the connections that there are, with `Connection: close`, ends each stream of events with a last one,
closes those on which nothing comes within 0.3 s, sends large answers to their end, and exits with 0.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
import time

_LARGE_BYTES = 20_000_000
_BLOCK_BYTES = 256 * 1024
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n%s\r\nok\n"
_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
_EVENT_SECONDS = 0.05
_LINGER_SECONDS = 0.3


class App:
    """What all connections share."""

    def __init__(self, work_us: float, wait_ms: float) -> None:
        self.work_seconds = work_us / 1e6
        self.wait_seconds = wait_ms / 1e3
        self.is_stopping = False
        self.connections: set[Connection] = set()
        self.all_gone = asyncio.Event()

    async def stop(self) -> None:
        """Returns when nobody is connected any more."""
        self.is_stopping = True
        await asyncio.sleep(_LINGER_SECONDS if self.connections else 0)
        for connection in list(self.connections):
            connection.close_if_idle()
        if self.connections:
            await self.all_gone.wait()


class Connection(asyncio.Protocol):
    """One client's connection: requests with or without a Content-Length, one after the other."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._data = bytearray()
        self._waits = False  # an answer is due later
        self._discards = 0  # bytes of a body to come
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._app.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._app.connections.discard(self)
        if self._app.is_stopping and not self._app.connections:
            self._app.all_gone.set()

    def data_received(self, data: bytes) -> None:
        if self._discards:
            self._discard(data)
            return
        self._data += data
        self._serve()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def _discard(self, data: bytes) -> None:
        """An upload's body is not kept."""
        self._discards -= len(data)
        if not self._discards:
            self._answer(self._app.is_stopping)

    def _send_large(self, nbytes: int) -> None:
        self._waits = True
        self._sending = asyncio.get_running_loop().create_task(self._write_large(nbytes))

    def _send_events(self) -> None:
        self._waits = True
        self._sending = asyncio.get_running_loop().create_task(self._write_events())

    async def _write_events(self) -> None:
        self._transport.write(_EVENTS)
        while not self._app.is_stopping and not self._transport.is_closing():
            self._transport.write(b"data: one more\n\n")
            await asyncio.sleep(_EVENT_SECONDS)
        self._transport.write(b"data: the last\n\n")
        self._transport.close()

    async def _write_large(self, nbytes: int) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % nbytes)
        while nbytes and not self._transport.is_closing():
            self._transport.write(bytes(min(nbytes, _BLOCK_BYTES)))
            nbytes -= min(nbytes, _BLOCK_BYTES)
            await self._may_write.wait()
        self._transport.close()

    def close_if_idle(self) -> None:
        if not self._data and not self._waits:
            self._transport.close()

    def _serve(self) -> None:
        while not self._waits and (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._data[:end]).lower()
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0]) if b"content-length: " in head else 0
            if head.startswith(b"post /discard "):
                self._discards = length - (len(self._data) - end - 4)
                self._data.clear()
                self._discard(b"")
                return
            if len(self._data) < end + 4 + length:
                return
            del self._data[: end + 4 + length]
            is_last = self._app.is_stopping or b"\r\nconnection: close" in head
            if head.startswith((b"get /large", b"get /bytes/")):
                self._send_large(int(head.split(b" ")[1].split(b"/")[2]) if b"/bytes/" in head else _LARGE_BYTES)
                return
            if head.startswith(b"get /events"):
                self._send_events()
                return
            if self._app.wait_seconds:
                self._waits = True
                asyncio.get_running_loop().call_later(self._app.wait_seconds, self._answer, is_last)
            else:
                self._answer(is_last)

    def _answer(self, is_last: bool) -> None:
        done_at = time.perf_counter() + self._app.work_seconds
        while time.perf_counter() < done_at:
            pass
        is_last = is_last or self._app.is_stopping
        self._transport.write(_ANSWER % (b"Connection: close\r\n" if is_last else b""))
        if is_last:
            self._transport.close()
        elif self._waits:
            self._waits = False
            self._serve()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work-us", type=float, default=0)
    parser.add_argument("--wait-ms", type=float, default=0)
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", 0)))
    parser.add_argument("--hold-mib", type=int, default=0)
    parser.add_argument("--open-ms", type=float, default=0)
    options = parser.parse_args(sys.argv[1:])
    held = b"x" * (options.hold_mib * 1024**2)  # touched: it is resident
    app = App(options.work_us, options.wait_ms)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(app), "127.0.0.1", options.port, backlog=1024)
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await asyncio.sleep(options.open_ms / 1000)
    server.close()
    await app.stop()
    del held
    os._exit(0)  # the loop's end would take the handler away, and a second SIGTERM the status


asyncio.run(main())
