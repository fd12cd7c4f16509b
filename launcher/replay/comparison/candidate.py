"""All that is counted of one candidate beside the baseline, bounded by how many endpoints and differences may be."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from launcher.comparison.report import TOLD
from launcher.replay.comparison.answers import Answer
from launcher.replay.comparison.differences import Differences, Example
from launcher.replay.comparison.judging import Judgement, fair
from launcher.replay.comparison.latency_counts import LatencyCounts

OVERALL_SAMPLE = 1000  # pairs
ENDPOINT_SAMPLE = 128
_KINDS = ("status", "headers", "body")
_MOST_STATUSES = 400  # pairs of them


class Mismatches:
    """Sets in which a status, a header or a body differs: only the candidate's, only the second baseline's."""

    __slots__ = ("baselines_only", "candidate_only")

    def __init__(self) -> None:
        self.candidate_only = dict.fromkeys(_KINDS, 0)
        self.baselines_only = dict.fromkeys(_KINDS, 0)

    def add(self, candidate: Judgement, noise: Judgement) -> None:
        if candidate.status or noise.status:
            self._add_one("status", bool(candidate.status - noise.status), bool(noise.status - candidate.status))
        if candidate.headers or noise.headers:
            self._add_one("headers", bool(candidate.headers - noise.headers), bool(noise.headers - candidate.headers))
        if candidate.body or noise.body:
            self._add_one("body", bool(candidate.body - noise.body), bool(noise.body - candidate.body))

    def _add_one(self, kind: str, candidate: bool, noise: bool) -> None:
        self.candidate_only[kind] += candidate and not noise
        self.baselines_only[kind] += noise and not candidate

    def merge(self, other: Mismatches) -> None:
        for kind in _KINDS:
            self.candidate_only[kind] += other.candidate_only[kind]
            self.baselines_only[kind] += other.baselines_only[kind]

    def encode(self) -> dict[str, list[int]]:
        return {kind: [self.candidate_only[kind], self.baselines_only[kind]] for kind in _KINDS}


class EndpointCounts:
    """One endpoint's."""

    __slots__ = ("latency", "mismatches", "pairs", "untold")

    def __init__(self, draw: random.Random) -> None:
        self.pairs = 0
        self.untold = 0  # of them: bodies that were not compared
        self.mismatches = Mismatches()
        self.latency = LatencyCounts(ENDPOINT_SAMPLE, draw)

    def merge(self, other: EndpointCounts) -> None:
        self.pairs += other.pairs
        self.untold += other.untold
        self.mismatches.merge(other.mismatches)
        self.latency.merge(other.latency)


class Candidate:
    """One candidate's."""

    def __init__(self, name: str, role: int, draw: random.Random, *, has_noise: bool) -> None:
        self._has_noise = has_noise
        self.name = name
        self.role = role
        self._draw = draw
        self.pairs = 0
        self.mismatches = Mismatches()
        self.statuses: Counter[tuple[str, str]] = Counter()
        self.bodies: Counter[str] = Counter()  # how they were compared
        self.differences = Differences()
        self.latency = LatencyCounts(OVERALL_SAMPLE, draw)
        self.endpoints: dict[str, EndpointCounts] = {}

    def add(
        self,
        endpoint: str,
        answers: tuple[Answer, Answer, Answer | None],
        judgement: Judgement,
        noise: Judgement,
        example: Callable[[], Example],
        block: int,
    ) -> None:
        """One set: answers of the baseline, this candidate and the second baseline, how the latter two differ."""
        baseline, answer, other = answers
        if self._has_noise:
            judgement, noise = fair(judgement, noise)
        self.pairs += 1
        counts = self.endpoints.get(endpoint)
        if counts is None:
            counts = self.endpoints[endpoint] = EndpointCounts(self._draw)
        counts.pairs += 1
        counts.untold += judgement.bodies not in TOLD
        statuses = (baseline.label, answer.label)
        if statuses in self.statuses or len(self.statuses) < _MOST_STATUSES:
            self.statuses[statuses] += 1
        self.bodies[judgement.bodies] += 1
        if baseline.status and answer.status and baseline.microseconds and answer.microseconds:
            self.latency.add(baseline, answer, other, block)
            counts.latency.add(baseline, answer, other, block)
        ours = _all(judgement)
        theirs = _all(noise)
        if ours or theirs:
            counted = judgement if self._has_noise else judgement.without_volatile()
            self.mismatches.add(counted, noise)
            counts.mismatches.add(counted, noise)
            self.differences.add(endpoint, ours, theirs, example)

    def rename(self, renamed: Callable[[str], str]) -> None:
        """Endpoints have new names, some of them the same."""
        before, self.endpoints = self.endpoints, {}
        for name, counts in before.items():
            if (known := self.endpoints.get(renamed(name))) is not None:
                known.merge(counts)
            else:
                self.endpoints[renamed(name)] = counts
        self.differences.rename(renamed)

    def encode(self, most_endpoints: int, most_differences: int, most_sampled: int) -> dict[str, Any]:
        """As plain JSON: the busiest endpoints, the most frequent differences."""
        differences = sorted(
            self.differences.counts.items(), key=lambda item: (-item[1].candidate_only, -item[1].both)
        )
        endpoints = sorted(self.endpoints.items(), key=lambda item: -item[1].pairs)
        return {
            "name": self.name,
            "pairs": self.pairs,
            "mismatches": self.mismatches.encode(),
            "statuses": [[*statuses, count] for statuses, count in self.statuses.most_common()],
            "bodies": dict(self.bodies),
            "latency": self.latency.encode(most_sampled * 4),
            "differences": [
                {
                    "endpoint": endpoint, "where": where, "how": how, "candidate_only": counts.candidate_only,
                    "baselines_only": counts.baselines_only, "both": counts.both, "examples": counts.examples,
                }
                for (endpoint, where, how), counts in differences[:most_differences]
            ],
            "differences_left_out": max(len(differences) - most_differences, 0) + self.differences.forgotten,
            "endpoints": [
                {
                    "name": name, "pairs": counts.pairs, "untold": counts.untold,
                    "mismatches": counts.mismatches.encode(), "latency": counts.latency.encode(most_sampled),
                }
                for name, counts in endpoints[:most_endpoints]
            ],
            "endpoints_left_out": max(len(endpoints) - most_endpoints, 0),
        }  # fmt: skip


def _all(judgement: Judgement) -> set[tuple[str, str]]:
    if not (judgement.status or judgement.headers or judgement.body):
        return _NOTHING
    return {*judgement.status, *judgement.headers, *judgement.body}


_NOTHING: set[tuple[str, str]] = set()
