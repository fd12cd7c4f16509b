"""How long two answers to the same requests took, beside each other: exact counts, sketches, and a fair sample.

Which of two is slower, and how often, is a test in itself that needs no assumption of how latencies are spread. But
requests of the same moment are slow together: a burst of a hundred is not a hundred proofs. So there is a second count,
of periods of BLOCK_SECONDS, in which the candidate was slower more often than faster, or the other way round.
"""

from __future__ import annotations

import random
from typing import Any

from launcher.comparison.sketches import Sample, Sketch, spread

MUCH = 2  # times as long as the other
MUCH_MICROSECONDS = 5000  # and so much longer
BLOCK_SECONDS = 0.25


class Balance:
    """How often the candidate was slower, and how often faster: pairs, and periods."""

    __slots__ = ("_faster", "_slower", "blocks_faster", "blocks_slower", "faster", "slower")

    def __init__(self) -> None:
        self.slower = self.faster = 0
        self.blocks_slower = self.blocks_faster = 0
        self._slower = self._faster = 0  # at the beginning of the period

    def end_block(self) -> None:
        """A period has ended."""
        difference = (self.slower - self._slower) - (self.faster - self._faster)
        self.blocks_slower += difference > 0
        self.blocks_faster += difference < 0
        self._slower, self._faster = self.slower, self.faster

    def merge(self, other: Balance) -> None:
        """Both have ended their periods."""
        self.slower += other.slower
        self.faster += other.faster
        self.blocks_slower += other.blocks_slower
        self.blocks_faster += other.blocks_faster
        self._slower, self._faster = self.slower, self.faster

    def encode(self) -> dict[str, int]:
        self.end_block()
        return {
            "slower": self.slower, "faster": self.faster,
            "blocks_slower": self.blocks_slower, "blocks_faster": self.blocks_faster,
        }  # fmt: skip


class LatencyCounts:
    """Of pairs that were both answered. Periods end with the first pair of another one."""

    __slots__ = ("_block", "baseline", "by_much", "candidate", "sample", "somewhat")

    def __init__(self, sample_size: int, draw: random.Random) -> None:
        self.baseline, self.candidate = Sketch(), Sketch()
        self.sample = Sample(sample_size, draw)
        self.somewhat, self.by_much = Balance(), Balance()
        self._block = -1

    def add(self, baseline: int, candidate: int, now: float) -> None:
        """One pair, in microseconds; `now` in seconds."""
        block = int(now / BLOCK_SECONDS)
        if block != self._block:
            self._end_block()
            self._block = block
        self.baseline.add(baseline)
        self.candidate.add(candidate)
        self.sample.add((baseline, candidate))
        if candidate > baseline:
            self.somewhat.slower += 1
            self.by_much.slower += candidate >= MUCH * baseline and candidate - baseline >= MUCH_MICROSECONDS
        elif candidate < baseline:
            self.somewhat.faster += 1
            self.by_much.faster += baseline >= MUCH * candidate and baseline - candidate >= MUCH_MICROSECONDS

    def merge(self, other: LatencyCounts) -> None:
        self.baseline.merge(other.baseline)
        self.candidate.merge(other.candidate)
        self.sample.merge(other.sample)
        self._end_block()
        other._end_block()
        self.somewhat.merge(other.somewhat)
        self.by_much.merge(other.by_much)

    def encode(self, sample_size: int) -> dict[str, Any]:
        """As plain JSON, with so many pairs of the sample at most."""
        return {
            "somewhat": self.somewhat.encode(),
            "by_much": self.by_much.encode(),
            "baseline": self.baseline.encode(),
            "candidate": self.candidate.encode(),
            "sample_us": spread(self.sample.pairs[:sample_size]),  # any part of a fair sample is one
        }

    def _end_block(self) -> None:
        self.somewhat.end_block()
        self.by_much.end_block()
