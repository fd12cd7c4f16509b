"""What a report comes to: for each candidate its figures, a word, and a line for the log.

A word is said from LEAST_PAIRS on: `same`, `differs`, `slower`, or `differs+slower`. Below it is `too_few`; without a
baseline there is `no_baseline`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from launcher.comparison.findings import Finding, Noise, findings_of
from launcher.comparison.report import TOLD
from launcher.comparison.sketches import Pair, Sketch, gathered
from launcher.comparison.slowness import Slowness, endpoint_slowness, noise_triples, slowness_of
from launcher.comparison.statistics import Interval, bootstrap, quantile_ratios, share_interval

LEAST_PAIRS = 100
PERCENTS = (50, 95, 99)
_SHARES = tuple(percent / 100 for percent in PERCENTS)
MISMATCHES = ("status", "headers", "body")
BASELINE, NOISE_BASELINE = "baseline", "baseline2"
_NOT_COMPARED = {
    "skipped": "there was no time to",
    "no_room": "--replayer-memory had no room for them",
    "too_large": "they are too large",
    "undecodable": (
        "they are in a coding that is not undone (br, zstd); with --http-set-header 'Accept-Encoding: gzip' in "
        "config/gor.options they would come in one that is"
    ),
}


@dataclass(frozen=True)
class Share:
    """How many of `total` pairs differ more than the baselines do among themselves, with a 95 % interval."""

    count: int
    total: int

    @property
    def value(self) -> float:
        return self.count / self.total if self.total else 0.0

    @property
    def interval(self) -> Interval:
        return share_interval(self.count, self.total)


class CandidateVerdict:
    """One candidate's figures."""

    def __init__(self, report: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        self.name: str = facts["name"]
        self.pairs: int = facts["pairs"]
        self.facts = facts
        self.has_baseline = report["baseline"] is not None
        self.has_noise_baseline = report["noise_baseline"] is not None
        self.findings: list[Finding]
        self.noise: list[Noise]
        self.findings, self.noise = findings_of(facts, has_noise_baseline=self.has_noise_baseline)
        self.overall: Slowness = slowness_of("all", facts["latency"], 1)
        self.endpoints = endpoint_slowness(facts)
        self.sample: list[Pair] = gathered(facts["latency"]["sample_us"])
        self.noise_sample: list[Pair] = [(one, other) for one, _, other in noise_triples(facts["latency"])]
        self._outputs = {output["role"]: output["latency"] for output in report["outputs"]}

    @property
    def slower(self) -> list[Slowness]:
        """Endpoints that are slower, and `all` if it is so and none of them is."""
        slower = [each for each in self.endpoints if each.is_slower]
        return slower or ([self.overall] if self.overall.is_slower else [])

    def mismatch(self, kind: str) -> Share:
        """Of MISMATCHES: what only the candidate's answers have, less what only the second baseline's have.

        Without a second baseline, what looks new in every answer (ids, times, tokens) does not count. Of headers and
        bodies the share is of the pairs where they were compared.
        """
        ours, theirs = self.facts["mismatches"][kind]
        return Share(max(0, ours - theirs), self._total(kind))

    def noise_mismatch(self, kind: str) -> float:
        """The share that only the second baseline's answers have."""
        return Share(self.facts["mismatches"][kind][1], self._total(kind)).value

    def _total(self, kind: str) -> int:
        bodies = self.facts["bodies"]
        if kind == "body":
            return sum(bodies.get(how, 0) for how in TOLD)
        return self.pairs - (bodies.get("none", 0) if kind == "headers" else 0)

    def ratio(self, percent: float) -> float:
        """The candidate's percentile by the baseline's; 0 without latencies."""
        baseline = self.overall.baseline.percentile(percent)
        return self.overall.candidate.percentile(percent) / baseline if baseline else 0.0

    def noise_ratio(self, percent: float) -> float | None:
        """The second baseline's percentile by the first's; None without."""
        baseline, other = (self._outputs.get(name) for name in (BASELINE, NOISE_BASELINE))
        if not self.noise_sample or baseline is None or other is None:
            return None
        least = Sketch.decode(baseline).percentile(percent)
        return Sketch.decode(other).percentile(percent) / least if least else None

    @cached_property
    def ratio_intervals(self) -> Sequence[Interval]:
        """Of PERCENTS: 95 %, by bootstrap over a sample of pairs. [] without."""
        return bootstrap(self.sample, quantile_ratios(_SHARES))

    @property
    def word(self) -> str:
        if not self.has_baseline:
            return "no_baseline"
        if self.pairs < LEAST_PAIRS:
            return "too_few"
        words = ["differs"] * bool(self.findings) + ["slower"] * bool(self.slower)
        return "+".join(words) or "same"


class Verdict:
    """Of a whole report."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        self.report = report
        self.candidates = [CandidateVerdict(report, facts) for facts in report["candidates"]]
        sets = report["sets"]
        self.compared: int = sets.get("compared", 0)
        self.dropped: int = sum(sets.get(name, 0) for name in ("dropped", "unpaired"))
        self.baseline_failed: int = sets.get("baseline_failed", 0)

    @property
    def coverage(self) -> float:
        """The share of the requests whose answers were compared."""
        total = self.compared + self.dropped + self.baseline_failed
        return self.compared / total if total else 0.0

    @property
    def warnings(self) -> list[str]:
        """What makes the figures less than they seem."""
        said = []
        unsafe = self.report["unsafe"]
        if unsafe:
            said.append(
                f"{unsafe} of {self.compared} requests may write (POST, PUT, DELETE...): destinations whose data are "
                "not the same any more answer differently for that alone"
            )
        if self.report["baseline"] is None:
            said.append("there is no baseline: add --to baseline=URL, the version that runs now, to compare with")
        elif self.report["baseline"] == "recorded":
            said.append(
                "the baseline is what was recorded, on other machines and at another time: don't compare latencies, "
                "and expect differences in what has changed since"
            )
        elif self.report["noise_baseline"] is None:
            said.append(
                "there is no second baseline: add --to baseline2=URL, the version that runs now once more, and what "
                "differs anyway is told from what the candidate does"
            )
        if self.coverage < 0.9 and self.compared:
            said.append(f"only {self.coverage:.1%} of the requests could be compared")
        if silent := self.report["sets"].get("baseline2_failed"):
            said.append(
                f"the second baseline did not answer {silent} of {self.compared} requests: there nothing but statuses "
                "and latencies was compared"
            )
        for candidate in self.candidates:
            for why, words in _NOT_COMPARED.items():
                if count := candidate.facts["bodies"].get(why):
                    said.append(f"{candidate.name}: the bodies of {count} pairs were not compared: {words}")
        return said


def verdict_facts(verdict: Verdict, candidate: CandidateVerdict) -> dict[str, object]:
    """The facts of `at=compared`, one line a candidate."""
    facts: dict[str, object] = {
        "candidate": candidate.name, "verdict": candidate.word, "pairs": candidate.pairs,
        "dropped": verdict.dropped, "baseline_failed": verdict.baseline_failed or None,
        "coverage": f"{verdict.coverage:.1%}",
    }  # fmt: skip
    if not candidate.has_baseline:
        return {**facts, "hint": "add --to baseline=URL to compare with"}
    for kind, name in zip(MISMATCHES, ("status", "header", "body"), strict=True):
        facts[f"{name}_mismatch"] = f"{candidate.mismatch(kind).value:.3%}"
    for percent in PERCENTS if candidate.overall.candidate.count else ():
        facts[f"p{percent}_ratio"] = candidate.ratio(percent)
    facts["findings"] = len(candidate.findings)
    facts["slower_endpoints"] = len([each for each in candidate.endpoints if each.is_slower])
    return facts
