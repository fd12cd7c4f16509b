"""`--output-http`: sends requests to one destination, over connections that are kept.

All in plain calls, hosted by the poller: a record is sent when it is offered, if one of `max_connections` is free, and
else when an answer frees one. So a destination that hangs, resets or answers garbage costs its own copies, and time
and memory that are bounded; one that does nothing else is left alone (`destination_brake`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from launcher.poller import Poller
from launcher.replay.connector import Connector
from launcher.replay.delivery import Delivery
from launcher.replay.destination_brake import DestinationBrake
from launcher.replay.inputs import Receive
from launcher.replay.outcomes import DESTINATION_FAILURES, STATUS_CLASSES, Ended, Tally
from launcher.replay.pool import ConnectionPool
from launcher.replay.record_queue import RecordQueue
from launcher.replay.requests import RequestError, outgoing
from launcher.replay.responses import MAX_BODY_BYTES, MAX_COMPARED_BODY_BYTES
from launcher.replay.settings import HttpOutputSettings
from launcher.replay.tracking import UNTRACKED, KeptAnswer
from launcher.replay_protocol import DestinationPaused, DestinationResumed

if TYPE_CHECKING:
    from launcher.replay.comparison.answers import Answer
    from launcher.replay.comparison.witness import Witness

_MAX_STARTS = 200  # in one go: records that end at once, as in back-off, must not keep others waiting
_SWEEP_SECONDS = 0.01  # time-outs come so late at most, not one by one


class HttpOutput:
    """An Output. `track` takes answers as records, `witness` compares them; None if nobody wants to."""

    def __init__(
        self,
        settings: HttpOutputSettings,
        queue: RecordQueue,
        connector: Connector,
        poller: Poller,
        track: Receive | None = None,
        witness: Witness | None = None,
    ) -> None:
        self._witness = witness
        self.tally = Tally(settings.shown, takes_responses=False)
        self.pool = ConnectionPool()
        self.connector = connector
        self.max_redirects = settings.max_redirects
        self.scheme = "https" if settings.is_https else "http"
        self.max_body_bytes = MAX_BODY_BYTES if track is None else max(settings.max_answer_bytes, MAX_BODY_BYTES)
        if witness is not None:
            self.max_body_bytes = max(self.max_body_bytes, MAX_COMPARED_BODY_BYTES)
        self._track = track
        self._settings = settings
        self._queue = queue
        self._poller = poller
        self._brake = DestinationBrake()
        self._paused_before = 0  # copies that ended so before the brake was pulled
        self._active: dict[Delivery, None] = {}  # the oldest first
        self._is_dispatching = False
        self._is_sweep_due = False
        self._is_closed = False
        self._finished = trio.Event()

    def offer(self, record: bytes) -> None:
        self.tally.received += 1
        if self._brake.is_pulled and not self._brake.admits(record, trio.current_time()):
            self._refuse(record, "paused")
        elif not self._queue.offer(record):
            self._brake.untried(record)
            self._refuse(record, "queue_full", "the destination is slower than the traffic")
        elif len(self._active) < self._settings.max_connections:
            self._dispatch()

    def has_room(self, nbytes: int) -> bool:
        return self._queue.has_room(nbytes)

    def close(self) -> None:
        self._queue.close()
        self._is_closed = True
        self._finish_if_done()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await self._finished.wait()
        finally:
            self._is_dispatching = True  # nothing starts any more
            for delivery in list(self._active):
                delivery.cancel()
                self.delivered(delivery, Ended("unsent"))
            while (record := self._queue.take_nowait()) is not None:
                self._end_unsent(record, Ended("unsent"))
            self.pool.close()

    def tick(self) -> None:
        self.pool.close_old()

    @property
    def held_bytes(self) -> int:
        return self._queue.held_bytes

    def retried(self) -> None:
        self.tally.retries += 1

    def new_kept_answer(self) -> KeptAnswer | None:
        return None if self._track is None else KeptAnswer(self._queue, self._settings.max_answer_bytes)

    def new_compared_answer(self) -> Answer | None:
        return None if self._witness is None else self._witness.new_answer()

    def delivered(self, delivery: Delivery, ended: Ended) -> None:
        del self._active[delivery]
        seconds = trio.current_time() - delivery.started
        if ended.outcome in STATUS_CLASSES:
            self.tally.measure(seconds)
            if self._track is not None:
                self._track_answer(self._track, delivery, ended, seconds)
        self._end(delivery.record, ended)
        if self._witness is not None:
            self._witness.ended(delivery.record, ended, delivery.take_compared(), seconds)
        self._judge(delivery.record, ended)
        if self._queue:
            self._dispatch()
        elif self._is_closed:
            self._finish_if_done()

    def _judge(self, record: bytes, ended: Ended) -> None:
        """What an end says of the destination."""
        brake = self._brake
        if ended.outcome in DESTINATION_FAILURES:
            failing_seconds = brake.failed(record, trio.current_time())
            if failing_seconds is not None:
                self._pause(failing_seconds, ended)
        elif brake.failures and ended.outcome in STATUS_CLASSES:
            paused_seconds = brake.answered(trio.current_time())
            if paused_seconds is not None:
                copies = self.tally.outcomes["paused"] - self._paused_before
                self.tally.tell(DestinationResumed(self.tally.destination, paused_seconds, copies))

    def _pause(self, failing_seconds: float, ended: Ended) -> None:
        """Ends what waits; what is under way may still be answered."""
        self._paused_before = self.tally.outcomes["paused"]
        self.tally.tell(
            DestinationPaused(
                self.tally.destination, failing_seconds, self._brake.failures, ended.outcome, ended.error
            )
        )
        while (record := self._queue.take_nowait()) is not None:
            self._end_unsent(record, Ended("paused"))

    def _track_answer(self, track: Receive, delivery: Delivery, ended: Ended, seconds: float) -> None:
        is_whole = ended.response is not None and ended.response.is_whole
        record = delivery.answer.record(delivery.record, seconds) if delivery.answer and is_whole else None
        if record is None:
            self.tally.untracked += 1
            self.tally.note("untracked", UNTRACKED)
        else:
            self.tally.tracked += 1
            track(record)

    def _dispatch(self) -> None:
        """Starts what waits, as far as connections are free."""
        if self._is_dispatching:  # what has just ended was started further up in this very call
            return
        self._is_dispatching = True
        try:
            for _ in range(_MAX_STARTS):
                if len(self._active) >= self._settings.max_connections:
                    return
                record = self._queue.take_nowait()
                if record is None:
                    return
                self._start(record)
            self._poller.call_later(0, self._dispatch)
        finally:
            self._is_dispatching = False
            if self._is_closed:
                self._finish_if_done()

    def _start(self, record: bytes) -> None:
        try:
            request = outgoing(record, self._settings.head_edits)
        except RequestError as error:
            self._brake.untried(record)
            self._end_unsent(record, Ended("protocol", str(error)))
            return
        delivery = Delivery(self, record, request, trio.current_time())
        self._active[delivery] = None
        if not self._is_sweep_due:
            self._is_sweep_due = True
            self._poller.call_later(self._settings.timeout_seconds, self._sweep)
        delivery.start()

    def _sweep(self) -> None:
        """Ends what has taken too long, and comes again when the next one will have."""
        self._is_sweep_due = False
        now = trio.current_time()
        timeout = self._settings.timeout_seconds
        for delivery in list(self._active):
            left = delivery.started + timeout - now
            if left > 0:
                self._is_sweep_due = True
                self._poller.call_later(max(left, _SWEEP_SECONDS), self._sweep)
                return
            delivery.cancel()
            self.delivered(delivery, Ended("timeout", f"no whole answer within {timeout:g} s"))

    def _refuse(self, record: bytes, outcome: str, error: str = "") -> None:
        """The end of a record that was not taken."""
        self.tally.count(outcome, error, record)
        if self._witness is not None:
            self._witness.ended(record, Ended(outcome))

    def _end_unsent(self, record: bytes, ended: Ended) -> None:
        """The end of a record that no delivery was begun for."""
        self._end(record, ended)
        if self._witness is not None:
            self._witness.ended(record, ended)

    def _end(self, record: bytes, ended: Ended) -> None:
        self._queue.release(record)
        self.tally.count(ended.outcome, ended.error, record)

    def _finish_if_done(self) -> None:
        if not self._active and not self._queue:
            self._finished.set()
