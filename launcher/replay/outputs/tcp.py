"""`--output-tcp HOST:PORT`: records in gor's form to an aggregator, gor's --input-tcp or ours, over kept connections.

gor's protocol has no answer. So `written` means that the aggregator's machine has acknowledged every byte (the kernel
tells what is outstanding: SIOCOUTQ); a program that dies may still lose what its kernel held unread. `reset` is a
record that was sent, wholly or in part, when the connection broke before that: it may have arrived. What no byte was
sent of goes over the next connection; nothing is sent twice. While there is no aggregator, records wait in the queue.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import sys
import termios
from collections import deque
from collections.abc import Sequence

import trio

from launcher.fnv1a import fnv1a
from launcher.replay.backoff import Backoff
from launcher.replay.outcomes import Tally
from launcher.replay.record_format import SEPARATOR, UNTELLABLE, can_be_told_apart, identity
from launcher.replay.record_queue import RecordQueue
from launcher.replay.stream_settings import TcpOutputSettings

_BATCH_BYTES = 64 * 1024
_SETTLE_SECONDS = 0.02  # how often acknowledgements are asked for while nothing else happens
_CONNECT_SECONDS = 5.0  # gor's
_RETRY_SECONDS = 0.05  # until the back-off is asked again
_UNACKNOWLEDGED_MS = 30_000  # until a machine that has vanished counts as gone


class TcpOutput:
    """An Output."""

    def __init__(self, settings: TcpOutputSettings, queue_bytes: int) -> None:
        self.tally = Tally(settings.shown)
        count = settings.workers if settings.is_sticky else 1
        self._queues = [RecordQueue(queue_bytes // count) for _ in range(count)]
        backoff = Backoff()
        self._workers = [
            _Worker(settings, self._queues[number % count], self.tally, backoff) for number in range(settings.workers)
        ]

    def offer(self, record: bytes) -> None:
        self.tally.received += 1
        if not can_be_told_apart(record):
            self.tally.count("untellable", UNTELLABLE, record)
            return
        # gor's choice of a worker: FNV-1a of the ID.
        number = fnv1a(identity(record)) % len(self._queues) if len(self._queues) > 1 else 0
        if not self._queues[number].offer(record):
            self.tally.count("queue_full", "the aggregator is away, or slower than the traffic", record)

    def has_room(self, nbytes: int) -> bool:
        return all(queue.has_room(nbytes) for queue in self._queues)

    def close(self) -> None:
        for queue in self._queues:
            queue.close()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            async with trio.open_nursery() as nursery:
                for worker in self._workers:
                    nursery.start_soon(worker.run)
        finally:
            for queue in self._queues:
                while (record := queue.take_nowait()) is not None:
                    queue.release(record)
                    self.tally.count("unsent", "", record)

    def tick(self) -> None:
        pass

    @property
    def held_bytes(self) -> int:
        return sum(queue.held_bytes for queue in self._queues)


class _Worker:
    """One connection after the other."""

    def __init__(self, settings: TcpOutputSettings, queue: RecordQueue, tally: Tally, backoff: Backoff) -> None:
        self._settings = settings
        self._queue = queue
        self._tally = tally
        self._backoff = backoff
        self._unsent: deque[bytes] = deque()  # taken from the queue; no byte of them was sent
        self._sent: deque[tuple[int, bytes]] = deque()  # where each ends in the connection's bytes

    async def run(self) -> None:
        """Until the queue is closed and empty, and all is acknowledged."""
        try:
            while await self._take(wait=True):
                sock = await self._connect()
                try:
                    await self._serve(sock)
                finally:
                    sock.close()
        finally:  # cancelled: the replayer has to end
            for record in (*(record for _, record in self._sent), *self._unsent):
                self._end(record, "unsent")

    async def _take(self, *, wait: bool) -> bool:
        """Takes what waits, up to a batch; whether there is anything to send."""
        if wait and not self._unsent and (record := await self._queue.take()) is not None:
            self._unsent.append(record)
        nbytes = sum(map(len, self._unsent))
        while nbytes < _BATCH_BYTES and (more := self._queue.take_nowait()) is not None:
            self._unsent.append(more)
            nbytes += len(more)
        return bool(self._unsent)

    async def _connect(self) -> socket.socket:
        """Tries until there is a connection."""
        while True:
            started = trio.current_time()
            if not self._backoff.may_connect(started):
                await trio.sleep(_RETRY_SECONDS)
                continue
            try:
                with trio.fail_after(_CONNECT_SECONDS):
                    stream = await trio.open_tcp_stream(self._settings.host, self._settings.port)
            except (OSError, UnicodeError, trio.TooSlowError) as error:
                self._backoff.failed(started, trio.current_time())
                kind = "dns" if isinstance(error, socket.gaierror) else "refused"
                self._tally.note(kind, f"no connection to the aggregator: {_words(error)}; records wait")
                continue
            except BaseException:
                self._backoff.timed_out(started, trio.current_time())
                raise
            self._backoff.succeeded()
            return _prepared(stream)

    async def _serve(self, sock: socket.socket) -> None:
        """Sends until the connection breaks, or everything is done."""
        link = _Link(sock)
        try:
            while True:
                if not self._unsent:
                    # A record is taken only by a connection that still stands.
                    with trio.move_on_after(_SETTLE_SECONDS if self._sent else _IDLE_LOOK_SECONDS):
                        if not await self._take(wait=True):
                            break
                link.check()
                await self._send(link)
                self._settle(link.acknowledged())
            while self._sent:
                await trio.sleep(_SETTLE_SECONDS)
                link.check()
                self._settle(link.acknowledged())
        except OSError as error:
            self._settle(link.acknowledged())
            while self._sent:
                self._end(self._sent.popleft()[1], "reset", f"the connection broke: {_words(error)}")
        finally:
            self._settle(link.acknowledged())

    async def _send(self, link: _Link) -> None:
        """Sends what was taken. Raises OSError; then each record is in `_sent` if a byte of it went out."""
        data = memoryview(b"".join(part for record in self._unsent for part in (record, SEPARATOR)))
        while data:
            sent = link.send_nowait(data)
            data = data[sent:]
            while self._unsent and link.begun > link.end_of_records:
                record = self._unsent.popleft()
                link.end_of_records += len(record) + len(SEPARATOR)
                self._sent.append((link.end_of_records, record))
            if data and not sent:
                self._settle(link.acknowledged())
                await link.wait_writable()
        await trio.lowlevel.checkpoint()

    def _settle(self, acknowledged: int) -> None:
        while self._sent and self._sent[0][0] <= acknowledged:
            self._end(self._sent.popleft()[1], "written")

    def _end(self, record: bytes, outcome: str, error: str = "") -> None:
        self._queue.release(record)
        self._tally.count(outcome, error, record)


_IDLE_LOOK_SECONDS = 1.0  # a connection that the aggregator has closed is noticed within this time


class _Link:
    """What has gone over one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.begun = 0  # bytes that the kernel has taken
        self.end_of_records = 0  # where the newest record ends of which a byte was sent
        self._acknowledged = 0

    def send_nowait(self, data: memoryview) -> int:
        """How many bytes the kernel took. Raises OSError."""
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            return 0
        self.begun += sent
        return sent

    async def wait_writable(self) -> None:
        """Also returns when the connection breaks, and now and then."""
        with trio.move_on_after(_IDLE_LOOK_SECONDS):
            await trio.lowlevel.wait_writable(self._socket)

    def check(self) -> None:
        """Raises OSError if the aggregator has closed or reset the connection; what it says is thrown away."""
        try:
            while data := self._socket.recv(4096):
                del data
        except BlockingIOError:
            return
        raise ConnectionResetError(errno.ECONNRESET, "closed by the aggregator")

    def acknowledged(self) -> int:
        """How many bytes have arrived at the other machine; also after the connection broke."""
        if sys.platform != "linux":  # no other system tells it alike
            return self.begun
        try:
            outstanding = struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)))[0]
        except OSError:
            return self._acknowledged
        self._acknowledged = max(self._acknowledged, self.begun - outstanding)
        return self._acknowledged


def _prepared(stream: trio.SocketStream) -> socket.socket:
    sock = socket.socket(fileno=stream.socket.detach())
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
    return sock


def _words(error: BaseException) -> str:
    group: Sequence[BaseException] = getattr(error.__cause__, "exceptions", ()) or (error,)
    words = [os.strerror(each.errno) if isinstance(each, OSError) and each.errno and each.errno > 0
             else type(each).__name__ for each in group]  # fmt: skip
    return ", ".join(dict.fromkeys(words)).lower()
