"""What pairs of halves come to: medians, what was missed, and a row of docs/reliability.md."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from faults.scenario import Scenario, Seen

RATIO, SPARE_MS = 1.2, 1.0  # p99 may be so much of the unmirrored run's, and so much more
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
        if with_latency and self.scenario.judges_latency and self.alone and self.p99() > self.p99_bound():
            found.append(f"p99 is {self.p99():.2f} ms, and {self.p99_bound():.2f} is its bound")
        return found

    def p99(self) -> float:
        return statistics.median(seen.p99 for seen in self.mirrored)

    def p99_bound(self) -> float:
        return RATIO * statistics.median(seen.p99 for seen in self.alone) + SPARE_MS

    def row(self, *, with_latency: bool = True) -> str:
        """One row of the table."""
        missed = self.missed(with_latency=with_latency)
        errors = _told(_errors(self.mirrored))
        if self.scenario.app_may_fail:
            errors += f" (alone: {_told(_errors(self.alone))})"
        cells = [
            self._says(), errors, self._pair("p50"), self._pair("p99"),
            f"{self.p99_bound():.2f}" if self.scenario.judges_latency else "",
            self._pair("max"), f"{_median(self.mirrored, 'grown_mib'):.1f}",
            f"{_median(self.mirrored, 'processor_us'):.0f}", f"{_median(self.mirrored, 'stop_seconds'):.1f}",
            "holds" if not missed else "; ".join(what.partition("\n")[0] for what in missed),
        ]  # fmt: skip
        return f"| {' | '.join(cells)} |"

    def _says(self) -> str:
        is_repeated = len(self.mirrored) > max(len(self.alone), 1)
        return f"{self.scenario.says}; {len(self.mirrored)} times" if is_repeated else self.scenario.says

    def _pair(self, name: str) -> str:
        """Of the halves that have another beside them, if there are such."""
        mirrored = self.mirrored[: len(self.alone) or None]
        return " / ".join(f"{_median(halves, name):.2f}" for halves in (mirrored, self.alone) if halves)


def _median(halves: Sequence[Seen], name: str) -> float:
    return float(statistics.median(getattr(seen, name) for seen in halves))


def _errors(halves: Sequence[Seen]) -> Counter[str]:
    return sum((seen.errors for seen in halves), Counter())


def _told(errors: Counter[str]) -> str:
    return ", ".join(f"{count} × {what}" for what, count in errors.most_common()) or "0"
