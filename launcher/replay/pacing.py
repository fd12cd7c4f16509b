"""When each record of a file is due, from the recorded times. No I/O, no clock.

The waits are gor's: the distance from the newest time so far, by the speed, at most `max_wait`; a record that is older
than the one before it waits not at all. They are added up, so that what each is late by is not passed on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Pace:
    """One pass through the files. Figures are seconds."""

    speed: float = 1.0
    max_wait: float = 0.0  # 0: any
    due: float = 0.0  # of the newest record, after the first one
    out_of_order: int = 0
    first_wait: float | None = None
    least_wait: float | None = None
    most_wait: float = 0.0
    _newest_ns: int | None = None

    def next(self, timestamp_ns: int) -> float:
        """When this record is due."""
        if self._newest_ns is None:
            self._newest_ns = timestamp_ns
            return self.due
        if timestamp_ns < self._newest_ns:
            self.out_of_order += 1
            return self.due
        wait = (timestamp_ns - self._newest_ns) / 1e9 / self.speed
        if self.max_wait:
            wait = min(wait, self.max_wait)
        self._newest_ns = timestamp_ns
        self.due += wait
        self.first_wait = wait if self.first_wait is None else self.first_wait
        self.least_wait = wait if self.least_wait is None else min(self.least_wait, wait)
        self.most_wait = max(self.most_wait, wait)
        return self.due
