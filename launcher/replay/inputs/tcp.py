"""`--input-tcp ADDRESS`: records in gor's form from any number of connections, as gor's --output-tcp makes them.

Bounded are connections (1000), what each holds of a record half read (--copy-buffer-size) and what all hold together
(64 MiB). What is no record, or too large, or does not fit, is counted, and reading goes on behind the next separator.
Only requests are replayed.

A stop: nobody is accepted any more, but for those who wait already. Each sender is told the end (FIN), and what it has
sent by then is still taken, for at most half a second: a sender that heeds it, as ours does, loses nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress

import trio

from launcher.gor.values import size
from launcher.listen_address import ListenAddress, parse_listen_address
from launcher.replay.failures import defect
from launcher.replay.inputs import InputTally, Receive
from launcher.replay.inputs.acceptor import Acceptor
from launcher.replay.inputs.http import MAX_HELD_BYTES, listen
from launcher.replay.limiters import make_limiter
from launcher.replay.record_format import MAX_RECORD_BYTES, REQUEST, Event, Record, RecordReader

_RECEIVE_BYTES = 256 * 1024
_MAX_CONNECTIONS = 1000
_STOPPING_SECONDS = 0.5


class TcpInput:
    """An Input. After `open`, `port` is the one that it has."""

    def __init__(
        self,
        address: ListenAddress,
        max_record_bytes: int = MAX_RECORD_BYTES,
        max_held_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self.tally = InputTally(f"--input-tcp {address.shown}")
        self.port = address.port
        self._address = address
        self._max_record_bytes = max_record_bytes
        self._limiter = make_limiter(address.limit) if address.limit else None
        self._listener: socket.socket | None = None
        self._max_held_bytes = max_held_bytes
        self.held_bytes = 0  # of records half read, over all connections
        self._streams: dict[trio.SocketStream, None] = {}
        self._acceptor = Acceptor(self.tally)

    def open(self) -> None:
        self._listener = listen(self._address, "--input-tcp")
        self.port = self._listener.getsockname()[1]
        self.tally.shown = f"--input-tcp {self._address.with_port(self.port).shown}"

    async def run(self, receive: Receive) -> None:
        assert self._listener is not None, "an input runs that was not opened"
        with self._listener:
            async with trio.open_nursery() as nursery:
                await self._acceptor.run(self._listener, lambda sock: self._begin(sock, nursery, receive))
                for stream in self._streams:
                    with suppress(OSError):
                        stream.socket.shutdown(socket.SHUT_WR)
                nursery.cancel_scope.deadline = trio.current_time() + _STOPPING_SECONDS

    def stop(self) -> None:
        self._acceptor.stop()

    def _begin(self, sock: socket.socket, nursery: trio.Nursery, receive: Receive) -> None:
        if len(self._streams) >= _MAX_CONNECTIONS:
            self.tally.count("refused", f"{_MAX_CONNECTIONS} connections are open")
            sock.close()
            return
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._streams[stream] = None
        nursery.start_soon(self._serve, stream, receive)

    async def _serve(self, stream: trio.SocketStream, receive: Receive) -> None:
        reader = RecordReader(self._max_record_bytes)
        held = 0
        try:
            while data := await stream.receive_some(_RECEIVE_BYTES):
                self._take(reader.receive(data), receive)
                if self.held_bytes - held + reader.held_bytes > self._max_held_bytes:
                    reader.give_up()
                self.held_bytes += reader.held_bytes - held
                held = reader.held_bytes
        except trio.BrokenResourceError:
            pass
        except Exception as error:  # noqa: BLE001 - trio's cancellation is no Exception; a defect costs one connection
            self.tally.count("failed", defect(error))
        finally:
            self._take(reader.receive_eof(), receive)
            self.held_bytes -= held
            del self._streams[stream]
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
                self.tally.hand_on(event.data, receive)


def new_tcp_input(value: str, single: Mapping[str, str]) -> TcpInput:
    """The input for `value`, checked by `gor.flags`."""
    return TcpInput(parse_listen_address(value), size(single.get("copy-buffer-size", "0")) or MAX_RECORD_BYTES)
