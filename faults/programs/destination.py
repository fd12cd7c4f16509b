"""A destination that misbehaves: `destination.py MODE [--port N] [--tls CERTIFICATE-AND-KEY]`; prints its port.

It prints `first` when the first whole request has come. SIGTERM ends it, and it prints its own account, as JSON: how
many whole requests have `arrived`, how many answers it has `begun`, and of how many bytes the `longest` one was so far.

well      answers 200 at once            errors    answers 500 at once
hang      reads, never answers           deaf      accepts, never reads
reset     resets once a request is there late N    answers after N seconds
trickle N its answer comes a byte each N seconds
endless   its answer's body never ends    endless-head  its answer's head never ends

It is another machine in real life, so it runs at the lowest priority here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import ssl
import struct
import sys
import time

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_MODES = ("well", "errors", "hang", "deaf", "reset", "late", "trickle", "endless", "endless-head")
_PIECE = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
_BUFFER_BYTES = 64 * 1024  # so that the kernel here does not move megabytes at once for what would come by packets
_LINK_BYTES = 125_000_000  # a second: 1 Gbit/s
_WORTH_A_SLEEP_SECONDS = 0.002
_LINE = (b"X-More: " + b"x" * 4000 + b"\r\n") * 8
_ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops"


class Misbehaviour:
    """What becomes of each request."""

    def __init__(self, mode: str, seconds: float) -> None:
        self._mode = mode
        self._seconds = seconds
        self._busy_until = 0.0
        self.arrived = self.begun = self.longest = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while self._mode == "deaf":
                await asyncio.sleep(3600)
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lower = head.lower()
                if b"content-length: " in lower:
                    await reader.readexactly(int(lower.split(b"content-length: ")[1].split(b"\r\n")[0]))
                self.arrived += 1
                if self.arrived == 1:
                    print("first", flush=True)
                await self._answer(writer)
        except (OSError, EOFError, asyncio.LimitOverrunError):
            writer.close()

    def _seconds_ahead(self, nbytes: int) -> float:
        """How long a link of _LINK_BYTES a second is busy with what was sent before, on all connections."""
        now = time.monotonic()
        self._busy_until = max(self._busy_until, now) + nbytes / _LINK_BYTES
        return self._busy_until - now if self._busy_until - now > _WORTH_A_SLEEP_SECONDS else 0

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        if self._mode == "hang":
            await asyncio.sleep(3600)
        if self._mode == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            raise ConnectionResetError
        if self._mode == "late":
            await asyncio.sleep(self._seconds)
        self.begun += 1
        if self._mode == "trickle":
            for position in range(len(_OK)):
                writer.write(_OK[position : position + 1])
                await asyncio.sleep(self._seconds)
            return
        if self._mode.startswith("endless"):
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n")
            if self._mode == "endless":
                writer.write(b"\r\n")
            piece = _PIECE if self._mode == "endless" else _LINE
            nbytes = 0
            while True:
                writer.write(piece)
                await writer.drain()
                nbytes += len(piece)
                self.longest = max(self.longest, nbytes)
                await asyncio.sleep(self._seconds_ahead(len(piece)))
        writer.write(_ERROR if self._mode == "errors" else _OK)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=_MODES)
    parser.add_argument("seconds", type=float, nargs="?", default=1.0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls")
    options = parser.parse_args(sys.argv[1:])
    os.nice(19)
    tls = None
    if options.tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.tls)
    behaviour = Misbehaviour(options.mode, options.seconds)
    listener = socket.create_server((options.host, options.port), backlog=1024)
    for name in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        listener.setsockopt(socket.SOL_SOCKET, name, _BUFFER_BYTES)
    server = await asyncio.start_server(behaviour.serve, sock=listener, backlog=1024, ssl=tls)
    is_asked_to_end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, is_asked_to_end.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    await is_asked_to_end.wait()
    names = ("arrived", "begun", "longest")
    print(json.dumps({name: getattr(behaviour, name) for name in names}), flush=True)
    os._exit(0)  # whatever is still under way


asyncio.run(main())
