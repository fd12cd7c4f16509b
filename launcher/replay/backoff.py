"""When a destination that refuses connections may be tried again. No I/O; the clock is the caller's.

After a failure nobody connects until a delay has passed, and then one at a time: the probe. The delay doubles from
0.1 s to 2 s and has jitter, so that many replayers don't come back in step. Two seconds lose little of a load test
when the destination returns, and one connect in two seconds is no storm.
"""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 2.0


class Backoff:
    """One destination's. Each `may_connect` that was True is followed by `succeeded`, `failed` or `timed_out`."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter  # 0 to 1
        self._delay_seconds = 0.0  # 0: nothing has failed since the last success
        self._failed_at = 0.0
        self._next_probe = 0.0
        self._is_probing = False

    def may_connect(self, now: float) -> bool:
        """Whether a connection may be tried at `now`; in back-off, True makes the caller the probe."""
        if not self._delay_seconds:
            return True
        if self._is_probing or now < self._next_probe:
            return False
        self._is_probing = True
        return True

    def succeeded(self) -> None:
        """A connection came about: the destination is back."""
        self._delay_seconds = 0.0
        self._is_probing = False

    def failed(self, started: float, now: float) -> None:
        """The connection tried at `started` did not come about. Of several tried at once, only the first counts."""
        if self._delay_seconds and started <= self._failed_at:
            return
        self._is_probing = False
        self._delay_seconds = min(max(self._delay_seconds * 2, FIRST_DELAY_SECONDS), MAX_DELAY_SECONDS)
        self._failed_at = now
        self._next_probe = now + self._delay_seconds * (0.5 + self._jitter())

    def timed_out(self, started: float, now: float) -> None:
        """It was given up: a failure in back-off, else none, because what hangs is bounded by the time it hangs."""
        if self._delay_seconds:
            self.failed(started, now)
