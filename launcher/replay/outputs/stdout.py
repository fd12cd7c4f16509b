"""`--output-stdout`: records in gor's form, each followed by a newline, three monkeys and a newline.

Standard output belongs to others, too, so it is not made non-blocking: a thread writes, and may stay stuck for ever
without anybody waiting for it. What waits is written together, up to 64 KiB or one record.
"""

from __future__ import annotations

import os
import select

import trio

from launcher.replay.outcomes import Tally
from launcher.replay.record_queue import RecordQueue

SEPARATOR = "\n🐵🙈🙉\n".encode()  # gor's payloadSeparator
_BATCH_BYTES = 64 * 1024


class StdoutOutput:
    """An Output. `fd` may be blocking or not, and a pipe that nobody reads."""

    def __init__(self, queue: RecordQueue, fd: int = 1) -> None:
        self.tally = Tally("stdout")
        self._queue = queue
        self._fd = fd
        self._thread = trio.CapacityLimiter(1)  # its own: a stuck thread keeps its token

    def offer(self, record: bytes) -> None:
        self.tally.received += 1
        if not self._queue.offer(record):
            self.tally.count("queue_full", "standard output is not read fast enough", record)

    def close(self) -> None:
        self._queue.close()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        batch: list[bytes] = []
        try:
            while batch := await self._take_batch():
                data = b"".join(part for record in batch for part in (record, SEPARATOR))
                error = await trio.to_thread.run_sync(
                    _write_all, self._fd, data, abandon_on_cancel=True, limiter=self._thread
                )
                self._end(batch, "write_failed" if error else "written", error)
        finally:
            # After a cancellation: the batch that is stuck, and all that waits behind it.
            while batch or (batch := self._take_waiting()):
                self._end(batch, "unsent")
                batch = []

    def tick(self) -> None:
        pass

    @property
    def held_bytes(self) -> int:
        return self._queue.held_bytes

    async def _take_batch(self) -> list[bytes]:
        record = await self._queue.take()
        return [] if record is None else [record, *self._take_waiting(len(record))]

    def _take_waiting(self, nbytes: int = 0) -> list[bytes]:
        records: list[bytes] = []
        while nbytes < _BATCH_BYTES and (record := self._queue.take_nowait()) is not None:
            records.append(record)
            nbytes += len(record)
        return records

    def _end(self, records: list[bytes], outcome: str, error: str = "") -> None:
        for record in records:
            self._queue.release(record)
            self.tally.count(outcome, error, record)


def _write_all(fd: int, data: bytes) -> str:
    """In the thread; returns what went wrong."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:  # somebody who shares the descriptor made it non-blocking
            select.select([], [fd], [])
        except OSError as error:
            return (error.strerror or "error").lower()
    return ""
