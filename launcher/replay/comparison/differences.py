"""How often each difference was seen: by endpoint, place and kind. Bounded; the rarest are forgotten first.

With a second baseline each is counted where only the candidate had it, where only the second baseline had it, and
where both did. If the candidate is no different, the first two are as likely as each other, however noisy the place.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

from launcher.replay.comparison.judging import Difference

MAX_KEYS = 2000
MAX_EXAMPLES = 3  # of each

Key = tuple[str, str, str]  # endpoint, where, how
Example = dict[str, Any]


class Counts:
    """One difference's."""

    __slots__ = ("baselines_only", "both", "candidate_only", "examples")

    def __init__(self) -> None:
        self.candidate_only = 0
        self.baselines_only = 0
        self.both = 0
        self.examples: list[Example] = []

    def merge(self, other: Counts) -> None:
        self.candidate_only += other.candidate_only
        self.baselines_only += other.baselines_only
        self.both += other.both
        self.examples = [*self.examples, *other.examples][:MAX_EXAMPLES]


class Differences:
    """Of one candidate."""

    def __init__(self) -> None:
        self.counts: dict[Key, Counts] = {}
        self.forgotten = 0  # keys

    def add(
        self, endpoint: str, candidate: Set[Difference], noise: Set[Difference], example: Callable[[], Example]
    ) -> None:
        """What differed in one set of answers."""
        for where, how in candidate | noise if noise else candidate:
            counts = self.counts.get((endpoint, where, how)) or self._new((endpoint, where, how))
            if (where, how) not in noise:
                counts.candidate_only += 1
                if len(counts.examples) < MAX_EXAMPLES:
                    counts.examples.append(example())
            elif (where, how) in candidate:
                counts.both += 1
            else:
                counts.baselines_only += 1

    def rename(self, renamed: Callable[[str], str]) -> None:
        """Endpoints have new names, some of them the same."""
        before, self.counts = self.counts, {}
        for (endpoint, where, how), counts in before.items():
            key = (renamed(endpoint), where, how)
            if key in self.counts:
                self.counts[key].merge(counts)
            else:
                self.counts[key] = counts

    def _new(self, key: Key) -> Counts:
        if len(self.counts) >= MAX_KEYS:
            weight = {each: counts.candidate_only + counts.both for each, counts in self.counts.items()}
            for rare in sorted(weight, key=lambda each: weight[each])[: MAX_KEYS // 4]:
                del self.counts[rare]
                self.forgotten += 1
        counts = self.counts[key] = Counts()
        return counts
