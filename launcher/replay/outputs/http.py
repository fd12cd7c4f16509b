"""`--output-http`: sends requests to one destination, over connections that are kept.

Workers take from the queue, one request at a time each; a worker is started when a record finds none waiting, up to
`max_connections`. So a destination that hangs, resets or answers garbage costs its own copies, and time and memory
that are bounded. Nothing is sent twice, but a GET or HEAD without body that met a kept connection which ended before
one byte of an answer: it is sent once more, on a new one, and counted in `retries`.
"""

from __future__ import annotations

import math

import trio

from launcher.replay.connection import Connection, Ended
from launcher.replay.connector import Connector
from launcher.replay.outcomes import STATUS_CLASSES, Tally
from launcher.replay.pool import ConnectionPool
from launcher.replay.record_queue import RecordQueue
from launcher.replay.requests import Request, RequestError, outgoing
from launcher.replay.settings import HttpOutputSettings


class HttpOutput:
    """An Output."""

    def __init__(self, settings: HttpOutputSettings, queue: RecordQueue, connector: Connector) -> None:
        self.tally = Tally(settings.shown)
        self._settings = settings
        self._queue = queue
        self._connector = connector
        self._pool = ConnectionPool()
        self._workers = 0
        self._nursery: trio.Nursery | None = None
        self._closed = trio.Event()

    def offer(self, record: bytes) -> None:
        self.tally.received += 1
        needs_worker = not self._queue.has_takers
        if not self._queue.offer(record):
            self.tally.count("queue_full", "the destination is slower than the traffic")
        elif needs_worker and self._workers < self._settings.max_connections:
            assert self._nursery is not None, "a record was offered to an output that does not run"
            self._workers += 1
            self._nursery.start_soon(self._work)

    def close(self) -> None:
        self._queue.close()
        self._closed.set()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        try:
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                await self._closed.wait()
        finally:
            while (record := self._queue.take_nowait()) is not None:
                self._end(record, Ended("unsent"))
            self._pool.close()

    def tick(self) -> None:
        self._pool.close_old()

    @property
    def held_bytes(self) -> int:
        return self._queue.held_bytes

    async def _work(self) -> None:
        """One worker, until the queue is closed and empty."""
        is_open = True
        while is_open:
            # One scope serves many exchanges, its deadline moved for each: opening one costs four times as much.
            with trio.CancelScope() as timeout:
                is_open = await self._work_until_timeout(timeout)

    async def _work_until_timeout(self, timeout: trio.CancelScope) -> bool:
        while not timeout.cancel_called:
            if not self._queue:
                timeout.deadline = math.inf
            record = await self._queue.take()
            if record is None:
                return False
            started = trio.current_time()
            timeout.deadline = started + self._settings.timeout_seconds
            try:
                ended = await self._replay(record)
            except BaseException:  # cancelled: by its own time-out, or because the replayer has to end
                self._end(record, self._cut_short(timeout))
                raise
            self._end(record, ended, trio.current_time() - started)
        return True

    def _cut_short(self, timeout: trio.CancelScope) -> Ended:
        if timeout.cancel_called:
            return Ended("timeout", f"no whole answer within {self._settings.timeout_seconds:g} s")
        return Ended("unsent")

    async def _replay(self, record: bytes) -> Ended:
        try:
            request = outgoing(record, self._settings.head_edits)
        except RequestError as error:
            await trio.lowlevel.checkpoint()
            return Ended("protocol", str(error))
        kept = self._pool.take()
        if kept is not None:
            ended = await self._exchange(kept, request)
            if not (ended.was_silent and request.is_retryable):
                return ended
            self.tally.retries += 1
        connection = await self._connector.connect()
        if isinstance(connection, Ended):
            return connection
        return await self._exchange(connection, request)

    async def _exchange(self, connection: Connection, request: Request) -> Ended:
        is_reusable = False
        try:
            ended = await connection.exchange(request)
            is_reusable = ended.is_reusable
            return ended
        finally:
            if is_reusable:
                self._pool.give_back(connection)
            else:
                connection.close()

    def _end(self, record: bytes, ended: Ended, seconds: float = 0.0) -> None:
        self._queue.release(record)
        self.tally.count(ended.outcome, ended.error)
        if ended.outcome in STATUS_CLASSES:
            self.tally.measure(seconds)
