"""The comparison's place in the pipeline: who is asked for answers, when the report is told, where pairs are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import trio

from launcher.comparison.report import encode_report
from launcher.replay.comparison.judging import Ignored
from launcher.replay.comparison.recorder import Comparison
from launcher.replay.comparison.witness import Wall, Witness
from launcher.replay.inputs import Receive
from launcher.replay.kept_pairs import KeptPairs
from launcher.replay.recorded_answers import take_recorded
from launcher.replay.settings import Settings
from launcher.replay_protocol import Compared
from launcher.roles import BASELINE, RECORDED

REPORT_SECONDS = 5.0  # between two reports


class Comparing:
    """Of one run."""

    def __init__(self, comparison: Comparison, roles: tuple[str, ...]) -> None:
        self._comparison = comparison
        self._roles = roles
        self._wall = Wall(comparison)
        self._told_at = trio.current_time()
        self._told: Mapping[str, Any] = {}

    def witness(self, role: str) -> Witness | None:
        """For an output; None if it is not compared."""
        return Witness(self._wall, self._roles.index(role)) if role else None

    @property
    def take_recorded(self) -> Receive | None:
        """What takes recorded answers; None if they are not the baseline."""
        if RECORDED not in self._roles:
            return None
        witness = Witness(self._wall, self._roles.index(RECORDED))
        return lambda record: take_recorded(witness, record)

    def tick(self) -> Compared | None:
        """Once a second: a report, if it is time for one and there is news."""
        self._wall.tick()
        now = trio.current_time()
        if now - self._told_at < REPORT_SECONDS:
            return None
        self._told_at = now
        return self._report()

    def end(self) -> Compared | None:
        """The last report."""
        return self._report(final=True)

    def _report(self, *, final: bool = False) -> Compared | None:
        """None if it has failed, or nothing is new."""
        sets = self._comparison.sets()
        if self._wall.is_broken or (sets == self._told and not final):
            return None
        try:
            data = encode_report(lambda detail: self._comparison.report(final=final, detail=detail))
        except Exception as error:  # noqa: BLE001 - a defect ends the comparison, not the copies
            self._wall.failed(error)
            return None
        self._told = sets
        return Compared(json.loads(data))


def begin_comparing(settings: Settings) -> Comparing | None:
    """None if nothing is to be compared."""
    told = settings.comparison
    compared = [output for output in settings.http_outputs if output.role]
    if told is None or not compared:
        return None
    roles = tuple(output.role for output in compared)
    destinations = [output.shown for output in compared]
    if told.with_recorded and BASELINE not in roles:
        roles, destinations = (*roles, RECORDED), [*destinations, "the recording"]
    keep_pair = KeptPairs(told.keep_bodies) if told.keep_bodies else None
    comparison = Comparison(
        roles, destinations, Ignored.of(told.ignored), settings.queue_bytes, keep_pair=keep_pair
    )
    return Comparing(comparison, roles)
