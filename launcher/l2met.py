"""The counters as Heroku's log metrics read them: `count#name=12 sample#name=300bytes measure#name=4.2ms`.

The conventions are l2met's (github.com/ryandotsmith/l2met, wiki page Usage), which Librato, AppOptics and others take
from a Logplex drain: a count is what was added since the last line, a sample is a gauge, a measure is a time; a unit
may follow the number; `source` says which dyno it is about. Digits and a point only: no sign, no exponent. Pure.

Names are made of ours and of destinations; what is no letter, digit, `_` or `-` in those becomes `-`, so that none can
end a name, or add a level to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from launcher.latencies import Latencies

PREFIX = "traffic-duplicator"
PERCENTILES = (50, 95, 99)
_FACTS_A_LINE = 40  # about 3 kB: Logplex cuts lines at 10,000 bytes
_LONGEST_NAME = 60  # of a destination's part: Librato takes 255 characters in all


@dataclass(frozen=True)
class Reading:
    """Figures by their names, without the prefix; a name is a path of plain words, or made by `Names`."""

    counts: Mapping[str, int]  # totals
    samples: Mapping[str, str] = field(default_factory=dict)  # with their units
    latencies: Mapping[str, Latencies] = field(default_factory=dict)  # of all that there were


class Names:
    """Turns destinations and programs into words for names: the same one each time, another one for each."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        if text not in self._words:
            word = re.sub(r"[^A-Za-z0-9_]+", "-", text)[:_LONGEST_NAME].strip("-") or "unnamed"
            self._words[text] = next(free for free in _numbered(word) if free not in self._words.values())
        return self._words[text]


def _numbered(word: str) -> Iterator[str]:
    yield word
    number = 1
    while True:
        number += 1
        yield f"{word}-{number}"


class L2met:
    """Remembers what was told: a count is told from its first change on, and then each time, even as 0."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._latencies: dict[str, Latencies] = {}

    def lines(self, now: Reading, always: tuple[str, ...] = ()) -> list[dict[str, str]]:
        """The facts of each line: what came since the last call. `always` are counts that are told from the start."""
        facts = dict(self._facts(now, always))
        names = list(facts)
        return [
            {name: facts[name] for name in names[first : first + _FACTS_A_LINE]}
            for first in range(0, len(names), _FACTS_A_LINE)
        ]

    def _facts(self, now: Reading, always: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        for name, total in now.counts.items():
            before = self._counts.get(name)
            if total or before is not None or name in always:
                self._counts[name] = max(total, before or 0)
                yield f"count#{PREFIX}.{name}", str(self._counts[name] - (before or 0))
        for name, text in now.samples.items():
            yield f"sample#{PREFIX}.{name}", text
        for name, latencies in now.latencies.items():
            new = latencies.since(self._latencies.get(name, Latencies()))
            self._latencies[name] = latencies
            for percent in PERCENTILES if new.count > 0 else ():
                yield f"measure#{PREFIX}.{name}.p{percent}", f"{new.percentile(percent) * 1000:.3f}ms"
