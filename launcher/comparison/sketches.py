"""Bounded memories of how long things took: a histogram of all of them, and a fair sample of pairs.

A Sketch is exact in number and maximum, and within 1 % at any percentile: each bucket is 2 % wider than the one
before, and 1114 of them reach from a microsecond to an hour. A Sample holds every pair with the same probability
(Vitter's algorithm R), so what is reckoned from it has the error of a sample of its size.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping

RELATIVE_ERROR = 0.01
_GROWTH = math.log1p(2 * RELATIVE_ERROR)
_MOST_MICROSECONDS = 3600e6
LAST_BUCKET = math.ceil(math.log(_MOST_MICROSECONDS) / _GROWTH)

Pair = tuple[int, int]  # microseconds: the baseline's, the candidate's


class Sketch:
    """Grows bucket by bucket. Times are in microseconds."""

    __slots__ = ("buckets", "count", "most")

    def __init__(self) -> None:
        self.count = 0
        self.most = 0
        self.buckets: dict[int, int] = {}

    def add(self, microseconds: int) -> None:
        """One more."""
        self.count += 1
        if microseconds > self.most:
            self.most = microseconds
        bucket = min(int(math.log(microseconds) / _GROWTH), LAST_BUCKET) if microseconds > 1 else 0
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def merge(self, other: Sketch) -> None:
        """Adds all of the other's."""
        self.count += other.count
        self.most = max(self.most, other.most)
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    def percentile(self, percent: float) -> float:
        """In microseconds; 0 if there were none."""
        rank = math.ceil(self.count * percent / 100)
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                return min(_middle(bucket), self.most)
        return self.most

    def shares(self) -> list[tuple[float, float]]:
        """The distribution: (microseconds, the share that took no longer), growing."""
        points: list[tuple[float, float]] = []
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            points.append((min(math.exp((bucket + 1) * _GROWTH), self.most), seen / self.count))
        return points

    def encode(self) -> dict[str, object]:
        """As plain JSON."""
        flat = [number for item in sorted(self.buckets.items()) for number in item]
        return {"count": self.count, "max_us": self.most, "buckets": flat}

    @classmethod
    def decode(cls, facts: Mapping[str, object]) -> Sketch:
        """Reads what `encode` wrote. Raises ValueError."""
        sketch = cls()
        flat, count, most = facts.get("buckets"), facts.get("count"), facts.get("max_us")
        if not isinstance(flat, list) or not isinstance(count, int) or not isinstance(most, int):
            raise ValueError("a sketch has buckets, count and max_us")
        sketch.buckets = dict(zip(map(int, flat[::2]), map(int, flat[1::2]), strict=True))
        sketch.count, sketch.most = count, most
        return sketch


class Sample:
    """At most `size` pairs of all that were added."""

    __slots__ = ("_draw", "_size", "pairs", "seen")

    def __init__(self, size: int, draw: random.Random) -> None:
        self._size = size
        self._draw = draw
        self.pairs: list[Pair] = []
        self.seen = 0

    def add(self, pair: Pair) -> None:
        """One more."""
        self.seen += 1
        if len(self.pairs) < self._size:
            self.pairs.append(pair)
        elif (place := int(self._draw.random() * self.seen)) < self._size:
            self.pairs[place] = pair

    def merge(self, other: Sample) -> None:
        """Takes from both as many as their shares of all that were seen."""
        seen = self.seen + other.seen
        if len(self.pairs) + len(other.pairs) <= self._size:
            self.pairs += other.pairs
        elif seen:
            ours = min(round(self._size * self.seen / seen), len(self.pairs))
            theirs = min(self._size - ours, len(other.pairs))
            self.pairs = self._draw.sample(self.pairs, ours) + self._draw.sample(other.pairs, theirs)
        self.seen = seen


def spread(pairs: Iterable[Pair]) -> list[int]:
    """Pairs as a flat list, as plain JSON has them."""
    return [number for pair in pairs for number in pair]


def gathered(flat: list[int]) -> list[Pair]:
    """The pairs of such a list."""
    return list(zip(flat[::2], flat[1::2], strict=True))


def _middle(bucket: int) -> float:
    return math.exp((bucket + 0.5) * _GROWTH)
