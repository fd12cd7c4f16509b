"""What one output tells the comparison: each record's end, with the answer if there was one. Nothing here raises.

A defect in the comparison is said once, and ends the comparison, not the copies.
"""

from __future__ import annotations

from launcher.log import log
from launcher.replay.comparison.answers import Answer
from launcher.replay.comparison.recorder import Comparison
from launcher.replay.outcomes import STATUS_CLASSES, Ended


def _microseconds(seconds: float) -> int:
    """At least one; 0 is what is not known."""
    return max(int(seconds * 1e6), 1) if seconds else 0


class Wall:
    """Around one Comparison, for all outputs."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self.is_broken = False

    def failed(self, error: Exception) -> None:
        """The comparison has raised."""
        if not self.is_broken:
            self.is_broken = True
            log.tell(f"the comparison has failed, and ends: {error!r}")

    def tick(self) -> None:
        """Once a second."""
        if not self.is_broken:
            try:
                self.comparison.tick()
            except Exception as error:  # noqa: BLE001 - see above
                self.failed(error)


class Witness:
    """One output's."""

    def __init__(self, wall: Wall, role: int) -> None:
        self._wall = wall
        self._comparison = wall.comparison
        self._role = role

    def new_answer(self) -> Answer | None:
        """What listens to an answer; None if nobody wants to know any more."""
        return None if self._wall.is_broken else self._comparison.new_answer()

    def ended(self, record: bytes, ended: Ended, answer: Answer | None = None, seconds: float = 0.0) -> None:
        """A record's end. The answer is the witness's now."""
        if self._wall.is_broken:
            if answer is not None:
                answer.release()
            return
        try:
            response = ended.response
            if answer is not None and response is not None and ended.outcome in STATUS_CLASSES:
                answer.end(response.status, ended.outcome, _microseconds(seconds), response.is_whole)
                self._comparison.ended(self._role, record, answer)
                return
            if answer is not None:
                answer.release()
            self._comparison.ended(self._role, record, None, ended.outcome)
        except Exception as error:  # noqa: BLE001 - see above
            self._wall.failed(error)
