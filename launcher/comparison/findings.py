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

from launcher.comparison.statistics import more_often

CHANCE = 0.01  # of any wrong finding in a run
LEAST_TIMES = 3
_OPPOSITES = {"missing": "extra", "extra": "missing"}


@dataclass(frozen=True)
class Finding:
    """One difference between the versions."""

    endpoint: str
    where: str  # `status`, `header:NAME`, `body`, or `$.a.path`
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
    untold = {endpoint["name"]: endpoint["untold"] for endpoint in candidate["endpoints"]}
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
            of = max(pairs.get(endpoint, candidate["pairs"]) - is_of_body * untold.get(endpoint, 0), ours)
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
