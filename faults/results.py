"""What pairs of halves come to: medians, what was missed, and a row of docs/reliability.md."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from faults.scenario import Scenario, Seen

RATIO, SPARE_MS = 1.2, 1.0  # p99 may be so much of the unmirrored run's, and so much more
DETAIL = "; "  # behind what a scenario says: how often, how long
_LONG_SECONDS = 60.0  # a scenario's time from which it is told
_NONE = "–"
HEADING = (
    "| what goes wrong | clients' errors | p50 | p99 | its bound | max | memory | processor | end | |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass
class Result:
    """All halves of one scenario."""

    scenario: type[Scenario]
    mirrored: Sequence[Seen]
    alone: Sequence[Seen]

    def missed(self, *, with_latency: bool) -> list[str]:
        """What must hold and doesn't, in words."""
        found = [what for seen in (*self.mirrored, *self.alone) for what in seen.missed]
        if self.scenario.app_may_fail and self.alone:
            more = _errors(self.mirrored).total() - _errors(self.alone).total()
            if more > self.scenario.more_errors * len(self.mirrored):
                found.append(f"clients met {more} more errors: {_told(_errors(self.mirrored))}")
        found.extend(self._refused_more())
        if with_latency and self.scenario.judges_latency and self.alone:
            p99, bound = _median(self.mirrored, "p99"), self.p99_bound()
            if p99 is None or bound is None:
                found.append("nothing was answered")
            elif p99 > bound:
                found.append(f"p99 is {p99:.2f} ms, and {bound:.2f} is its bound")
        return found

    def _refused_more(self) -> Iterator[str]:
        """Where the app ends, those who come again are, or are reset if they wait while a listener is closed; each of
        them may come once more, or less."""
        may_be = self._refused_alone()
        if may_be is None:
            return
        refused = float(statistics.median(seen.refused.total() for seen in self.mirrored))
        if refused > may_be + (self.scenario.connections if may_be else 0):
            yield f"{refused:.0f} connections were refused, and {may_be:.0f} without the launcher"

    def _refused_alone(self) -> float | None:
        """None where it is not known. Nobody is where the app goes on."""
        if not (self.scenario.ends_with_app or self.scenario.app_may_fail):
            return 0.0
        return float(statistics.median(seen.refused.total() for seen in self.alone)) if self.alone else None

    def p99_bound(self) -> float | None:
        alone = _median(self.alone, "p99")
        return None if alone is None else RATIO * alone + SPARE_MS

    def row(self, *, with_latency: bool = True) -> str:
        """One row of the table."""
        missed = self.missed(with_latency=with_latency)
        errors = _told(_errors(self.mirrored))
        if self.scenario.app_may_fail:
            errors += f" (alone: {_told(_errors(self.alone))})"
        if self._refused_alone():
            errors += f"; {_refused(self.mirrored)} then refused (alone: {_refused(self.alone)})"
        cells = [
            self._says(), errors, self._pair("p50"), self._pair("p99"),
            _figure(self.p99_bound(), 2) if self.scenario.judges_latency else "",
            self._pair("max"), _figure(_median(self.mirrored, "grown_mib"), 1),
            _figure(_median(self.mirrored, "processor_us"), 0), _figure(_median(self.mirrored, "stop_seconds"), 1),
            self._holds() if not missed else "; ".join(what.partition("\n")[0] for what in missed),
        ]  # fmt: skip
        return f"| {' | '.join(cells)} |"

    def _says(self) -> str:
        words = [self.scenario.says]
        if len(self.mirrored) > max(len(self.alone), 1):
            words.append(f"{len(self.mirrored)} times")
        if self.scenario.seconds >= _LONG_SECONDS:
            minutes = self.scenario.seconds / 60
            words.append(f"{minutes:g} minute{'s' * (minutes != 1)}")
        return DETAIL.join(words)

    def _holds(self) -> str:
        return f"holds; no balance: {self.scenario.no_balance}" if self.scenario.no_balance else "holds"

    def _pair(self, name: str) -> str:
        """Of the halves that have another beside them, if there are such."""
        mirrored = self.mirrored[: len(self.alone) or None]
        return " / ".join(_figure(_median(halves, name), 2) for halves in (mirrored, self.alone) if halves)


def _median(halves: Sequence[Seen], name: str) -> float | None:
    """Of those halves in which there was something to measure."""
    values = [value for seen in halves if (value := getattr(seen, name)) is not None]
    return float(statistics.median(values)) if values else None


def _figure(value: float | None, decimals: int) -> str:
    return _NONE if value is None else f"{value:.{decimals}f}"


def _errors(halves: Sequence[Seen]) -> Counter[str]:
    return sum((seen.errors for seen in halves), Counter())


def _refused(halves: Sequence[Seen]) -> str:
    return f"{statistics.median(seen.refused.total() for seen in halves):.0f}"


def _told(errors: Counter[str]) -> str:
    return ", ".join(f"{count} × {what}" for what, count in errors.most_common()) or "0"
