"""What standard output and files share: records are written by a thread, a batch at a time.

A disk or a reader may be stuck for ever; then the thread is, and nobody waits for it beyond the drain. A batch is what
came within `interval_seconds` of its first record, at most `batch_bytes` or one record. A record has its outcome when
the system has taken it, never before.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Sequence

import trio

from launcher.replay.outcomes import Tally
from launcher.replay.record_format import UNTELLABLE, can_be_told_apart
from launcher.replay.record_queue import RecordQueue

BATCH_BYTES = 64 * 1024

Result = tuple[str, str]  # an outcome, and what went wrong


class BatchOutput:
    """An Output. `write` runs in the thread: it writes whole records, and returns what became of each."""

    def __init__(
        self,
        tally: Tally,
        queue: RecordQueue,
        write: Callable[[Sequence[bytes]], Sequence[Result]],
        *,
        batch_bytes: int = BATCH_BYTES,
        interval_seconds: float = 0.0,
    ) -> None:
        self.tally = tally
        self._queue = queue
        self._write = write
        self._batch_bytes = batch_bytes
        self._interval_seconds = interval_seconds
        self._thread = trio.CapacityLimiter(1)  # its own: a stuck thread keeps its token
        self._batch: list[bytes] = []

    def offer(self, record: bytes) -> None:
        self.tally.received += 1
        if not can_be_told_apart(record):
            self.tally.count("untellable", UNTELLABLE, record)
        elif not self._queue.offer(record):
            self.tally.count("queue_full", "what it writes to is slower than the traffic", record)

    def has_room(self, nbytes: int) -> bool:
        return self._queue.has_room(nbytes)

    def close(self) -> None:
        self._queue.close()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            while await self._take_batch():
                results = await trio.to_thread.run_sync(
                    self._write, self._batch, abandon_on_cancel=True, limiter=self._thread
                )
                self._end(results)
        finally:
            # After a cancellation: the batch that is stuck, and all that waits behind it.
            while self._batch or self._take_waiting():
                self._end([("unsent", "")] * len(self._batch))

    def tick(self) -> None:
        pass

    @property
    def held_bytes(self) -> int:
        return self._queue.held_bytes

    async def _take_batch(self) -> bool:
        record = await self._queue.take()
        if record is None:
            return False
        self._batch.append(record)
        nbytes = self._take_waiting(len(record))
        if self._interval_seconds:
            with trio.move_on_after(self._interval_seconds):
                while nbytes < self._batch_bytes and (record := await self._queue.take()) is not None:
                    self._batch.append(record)
                    nbytes = self._take_waiting(nbytes + len(record))
        return True

    def _take_waiting(self, nbytes: int = 0) -> int:
        while nbytes < self._batch_bytes and (record := self._queue.take_nowait()) is not None:
            self._batch.append(record)
            nbytes += len(record)
        return nbytes

    def _end(self, results: Sequence[Result]) -> None:
        batch, self._batch = self._batch, []
        for record, (outcome, error) in zip(batch, results, strict=True):
            self._queue.release(record)
            self.tally.count(outcome, error, record)


def write_all(fd: int, data: bytes) -> None:
    """In the thread. Raises OSError."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:  # somebody who shares the descriptor made it non-blocking
            select.select([], [fd], [])
