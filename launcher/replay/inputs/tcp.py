"""`--input-tcp ADDRESS`: records in gor's form from any number of connections, as gor's --output-tcp makes them.

Each connection holds at most one half-read record. What is no record, or too large, is counted, and reading goes on
behind the next separator. Only requests are replayed.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

import trio

from launcher.gor_values import size
from launcher.listen_address import ListenAddress, parse_listen_address
from launcher.replay.inputs import InputTally, Receive
from launcher.replay.inputs.http import listen
from launcher.replay.limiters import make_limiter
from launcher.replay.record_format import MAX_RECORD_BYTES, REQUEST, Event, Record, RecordReader

_RECEIVE_BYTES = 256 * 1024
_MAX_CONNECTIONS = 1000


class TcpInput:
    """An Input. After `open`, `port` is the one that it has."""

    def __init__(self, address: ListenAddress, max_record_bytes: int = MAX_RECORD_BYTES) -> None:
        self.tally = InputTally(f"--input-tcp {address.shown}")
        self.port = address.port
        self._address = address
        self._max_record_bytes = max_record_bytes
        self._limiter = make_limiter(address.limit) if address.limit else None
        self._listener: socket.socket | None = None
        self._connections = 0
        self._stopped = trio.Event()

    def open(self) -> None:
        self._listener = listen(self._address, "--input-tcp")
        self.port = self._listener.getsockname()[1]
        self.tally.shown = f"--input-tcp {self._address.with_port(self.port).shown}"

    async def run(self, receive: Receive) -> None:
        assert self._listener is not None, "an input runs that was not opened"
        with self._listener:
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._listener))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._accept, listener, receive)
                await self._stopped.wait()
                nursery.cancel_scope.cancel()

    def stop(self) -> None:
        self._stopped.set()

    async def _accept(self, listener: trio.SocketListener, receive: Receive) -> None:
        async def serve(stream: trio.SocketStream) -> None:
            await self._serve(stream, receive)

        await trio.serve_listeners(serve, [listener])

    async def _serve(self, stream: trio.SocketStream, receive: Receive) -> None:
        if self._connections >= _MAX_CONNECTIONS:
            self.tally.count("refused", f"{_MAX_CONNECTIONS} connections are open")
            await trio.aclose_forcefully(stream)
            return
        self._connections += 1
        reader = RecordReader(self._max_record_bytes)
        try:
            while data := await stream.receive_some(_RECEIVE_BYTES):
                self._take(reader.receive(data), receive)
        except trio.BrokenResourceError:
            pass
        finally:
            self._take(reader.receive_eof(), receive)
            self._connections -= 1
            await trio.aclose_forcefully(stream)

    def _take(self, events: list[Event], receive: Receive) -> None:
        for event in events:
            if not isinstance(event, Record):
                self.tally.count(event.kind, f"{event.error}: byte {event.offset} of a connection")
            elif event.type != REQUEST:
                self.tally.count("skipped_response")
            elif self._limiter is not None and not self._limiter.admits():
                self.tally.count("limited")
            else:
                self.tally.count("received")
                receive(event.data)


def new_tcp_input(value: str, single: Mapping[str, str]) -> TcpInput:
    """The input for `value`, checked by `gor_flags`."""
    return TcpInput(parse_listen_address(value), size(single.get("copy-buffer-size", "0")) or MAX_RECORD_BYTES)
