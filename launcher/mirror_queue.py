"""The bounded memory of the mirror: one budget for all that it holds, one queue of records for each replayer.

`offer` never waits: a record that does not fit its queue's share, or the budget, is dropped whole and counted.
Each record is charged its bytes and 256 more for what Python keeps around it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from launcher.counters import FeedCounters

RECORD_OVERHEAD_BYTES = 256


class Budget:
    """Bytes that the whole mirror may hold: `--buffer`."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    def take(self, nbytes: int) -> bool:
        """Charges `nbytes` if they fit."""
        if self.used_bytes + nbytes > self.limit_bytes:
            return False
        self.used_bytes += nbytes
        return True

    def give_back(self, nbytes: int) -> None:
        self.used_bytes -= nbytes
        assert self.used_bytes >= 0, "more was given back to the mirror's budget than was taken"


@dataclass(frozen=True)
class QueueStatistics:
    records: int
    charged_bytes: int
    share_bytes: int


def _nobody() -> None:
    """The listener of a queue that has no feed yet."""


class MirrorQueue:
    """Complete records that wait for one replayer process."""

    def __init__(self, budget: Budget, share_bytes: int, counters: FeedCounters) -> None:
        self._budget = budget
        self._share_bytes = share_bytes
        self._charged_bytes = 0
        self._records: deque[bytes] = deque()
        self._accepts = True
        self.counters = counters
        self.on_offer: Callable[[], None] = _nobody  # the feed's wake-up

    def offer(self, record: bytes) -> bool:
        """Takes the record, or drops and counts it. Never waits."""
        self.counters.given += 1
        if not self._accepts:
            self.counters.dropped_shutdown += 1
            return False
        budget = self._budget
        charge = len(record) + RECORD_OVERHEAD_BYTES
        charged_bytes, used_bytes = self._charged_bytes + charge, budget.used_bytes + charge
        if charged_bytes > self._share_bytes or used_bytes > budget.limit_bytes:
            self.counters.dropped_full += 1
            return False
        self._charged_bytes, budget.used_bytes = charged_bytes, used_bytes
        self._records.append(record)
        self.on_offer()
        return True

    def pop(self) -> bytes | None:
        """The oldest record, still charged until `release`; None when nothing waits."""
        return self._records.popleft() if self._records else None

    def release(self, *records: bytes) -> None:
        """Ends the charge of records that were popped: they have left the launcher's memory."""
        charge = sum(map(len, records)) + RECORD_OVERHEAD_BYTES * len(records)
        self._charged_bytes -= charge
        self._budget.give_back(charge)

    def shut(self) -> None:
        """The end: what waits, and all that is offered from now on, is `dropped_shutdown`."""
        self._accepts = False
        while (record := self.pop()) is not None:
            self.counters.dropped_shutdown += 1
            self.release(record)

    def statistics(self) -> QueueStatistics:
        return QueueStatistics(len(self._records), self._charged_bytes, self._share_bytes)

    def __bool__(self) -> bool:
        return bool(self._records)

    def __repr__(self) -> str:
        return f"<MirrorQueue {len(self._records)} records, {self._charged_bytes}/{self._share_bytes} bytes>"
