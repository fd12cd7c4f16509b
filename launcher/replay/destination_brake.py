"""When a destination that only fails is left alone, and which copies then try whether it is back. No I/O, no clock.

Any whole answer is a sign of life, a 500 too: how a new version does under load is what people want to see. After 30 s
of nothing but failures the brake is pulled: copies end as `paused`, but for one now and then, the probe. The first
answer, the probe's or one that came late, releases it. Probes have jitter, so that many replayers don't come in step.
`backoff` holds off connects for seconds at most; probes are further apart, so it is never in their way.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple


class Times(NamedTuple):
    """What the brake goes by, in seconds."""

    failing: float = 30.0
    first_probe: float = 5.0  # between the pull, or a probe's failure, and the next probe; doubled each time
    longest_probe: float = 30.0
    least_failures: int = 10  # one or two that are long apart say little


TIMES = Times()


class DestinationBrake:
    """One destination's. Records are told apart by identity: the probe is the very object that was admitted."""

    def __init__(self, times: Times | None = None, jitter: Callable[[], float] = random.random) -> None:
        self._times = times or TIMES
        self._jitter = jitter  # 0 to 1
        self._failing_since = 0.0
        self.failures = 0  # since the last answer
        self._pulled_at: float | None = None
        self._probe: bytes | None = None
        self._probe_delay = 0.0
        self._next_probe = 0.0

    @property
    def is_pulled(self) -> bool:
        return self._pulled_at is not None

    def answered(self, now: float) -> float | None:
        """An answer came. How long the brake was pulled, if this releases it."""
        pulled_at, self._pulled_at = self._pulled_at, None
        self._probe = None
        self.failures = 0
        return None if pulled_at is None else now - pulled_at

    def failed(self, record: bytes, now: float) -> float | None:
        """The record has failed. For how long nothing but failures came, if this pulls the brake."""
        if self._pulled_at is not None:
            if record is self._probe:
                self._probe = None
                self._wait(now)
            return None
        if not self.failures:
            self._failing_since = now
        self.failures += 1
        if self.failures < self._times.least_failures or now - self._failing_since < self._times.failing:
            return None
        self._pulled_at = now
        self._probe_delay = 0.0
        self._wait(now)
        return now - self._failing_since

    def admits(self, record: bytes, now: float) -> bool:
        """Whether the record is sent although the brake is pulled: it is the probe then."""
        if self._probe is not None or now < self._next_probe:
            return False
        self._probe = record
        return True

    def untried(self, record: bytes) -> None:
        """A record was not sent after all; if it was the probe, the next one is."""
        if record is self._probe:
            self._probe = None

    def _wait(self, now: float) -> None:
        times = self._times
        self._probe_delay = min(max(self._probe_delay * 2, times.first_probe), times.longest_probe)
        self._next_probe = now + self._probe_delay * (0.75 + self._jitter() / 2)
