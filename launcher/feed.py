"""The way into one replayer process: takes records from a queue and writes them into a pipe, never waiting for it.

Built-in replayers get frames, at the end of each batch; gor gets lines of hex, every 5 ms, because at a thousand
records a second that takes gor's processor time from 220 to about 60 µs a record. At most 64 KiB are turned into hex
at a time: 4 MiB at once would stop every client for 6 ms. A full pipe waits for the poller, nobody else.

What the replayer has not read is known: FIONREAD on the write end works even after the reader's death, and the feed
keeps where each record ends. So each record is `taken` or `lost`, never both, and nothing is sent twice.
"""

from __future__ import annotations

import array
import fcntl
import os
import termios
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import trio

from launcher.mirror_queue import MirrorQueue
from launcher.poller import WRITABLE, Poller
from launcher.records import LENGTH_PREFIX

Encoder = Callable[[bytes], Iterable[bytes]]

_SLICE_BYTES = 64 * 1024
_ONLY_ITS_END = 0  # epoll tells of a pipe whose readers have gone without being asked
_MANY_UNREAD = 4096


def frames(record: bytes) -> Iterable[bytes]:
    """A record in the built-in replayer's form."""
    return (LENGTH_PREFIX.pack(len(record)), record)


def hex_lines(record: bytes) -> Iterator[bytes]:
    """A record in gor's form, at most 64 KiB of it at a time."""
    for start in range(0, len(record), _SLICE_BYTES):
        yield record[start : start + _SLICE_BYTES].hex().encode()
    yield b"\n"


class Feed:
    """One queue's feed. It outlives the replayer's processes: `open` gives it a new one's pipe, `close` ends that."""

    def __init__(self, poller: Poller, queue: MirrorQueue, encoder: Encoder, *, batch_seconds: float = 0) -> None:
        self._poller = poller
        self.queue = queue
        self._encode = encoder
        self._batch_seconds = batch_seconds
        self._fd = -1
        self._is_blocked = False  # the pipe is full
        self._is_scheduled = False
        self._record: bytes | None = None  # the one that is being encoded
        self._pieces: Iterator[bytes] = iter(())  # what is left to encode of it
        self._waiting = memoryview(b"")  # encoded, not yet in the pipe
        self._ends: deque[int] = deque()  # where in the stream each record ends that was not seen read
        self._encoded_bytes = 0
        self._written_bytes = 0
        self.broken = trio.Event()
        queue.on_offer = self._schedule

    def open(self, fd: int) -> None:
        """Feeds the non-blocking write end `fd`, which is the feed's from now on."""
        assert self._fd < 0, "a feed has one pipe at a time"
        self._fd = fd
        self._waiting = memoryview(b"")
        self._encoded_bytes = self._written_bytes = 0
        self.broken = trio.Event()
        self._poller.register(fd, _ONLY_ITS_END, self._on_event)
        self._schedule()

    def close(self) -> None:
        """Ends the pipe. What its reader has not read wholly is `lost`; what waits in the queue stays."""
        if self._fd < 0:
            return
        self.update_counters()
        self.queue.counters.lost += len(self._ends)
        self._ends.clear()
        if self._record is not None:
            self.queue.counters.lost += 1
            self.queue.release(self._record)
            self._record = None
            self._pieces = iter(())
        if not self.broken.is_set():
            self._poller.unregister(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._is_blocked = False  # a full pipe may end before the poller has told of it

    def write_last(self, data: bytes) -> None:
        """Writes a few bytes behind the last record, if they fit: `is_drained` must be true."""
        assert self.is_drained, "the last words come after the last record"
        try:
            self._written_bytes += os.write(self._fd, data)
        except OSError:
            return  # a reader that far behind sees only the pipe's end

    @property
    def is_open(self) -> bool:
        return self._fd >= 0

    @property
    def is_drained(self) -> bool:
        """Nothing waits in the queue, and all that was taken from it is in the pipe."""
        return self.is_open and not self.queue and self._record is None and len(self._waiting) == 0

    def unread_bytes(self) -> int:
        """Bytes in the pipe that the replayer has not read; 0 when there is no pipe."""
        if self._fd < 0:
            return 0
        nbytes = array.array("i", [0])
        fcntl.ioctl(self._fd, termios.FIONREAD, nbytes)
        return nbytes[0]

    def flush(self) -> None:
        """Writes what waits until the queue is empty or the pipe full."""
        self._is_scheduled = False
        if self._can_write:
            self._write()

    @property
    def _can_write(self) -> bool:
        return self._fd >= 0 and not self._is_blocked and not self.broken.is_set()

    def _schedule(self) -> None:
        if self._is_scheduled or not self._can_write:
            return
        self._is_scheduled = True
        if self._batch_seconds:
            self._poller.call_later(self._batch_seconds, self.flush)
        else:
            self._poller.at_batch_end(self.flush)

    def _write(self) -> None:
        while self._waiting or self._encode_more():
            try:
                nbytes = os.write(self._fd, self._waiting)
            except BlockingIOError:
                self._block(True)
                return
            except OSError:  # EPIPE
                self._break()
                return
            self._waiting = self._waiting[nbytes:]
            self._written_bytes += nbytes
        self._block(False)
        if len(self._ends) > _MANY_UNREAD:
            self.update_counters()

    def _encode_more(self) -> bool:
        """Joins what waits, until it is 64 KiB, into the next write."""
        joined: list[bytes] = []
        encoded: list[bytes] = []
        size = 0
        while size < _SLICE_BYTES:
            for piece in self._pieces:
                joined.append(piece)
                size += len(piece)
                if size >= _SLICE_BYTES:
                    break
            else:
                if self._record is not None:
                    self._ends.append(self._encoded_bytes + size)
                    encoded.append(self._record)
                self._record = self.queue.pop()
                if self._record is None:
                    break
                self._pieces = iter(self._encode(self._record))
        self.queue.release(*encoded)
        self._encoded_bytes += size
        self._waiting = memoryview(b"".join(joined))
        return size > 0

    def update_counters(self) -> None:
        """Asks the pipe how much was read, so that `taken` is of this moment."""
        read_bytes = self._written_bytes - self.unread_bytes()
        while self._ends and self._ends[0] <= read_bytes:
            self._ends.popleft()
            self.queue.counters.taken += 1

    def _block(self, is_blocked: bool) -> None:
        if is_blocked != self._is_blocked:
            self._is_blocked = is_blocked
            self._poller.modify(self._fd, WRITABLE if is_blocked else _ONLY_ITS_END)

    def _on_event(self, ready: int) -> None:
        if ready == WRITABLE:
            self._write()
        else:
            self._break()

    def _break(self) -> None:
        """The pipe has no reader any more."""
        self._is_blocked = False
        self._poller.unregister(self._fd)
        self.broken.set()
