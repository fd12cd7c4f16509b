"""What may change while the mirror runs: on or off, the sample, the rate, and the brakes that pause it.

`--control` and the brakes write here, the tap reads before each copy. Nothing of it outlives the process.
"""

from __future__ import annotations


class Controls:
    """The live values, which start as they were configured."""

    def __init__(self, *, sample_percent: float = 100, rate_per_second: float | None = None) -> None:
        self.sample_percent = sample_percent
        self.rate_per_second = rate_per_second  # copies a second at most; None: no limit
        self.is_on = True  # as --control says
        self._pauses: dict[str, str] = {}
        self.is_copying = True  # neither turned off nor paused: kept, because each request asks

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
