"""How long things took, in a bounded histogram: exact in number and maximum, within 2.5 % at any percentile.

Each bucket is 5 % wider than the one before, from a microsecond up: 453 of them reach an hour. Two processes'
histograms add up by their buckets.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

RELATIVE_ERROR = 0.025
_GROWTH = math.log1p(2 * RELATIVE_ERROR)
_FIRST_SECONDS = 1e-6
_LAST_BUCKET = math.ceil(math.log(3600 / _FIRST_SECONDS) / _GROWTH)


@dataclass(frozen=True)
class Latencies:
    """How long answered copies took, connecting included. `count` is how many there were, their sum is exact."""

    count: int = 0
    max_seconds: float = 0.0
    buckets: Mapping[int, int] = field(default_factory=dict)  # number -> how many; only those that are not empty
    sum_microseconds: int = 0

    @property
    def sum_seconds(self) -> float:
        return self.sum_microseconds / 1e6

    def percentile(self, percent: float) -> float:
        """In seconds; 0 if there were none."""
        rank = math.ceil(self.count * percent / 100)
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                return min(_middle(bucket), self.max_seconds)
        return self.max_seconds

    def at_most(self, seconds: float) -> int:
        """How many took at most so long, by the middles of their buckets."""
        return sum(count for bucket, count in self.buckets.items() if _middle(bucket) <= seconds)

    def since(self, earlier: Latencies) -> Latencies:
        """What was added to `earlier`; the maximum is still the one of all."""
        buckets = Counter(self.buckets)
        buckets.subtract(Counter(earlier.buckets))
        return Latencies(
            self.count - earlier.count, self.max_seconds,
            {bucket: count for bucket, count in buckets.items() if count > 0},
            self.sum_microseconds - earlier.sum_microseconds,
        )  # fmt: skip

    def __add__(self, other: Latencies) -> Latencies:
        return Latencies(
            self.count + other.count,
            max(self.max_seconds, other.max_seconds),
            dict(Counter(self.buckets) + Counter(other.buckets)),
            self.sum_microseconds + other.sum_microseconds,
        )


class LatencyRecorder:
    """Grows, bucket by bucket."""

    def __init__(self) -> None:
        self._count = 0
        self._max_seconds = 0.0
        self._sum_microseconds = 0
        self._buckets: dict[int, int] = {}

    def add(self, seconds: float) -> None:
        """One more."""
        self._count += 1
        self._sum_microseconds += round(seconds * 1e6)
        if seconds > self._max_seconds:
            self._max_seconds = seconds
        bucket = bucket_of(seconds)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def latencies(self) -> Latencies:
        """The figures as they are now."""
        return Latencies(self._count, round(self._max_seconds, 6), dict(self._buckets), self._sum_microseconds)


def bucket_of(seconds: float) -> int:
    """The number of the bucket for a time; what is out of range falls into the first or the last one."""
    if seconds <= _FIRST_SECONDS:
        return 0
    return min(int(math.log(seconds / _FIRST_SECONDS) / _GROWTH), _LAST_BUCKET)


def _middle(bucket: int) -> float:
    return _FIRST_SECONDS * math.exp((bucket + 0.5) * _GROWTH)
