"""When mirroring pauses by itself, and when it goes on. No I/O; clock and readings are the caller's.

Paused replayers have nothing to do, so what pulled a brake is gone at once: a brake that followed its reading would
flap. So a pause lasts 30 s at least, and each one twice as long as the one before, up to 10 minutes; mirroring that
has gone on for 10 minutes starts anew with 30 s. And after a pause the reading must be good, too.
"""

from __future__ import annotations

from collections import deque

from launcher.options import rough_size

WINDOW_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 600.0
FULL_PERCENT = 95.0  # of the memory: here it pauses
ROOMY_PERCENT = 90.0  # and below this it may go on


class Pauses:
    """How long each pause must last."""

    def __init__(self, first_seconds: float = FIRST_PAUSE_SECONDS, longest_seconds: float = LONGEST_PAUSE_SECONDS):
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._seconds: float  # of the newest pause
        self._is_over_at: float
        self._ended_at: float | None = None

    def begin(self, now: float) -> None:
        """A pause begins."""
        is_calm = self._ended_at is None or now - self._ended_at >= self._longest_seconds
        self._seconds = self._first_seconds if is_calm else min(self._seconds * 2, self._longest_seconds)
        self._is_over_at = now + self._seconds

    def may_end(self, now: float) -> bool:
        """Whether the pause that has begun has lasted long enough."""
        return now >= self._is_over_at

    def end(self, now: float) -> None:
        """It ends."""
        self._ended_at = now


class CpuBrake:
    """Pulled when the replayers have used more than `max_percent` of one core, on average over the window."""

    name = "cpu"

    def __init__(self, max_percent: float, pauses: Pauses, *, window_seconds: float = WINDOW_SECONDS) -> None:
        self._max_percent = max_percent
        self._window_seconds = window_seconds
        self._pauses = pauses
        self._looks: deque[tuple[float, float]] = deque()  # the oldest is a whole window old, once there is one
        self._reason: str | None = None

    def look(self, now: float, used_seconds: float) -> str | None:
        """Why it is pulled, or None. `used_seconds` is all processor time so far; it only grows."""
        self._looks.append((now, used_seconds))
        while len(self._looks) > 1 and self._looks[1][0] <= now - self._window_seconds:
            self._looks.popleft()
        since, used_then = self._looks[0]
        if now - since < self._window_seconds:
            return self._reason
        percent = (used_seconds - used_then) / (now - since) * 100
        if self._reason is None and percent > self._max_percent:
            self._pauses.begin(now)
            self._reason = (
                f"the replayers used {percent:.0f} % of one core in {now - since:.0f} s: more than --max-cpu, "
                f"{self._max_percent:g} %"
            )
        elif self._reason is not None and percent <= self._max_percent and self._pauses.may_end(now):
            self._pauses.end(now)
            self._reason = None
            self._looks.clear()  # what was used while nothing was copied says nothing of what comes
        return self._reason


class MemoryBrake:
    """Pulled when the memory is nearly full."""

    name = "memory"

    def __init__(
        self, pauses: Pauses, *, full_percent: float = FULL_PERCENT, roomy_percent: float = ROOMY_PERCENT
    ) -> None:
        self._pauses = pauses
        self._full_percent = full_percent
        self._roomy_percent = roomy_percent
        self._reason: str | None = None

    def look(self, now: float, used_bytes: int, limit_bytes: int) -> str | None:
        """Why it is pulled, or None. `used_bytes` is without what the kernel could take back."""
        percent = used_bytes / limit_bytes * 100
        if self._reason is None and percent >= self._full_percent:
            self._pauses.begin(now)
            self._reason = f"{rough_size(used_bytes)} of {rough_size(limit_bytes)} memory are in use: {percent:.0f} %"
        elif self._reason is not None and percent < self._roomy_percent and self._pauses.may_end(now):
            self._pauses.end(now)
            self._reason = None
        return self._reason
