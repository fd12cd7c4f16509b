"""What of all that was counted is a difference between the versions, and what is noise.

With a second baseline a place is held to the sign test: the candidate alone must differ there more often than the
second baseline alone, and so much more often that chance would do it once in a hundred runs at any place. Without one,
kinds that have an opposite (missing and extra, 200 → 500 and 500 → 200) are held to it in the same way; what looks new
in every answer (ids, times, tokens) is noise; all else that differs counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.comparison.sketches import Sketch, gathered
from launcher.comparison.statistics import more_often, quantile

CHANCE = 0.01  # of any wrong finding in a run
LEAST_TIMES = 3
_SLOWER_SHARE = 0.05  # of the baseline's median
_SLOWER_MICROSECONDS = 500
_CHANCE_OF_SLOWER = 0.001
_CHANCE_OF_PERIODS = 0.0001
_LEAST_LATENCIES = 20  # pairs of an endpoint
_OPPOSITES = {"missing": "extra", "extra": "missing"}


@dataclass(frozen=True)
class Finding:
    """One difference between the versions."""

    endpoint: str
    where: str  # `status`, `header:NAME`, `body`, `$.a.path`, or `latency`
    how: str
    times: int  # more often than by noise
    pairs: int  # of the endpoint; of those whose bodies were looked into, if it is about bodies
    chance: float  # that noise alone does it
    examples: Sequence[Mapping[str, Any]] = ()

    @property
    def share(self) -> float:
        return self.times / self.pairs if self.pairs else 0.0


@dataclass(frozen=True)
class Noise:
    """A place that differs, but not because the version does; or where that is too rare to tell."""

    endpoint: str
    where: str
    how: str
    times: int
    is_too_rare: bool  # only the candidate differed there


def findings_of(candidate: Mapping[str, Any], *, has_noise_baseline: bool) -> tuple[list[Finding], list[Noise]]:
    """What differs, the most frequent first, and what is noise."""
    pairs = {endpoint["name"]: endpoint["pairs"] for endpoint in candidate["endpoints"]}
    skipped = {endpoint["name"]: endpoint["skipped"] for endpoint in candidate["endpoints"]}
    rows = candidate["differences"]
    tests = max(1, sum(1 for row in rows if row["candidate_only"] + row["baselines_only"]))
    tests += candidate["differences_left_out"]
    times = {(row["endpoint"], row["where"], row["how"]): row["candidate_only"] for row in rows}
    found: list[Finding] = []
    noise: list[Noise] = []
    for row in rows:
        ours, endpoint, where, how = row["candidate_only"], row["endpoint"], row["where"], row["how"]
        theirs = row["baselines_only"] if has_noise_baseline else times.get((endpoint, where, opposite(how)), 0)
        chance = min(1.0, more_often(ours, theirs) * tests)
        is_proven = chance <= CHANCE if has_noise_baseline or opposite(how) else how != "volatile"
        if is_proven and ours >= LEAST_TIMES:
            is_of_body = where.startswith(("$", "body"))
            of = max(pairs.get(endpoint, candidate["pairs"]) - is_of_body * skipped.get(endpoint, 0), ours)
            found.append(Finding(endpoint, where, how, ours - theirs, of, chance, row["examples"]))
        elif seen := ours + row["both"] + row["baselines_only"]:
            is_too_rare = ours == seen and not theirs and (has_noise_baseline or how != "volatile")
            noise.append(Noise(endpoint, where, how, seen, is_too_rare))
    found.sort(key=lambda each: (each.where != "status", -each.times))
    noise.sort(key=lambda each: -each.times)
    return found, noise


def opposite(how: str) -> str | None:
    """The kind that it would be if the versions changed places; None if it would be the same kind."""
    if " → " in how:
        words = how.removeprefix("type ")
        one, _, two = words.partition(" → ")
        return f"{how[: len(how) - len(words)]}{two} → {one}"
    return _OPPOSITES.get(how)


# ---- latency -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slowness:
    """How an endpoint's latency changed."""

    endpoint: str
    pairs: int
    baseline: Sketch
    candidate: Sketch
    median_difference: float  # microseconds
    is_slower: bool
    how: str  # in words; empty if it is not slower


def slowness_of(name: str, latency: Mapping[str, Any], tests: int) -> Slowness:
    """Of one endpoint, or of all together. `tests` is how many are looked at."""
    baseline, candidate = Sketch.decode(latency["baseline"]), Sketch.decode(latency["candidate"])
    differences = sorted(two - one for one, two in gathered(latency["sample_us"]))
    median = quantile(differences, 0.5)
    bar = max(_SLOWER_SHARE * baseline.percentile(50), _SLOWER_MICROSECONDS)
    how = ""
    if candidate.count >= _LEAST_LATENCIES:
        much = latency["by_much"]
        if median >= bar and _is_slower(latency["somewhat"], tests):
            how = f"slower by {median / 1000:.1f} ms at the median"
        elif _is_slower(much, tests):
            how = f"{much['slower'] - much['faster']} answers took twice as long or more"
    return Slowness(name, candidate.count, baseline, candidate, median, bool(how), how)


def _is_slower(balance: Mapping[str, int], tests: int) -> bool:
    """Whether neither the pairs nor the periods are so by chance: requests of one moment are slow together."""
    pairs = more_often(balance["slower"], balance["faster"]) * tests
    periods = more_often(balance["blocks_slower"], balance["blocks_faster"])
    return pairs <= _CHANCE_OF_SLOWER and periods <= _CHANCE_OF_PERIODS


def endpoint_slowness(candidate: Mapping[str, Any]) -> list[Slowness]:
    """Of each endpoint, the one that became worst first: those that are slower, then by how much."""
    endpoints = candidate["endpoints"]
    tests = max(1, sum(1 for each in endpoints if each["latency"]["candidate"]["count"] >= _LEAST_LATENCIES))
    found = [slowness_of(each["name"], each["latency"], tests) for each in endpoints]
    return sorted(found, key=lambda each: (not each.is_slower, -each.median_difference))
