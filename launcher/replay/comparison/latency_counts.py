"""How long two answers to the same requests took, beside each other: exact counts, sketches, and a fair sample.

Which of two is slower, and how often, is a test in itself that needs no assumption of how latencies are spread
(`balances`). With a second baseline the candidate is held to it in the same way, and the baselines to each other.
"""

from __future__ import annotations

import random
from typing import Any

from launcher.comparison.sketches import Sample, Sketch, Triple, spread
from launcher.replay.comparison.answers import Answer
from launcher.replay.comparison.balances import Rivals


class LatencyCounts:
    """Of pairs that were both answered. A baseline2 that did not answer is left out of its counts only."""

    __slots__ = ("_block", "baseline", "baselines", "candidate", "held_to_baseline", "held_to_noise", "sample")

    def __init__(self, sample_size: int, draw: random.Random) -> None:
        self.baseline, self.candidate = Sketch(), Sketch()
        self.sample: Sample[Triple] = Sample(sample_size, draw)
        self.held_to_baseline = Rivals()  # the candidate beside the baseline
        self.held_to_noise = Rivals()  # the candidate beside the second baseline
        self.baselines = Rivals()  # the second baseline beside the first
        self._block = -1

    def add(self, baseline: Answer, candidate: Answer, noise: Answer | None, block: int) -> None:
        """One pair, and the second baseline's answer if there is one; `block` is the period since the run's start."""
        if block != self._block:
            self._end_block()
            self._block = block
        one, two = baseline.microseconds, candidate.microseconds
        self.baseline.add_to(baseline.bucket, one)
        self.candidate.add_to(candidate.bucket, two)
        self.held_to_baseline.add(one, two)
        other = noise.microseconds if noise is not None else 0
        if other:
            self.held_to_noise.add(other, two)
            self.baselines.add(one, other)
        self.sample.add((one, two, other))

    def merge(self, other: LatencyCounts) -> None:
        """Takes all of the other's."""
        self.baseline.merge(other.baseline)
        self.candidate.merge(other.candidate)
        self.sample.merge(other.sample)
        self._end_block()
        other._end_block()
        self.held_to_baseline.merge(other.held_to_baseline)
        self.held_to_noise.merge(other.held_to_noise)
        self.baselines.merge(other.baselines)

    def encode(self, sample_size: int) -> dict[str, Any]:
        """As plain JSON, with so many pairs of the sample at most."""
        self._end_block()
        drawn = self.sample.some(sample_size)
        facts = {
            **self.held_to_baseline.encode(),
            "baseline": self.baseline.encode(),
            "candidate": self.candidate.encode(),
            "sample_us": spread(drawn),
        }
        if self.held_to_noise.count:
            facts["noise"] = {
                **self.held_to_noise.encode(), "pairs": self.held_to_noise.count,
                "baselines": self.baselines.encode(), "sample_us": [each[2] for each in drawn],
            }  # fmt: skip
        return facts

    def _end_block(self) -> None:
        if self._block >= 0:
            for rivals in (self.held_to_baseline, self.held_to_noise, self.baselines):
                rivals.end_block(self._block)
