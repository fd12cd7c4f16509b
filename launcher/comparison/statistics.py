"""The tests and intervals behind a verdict. Pure numbers; the tests hold them to numpy and scipy.

- `quantile`: linear interpolation, numpy's default.
- `share_interval`: Wilson's score interval of a share.
- `more_often`: the one-sided sign test. Of the times that exactly one of two has something, each is as likely to be
  the one if both are alike; how probable is it that the first is as often as it was, or more often?
- `bootstrap`: the percentile interval of a statistic of paired values, pairs drawn with replacement.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from launcher.comparison.sketches import Pair

Z_95 = 1.959963984540054
RESAMPLES = 400  # the ends of a 95 % interval are then the 10th values from either side
_EXACT = 1000  # discordant pairs up to which the binomial sum is exact

Interval = tuple[float, float]
Statistic = Callable[[Sequence[Pair]], Sequence[float]]  # several figures of some pairs


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of values in order; `share` is 0 to 1. 0 if there are none."""
    if not ordered:
        return 0.0
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def share_interval(count: int, total: int) -> Interval:
    """Where the true share lies, with 95 % confidence."""
    if not total:
        return 0.0, 1.0
    share, z2 = count / total, Z_95**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def more_often(first: int, second: int) -> float:
    """P(X >= first), X binomial of first + second throws of a fair coin."""
    total = first + second
    if first <= 0:
        return 1.0
    if total <= _EXACT:
        ways: int = sum(math.comb(total, count) for count in range(first, total + 1))
        return ways / int(1 << total)
    z = (first - 0.5 - total / 2) / (math.sqrt(total) / 2)
    return math.erfc(z / math.sqrt(2)) / 2


def quantile_ratios(shares: Sequence[float]) -> Statistic:
    """The statistics "the candidate's quantile by the baseline's", one for each share."""

    def ratios(pairs: Sequence[Pair]) -> list[float]:
        baseline = sorted([pair[0] for pair in pairs])
        candidate = sorted([pair[1] for pair in pairs])
        return [quantile(candidate, share) / max(quantile(baseline, share), 1.0) for share in shares]

    return ratios


def quantiles_of_differences(shares: Sequence[float]) -> Statistic:
    """The statistics "quantile of what the candidate took longer", in microseconds."""

    def quantiles(pairs: Sequence[Pair]) -> list[float]:
        differences = sorted([candidate - baseline for baseline, candidate in pairs])
        return [quantile(differences, share) for share in shares]

    return quantiles


def bootstrap(
    pairs: Sequence[Pair], statistic: Statistic, *, resamples: int = RESAMPLES, seed: int = 1
) -> list[Interval]:
    """The 95 % interval of each. The same pairs give the same intervals. [] without pairs."""
    if not pairs:
        return []
    draw = random.Random(seed)
    drawn = [statistic(draw.choices(pairs, k=len(pairs))) for _ in range(resamples)]
    columns = [sorted(column) for column in zip(*drawn, strict=True)]
    return [(quantile(column, 0.025), quantile(column, 0.975)) for column in columns]
