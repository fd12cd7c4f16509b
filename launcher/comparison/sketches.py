"""Bounded memories of how long things took: a histogram of all of them, and a fair sample of pairs.

A Sketch is exact in number and maximum, and within 1 % at any percentile: each bucket is 2 % wider than the one
before, and 1114 of them reach from a microsecond to an hour. A Sample holds every pair with the same probability
(Vitter's algorithm R), so what is reckoned from it has the error of a sample of its size.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

RELATIVE_ERROR = 0.01
_GROWTH = math.log1p(2 * RELATIVE_ERROR)
_MOST_MICROSECONDS = 3600e6
LAST_BUCKET = math.ceil(math.log(_MOST_MICROSECONDS) / _GROWTH)

Pair = tuple[int, int]  # microseconds: the baseline's, the candidate's
Triple = tuple[int, int, int]  # and the second baseline's; 0 if there is none
Item = TypeVar("Item")


def bucket_of(microseconds: int) -> int:
    """Where a time belongs."""
    return min(int(math.log(microseconds) / _GROWTH), LAST_BUCKET) if microseconds > 1 else 0


class Sketch:
    """Grows bucket by bucket. Times are in microseconds."""

    __slots__ = ("buckets", "count", "most")

    def __init__(self) -> None:
        self.count = 0
        self.most = 0
        self.buckets: dict[int, int] = {}

    def add(self, microseconds: int) -> None:
        """One more."""
        self.add_to(bucket_of(microseconds), microseconds)

    def add_to(self, bucket: int, microseconds: int) -> None:
        """One more, whose bucket is known."""
        self.count += 1
        if microseconds > self.most:
            self.most = microseconds
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


class Sample(Generic[Item]):
    """At most `size` of all that were added."""

    __slots__ = ("_draw", "_size", "items", "seen")

    def __init__(self, size: int, draw: random.Random) -> None:
        self._size = size
        self._draw = draw
        self.items: list[Item] = []
        self.seen = 0

    def add(self, item: Item) -> None:
        """One more."""
        self.seen += 1
        if len(self.items) < self._size:
            self.items.append(item)
        elif (place := int(self._draw.random() * self.seen)) < self._size:
            self.items[place] = item

    def some(self, most: int) -> list[Item]:
        """A fair sample of at most so many. Its places are not alike: what came early and was kept is at the front."""
        return self._draw.sample(self.items, most) if most < len(self.items) else list(self.items)

    def merge(self, other: Sample[Item]) -> None:
        """Takes from both as many as their shares of all that were seen."""
        seen = self.seen + other.seen
        if len(self.items) + len(other.items) <= self._size:
            self.items += other.items
        elif seen:
            ours = min(round(self._size * self.seen / seen), len(self.items))
            theirs = min(self._size - ours, len(other.items))
            self.items = self._draw.sample(self.items, ours) + self._draw.sample(other.items, theirs)
        self.seen = seen


def spread(triples: Iterable[Triple]) -> list[int]:
    """The pairs in them as a flat list, as plain JSON has them."""
    return [number for triple in triples for number in triple[:2]]


def gathered(flat: list[int]) -> list[Pair]:
    """The pairs of such a list."""
    return list(zip(flat[::2], flat[1::2], strict=True))


def _middle(bucket: int) -> float:
    return math.exp((bucket + 0.5) * _GROWTH)
