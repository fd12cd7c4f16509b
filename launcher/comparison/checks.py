"""`--check 'status_mismatch<0.1% p95_ratio<1.2'`: what must hold of each candidate. For CI.

A check is NAME OP NUMBER with OP one of < <= > >=, and NUMBER with or without %; several stand behind each other with
blanks, commas or `and` between them. Below LEAST_PAIRS pairs no check holds, but those of `pairs` itself.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from launcher.comparison.verdict import LEAST_PAIRS, PERCENTS, CandidateVerdict, Verdict

Figure = Callable[[Verdict, CandidateVerdict], float]


def _ratio(percent: int) -> Figure:
    return lambda verdict, candidate: candidate.ratio(percent)


def _milliseconds(percent: int) -> Figure:
    return lambda verdict, candidate: candidate.overall.candidate.percentile(percent) / 1000


FIGURES: Mapping[str, tuple[str, Figure]] = MappingProxyType({  # name -> its meaning, and how it is reckoned
    "pairs": ("pairs of answers that were compared", lambda verdict, candidate: candidate.pairs),
    "coverage": ("share of the requests that were compared", lambda verdict, candidate: verdict.coverage),
    "status_mismatch": (
        "share of pairs with another status", lambda verdict, candidate: candidate.mismatch("status").value
    ),
    "header_mismatch": (
        "share of pairs with another header of those that count",
        lambda verdict, candidate: candidate.mismatch("headers").value,
    ),
    "body_mismatch": (
        "share of pairs with another body", lambda verdict, candidate: candidate.mismatch("body").value
    ),
    "findings": ("places where the candidate differs", lambda verdict, candidate: len(candidate.findings)),
    "slower_endpoints": ("endpoints that became slower", lambda verdict, candidate: len(candidate.slower)),
    **{
        f"p{percent}_ratio": (f"the candidate's p{percent} by the baseline's", _ratio(percent)) for percent in PERCENTS
    },
    **{f"p{percent}_ms": (f"the candidate's p{percent} in ms", _milliseconds(percent)) for percent in PERCENTS},
})
_OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_CHECK = re.compile(r"([a-z][a-z0-9_]*)\s*(<=|>=|<|>)\s*([0-9]+(?:\.[0-9]+)?)\s*(%?)")
_BETWEEN = re.compile(r"[\s,]*(?:and\b[\s,]*)?")


@dataclass(frozen=True)
class Check:
    """One of the expression."""

    text: str
    name: str
    op: str
    bound: float

    def holds(self, verdict: Verdict, candidate: CandidateVerdict) -> bool:
        """Whether it does; without a baseline or with too few pairs it does not."""
        if self.name != "pairs" and (candidate.pairs < LEAST_PAIRS or not candidate.has_baseline):
            return False
        return bool(_OPERATORS[self.op](self.value(verdict, candidate), self.bound))

    def value(self, verdict: Verdict, candidate: CandidateVerdict) -> float:
        """What the figure is."""
        return FIGURES[self.name][1](verdict, candidate)


def parse_checks(text: str) -> tuple[Check, ...]:
    """All of an expression. A ValueError completes "must be ..."."""
    checks = []
    place = _skip(text, 0)
    while place < len(text):
        match = _CHECK.match(text, place)
        if not match:
            raise ValueError(f"checks such as 'status_mismatch<0.1% p95_ratio<1.2', not {text[place:]!r}")
        name, op, number, percent = match.groups()
        if name not in FIGURES:
            raise ValueError(f"checks of {', '.join(FIGURES)}; there is no {name}")
        checks.append(Check(match[0].strip(), name, op, float(number) / (100 if percent else 1)))
        place = _skip(text, match.end())
    if not checks:
        raise ValueError("checks such as 'status_mismatch<0.1% p95_ratio<1.2', not nothing")
    return tuple(checks)


def _skip(text: str, place: int) -> int:
    between = _BETWEEN.match(text, place)
    return between.end() if between else place
