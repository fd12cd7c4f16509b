"""gor's limits, `ADDRESS|10` and `ADDRESS|10%`: of inputs and outputs alike. What is too much is left out, never kept.

`10` is at most ten in each second: the second starts with the first record after the last one was over, so a burst is
let through as gor lets it. `10%` is a draw for each record by itself, from Python's generator, which the system seeds:
gor's makes the same choice at every start.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Protocol

from launcher.destinations import Limit

WINDOW_SECONDS = 1.0


class Limiter(Protocol):
    """One input's or output's."""

    def admits(self) -> bool:
        """Whether the next record may pass. To be asked once for each."""


class RateLimiter:
    """At most `per_second` records in each second of `clock`."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._started: float | None = None
        self._admitted = 0

    def admits(self) -> bool:
        now = self._clock()
        if self._started is None or now - self._started > WINDOW_SECONDS:
            self._started = now
            self._admitted = 0
        if self._admitted >= self._per_second:
            return False
        self._admitted += 1
        return True


class ShareLimiter:
    """`percent` of all records, 1 to 100, each drawn by lot. `draw` gives numbers from 0 up to, not with, 1."""

    def __init__(self, percent: int, draw: Callable[[], float] = random.random) -> None:
        self._percent = percent
        self._draw = draw

    def admits(self) -> bool:
        return self._draw() * 100 < self._percent


def make_limiter(limit: Limit) -> Limiter:
    """What keeps to the limit."""
    return ShareLimiter(limit.amount) if limit.is_percent else RateLimiter(limit.amount)
