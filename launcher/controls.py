"""What may change while the mirror runs: on or off, the sample, the rate, and the brakes that pause it.

`--control` and the brakes write here, the tap reads before each copy. Nothing of it outlives the process.
"""

from __future__ import annotations


class Controls:
    """The live values, which start as they were configured."""

    def __init__(self, *, sample_percent: float = 100, rate_per_second: float | None = None) -> None:
        self._sample_percent = sample_percent
        self._rate_per_second = rate_per_second
        self.is_on = True  # as --control says
        self._pauses: dict[str, str] = {}
        self.is_copying: bool  # neither turned off nor paused
        self.copies_all: bool  # and neither sample nor rate leaves anything out: kept, because each request asks
        self._update()

    @property
    def sample_percent(self) -> float:
        """The share of what is wanted that is copied."""
        return self._sample_percent

    @sample_percent.setter
    def sample_percent(self, percent: float) -> None:
        self._sample_percent = percent
        self._update()

    @property
    def rate_per_second(self) -> float | None:
        """Copies a second at most; None: no limit."""
        return self._rate_per_second

    @rate_per_second.setter
    def rate_per_second(self, rate: float | None) -> None:
        self._rate_per_second = rate
        self._update()

    @property
    def pauses(self) -> dict[str, str]:
        """Each brake that is pulled, and why."""
        return dict(self._pauses)

    def turn(self, *, on: bool) -> None:
        """By hand; a brake that is pulled stays so."""
        self.is_on = on
        self._update()

    def pause(self, brake: str, reason: str) -> None:
        """Copies nothing until every brake is released."""
        self._pauses[brake] = reason
        self._update()

    def resume(self, brake: str) -> None:
        self._pauses.pop(brake, None)
        self._update()

    def _update(self) -> None:
        self.is_copying = self.is_on and not self._pauses
        self.copies_all = self.is_copying and self._sample_percent >= 100 and self._rate_per_second is None
