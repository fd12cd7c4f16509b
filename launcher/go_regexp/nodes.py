"""What the parser makes of a pattern, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

Ranges = tuple[tuple[int, int], ...]  # code points, ascending, neither overlapping nor adjoining


class GoSyntaxError(ValueError):
    """Go refuses the pattern. Its text is Go's own words and the part of the pattern that they are about."""


class GoUnsupported(GoSyntaxError):
    """Go takes the pattern, and this engine does not."""


class Assertion(Enum):
    """What may hold between two characters without taking any."""

    BEGIN_TEXT = "begin text"
    END_TEXT = "end text"
    BEGIN_LINE = "begin line"
    END_LINE = "end line"
    WORD_BOUNDARY = "word boundary"
    NO_WORD_BOUNDARY = "no word boundary"


@dataclass(frozen=True)
class OneOf:
    """One character out of these; none if there are no ranges."""

    ranges: Ranges


@dataclass(frozen=True)
class Between:
    assertion: Assertion


@dataclass(frozen=True)
class Group:
    """A capturing group: the first of a pattern has the number 1."""

    number: int
    inner: Node


@dataclass(frozen=True)
class Sequence:
    """All of them, one behind the other; empty: the empty string."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """The first of them that leads to a match."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """`inner` from `low` to `high` times, without end if `high` is None; as often as possible if `is_greedy`."""

    inner: Node
    low: int
    high: int | None
    is_greedy: bool


Node = OneOf | Between | Group | Sequence | Choice | Repeat


@dataclass(frozen=True)
class Pattern:
    """A parsed pattern. `names` has one entry a group, the whole match first; "" for a group without a name."""

    root: Node
    names: tuple[str, ...]
