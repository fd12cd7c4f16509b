"""Whether an endpoint became slower, or its latencies differ as those of one version do.

It is slower if so many more of its pairs are slower than faster that chance would hardly do it, and the median
difference is worth naming; or if answers took three times as long so much more often than the other way round. That
must hold of pairs, of blocks of time, and still of what is left without the half of the run in which it was worst: a
machine may be slow for a while. With a second baseline it must hold beside either, and by more than these are apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.comparison.plots import duration
from launcher.comparison.sketches import Sketch, gathered
from launcher.comparison.statistics import more_often, quantile

_SLOWER_SHARE = 0.05  # of the baseline's median
_SLOWER_MICROSECONDS = 500
_CHANCE_OF_PAIRS = 0.001
_CHANCE_OF_BLOCKS = 0.0001
_CHANCE_OF_THE_REST = 0.02
_LEAST_LATENCIES = 20  # pairs of an endpoint


@dataclass(frozen=True)
class Slowness:
    """How an endpoint's latency changed."""

    endpoint: str
    pairs: int
    baseline: Sketch
    candidate: Sketch
    median_difference: float  # microseconds
    baselines_apart: float | None  # how far the second baseline is from the first, at the median; None without one
    is_slower: bool
    how: str  # in words; empty if it is not slower


def slowness_of(name: str, latency: Mapping[str, Any], tests: int) -> Slowness:
    """Of one endpoint, or of all together. `tests` is how many are looked at."""
    baseline, candidate = Sketch.decode(latency["baseline"]), Sketch.decode(latency["candidate"])
    differences = list(_differences(latency))
    apart = differences[2] if len(differences) > 2 else None
    how = ""
    if candidate.count >= _LEAST_LATENCIES:
        bar = max(_SLOWER_SHARE * baseline.percentile(50), _SLOWER_MICROSECONDS)
        how = _how(latency, differences, bar, tests)
    return Slowness(name, candidate.count, baseline, candidate, differences[0], apart, bool(how), how)


def endpoint_slowness(candidate: Mapping[str, Any]) -> list[Slowness]:
    """Of each endpoint, the one that became worst first: those that are slower, then by how much."""
    endpoints = candidate["endpoints"]
    tests = max(1, sum(1 for each in endpoints if each["latency"]["candidate"]["count"] >= _LEAST_LATENCIES))
    found = [slowness_of(each["name"], each["latency"], tests) for each in endpoints]
    return sorted(found, key=lambda each: (not each.is_slower, -each.median_difference))


def noise_triples(latency: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """Sets of the sample that have all three: the baseline's, the candidate's, the second baseline's."""
    if not (noise := _noise(latency)):
        return []
    pairs = gathered(latency["sample_us"])
    return [(*pair, other) for pair, other in zip(pairs, noise["sample_us"], strict=True) if other]


def _noise(latency: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What is known by the second baseline; None if that is too little."""
    noise = latency.get("noise")
    return noise if noise and noise["pairs"] >= _LEAST_LATENCIES else None


def _differences(latency: Mapping[str, Any]) -> Iterator[float]:
    """Medians: the candidate beside the baseline, beside the second one, and how far the baselines are apart."""
    yield _median([two - one for one, two in gathered(latency["sample_us"])])
    if triples := noise_triples(latency):
        yield _median([two - other for _, two, other in triples])
        yield abs(_median([other - one for one, _, other in triples]))


def _how(latency: Mapping[str, Any], differences: Sequence[float], bar: float, tests: int) -> str:
    noise = _noise(latency)
    held_to = [latency, noise] if noise else [latency]
    apart = differences[2] if len(differences) > 2 else 0.0
    least = min(differences[:2])
    if least >= bar and least > apart and all(_is_slower(each["somewhat"], tests) for each in held_to):
        beside = f" (the baselines are {duration(apart)} apart)" if noise else ""
        return f"slower by {duration(differences[0])} at the median{beside}"
    excess = min(_excess(each["by_much"]) for each in held_to)
    if excess > (abs(_excess(noise["baselines"]["by_much"])) if noise else 0) and all(
        _is_slower(each["by_much"], tests) for each in held_to
    ):
        return f"{excess} answers took three times as long or more"
    return ""


def _is_slower(balance: Mapping[str, Any], tests: int) -> bool:
    """Whether neither the pairs nor the blocks are so by chance, and not only for a while."""
    return (
        more_often(balance["slower"], balance["faster"]) * tests <= _CHANCE_OF_PAIRS
        and more_often(balance["blocks_slower"], balance["blocks_faster"]) <= _CHANCE_OF_BLOCKS
        and _of_the_rest(balance["periods"]) <= _CHANCE_OF_THE_REST
    )


def _of_the_rest(periods: Sequence[Sequence[int]]) -> float:
    """The chance of what is left without the worse half of the run."""
    rest = sorted(periods, key=lambda each: each[1] - each[0])[(len(periods) + 1) // 2 :]
    return more_often(sum(each[0] for each in rest), sum(each[1] for each in rest))


def _excess(balance: Mapping[str, int]) -> int:
    return balance["slower"] - balance["faster"]


def _median(values: Sequence[float]) -> float:
    return quantile(sorted(values), 0.5)
