"""How much processor time may go into bodies that are not the same bytes: parsing JSON costs more than a copy does.

5 % of what the replayer needs for all else, or 2 % of a core if that is more: with little traffic every pair is
looked into, with much of it a share.
"""

from __future__ import annotations

from collections.abc import Callable

SHARE_OF_OTHER_WORK = 0.05
SHARE_OF_A_CORE = 0.02
MOST_CREDIT_SECONDS = 0.05  # saved up at most
_READ_SECONDS = 0.05  # the processor's clock is read so often: reading it is a system call


class Looking:
    """Credit in seconds. It may be overdrawn by one pair, however large; then it has to grow again."""

    def __init__(self, clock: Callable[[], float], processor_clock: Callable[[], float]) -> None:
        self._clock = clock
        self._processor_clock = processor_clock
        self._read_at = clock()
        self._processor_seconds = processor_clock()
        self._spent = 0.0  # since then
        self._credit = MOST_CREDIT_SECONDS

    def may_look(self) -> bool:
        """Whether the next pair may be looked into."""
        now = self._clock()
        if now - self._read_at >= _READ_SECONDS:
            processor_seconds = self._processor_clock()
            other_work = max(0.0, processor_seconds - self._processor_seconds - self._spent)
            earned = max(SHARE_OF_OTHER_WORK * other_work, SHARE_OF_A_CORE * (now - self._read_at))
            self._credit = min(self._credit + earned, MOST_CREDIT_SECONDS)
            self._read_at, self._processor_seconds, self._spent = now, processor_seconds, 0.0
        return self._credit > 0

    def spent(self, seconds: float) -> None:
        """A pair has been looked into."""
        self._credit -= seconds
        self._spent += seconds
