"""A pattern as a small machine: which characters it waits for, and which of them may follow which.

The machine has *steps*. A `Take` waits for one character; the others take none: `Fork` tries one way before the other,
`Mark` notes a position, `Check` needs something to hold here, `Done` is the match. Sets of Takes (and Done) are held as
the bits of one int, so that one operation moves all of them: see `Links`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from launcher.go_regexp import runes
from launcher.go_regexp.nodes import (
    Assertion,
    Between,
    Choice,
    GoUnsupported,
    Group,
    Node,
    OneOf,
    Pattern,
    Ranges,
    Repeat,
)

MAX_STEPS = 10_000
_GROUPS_A_MOVE = 64  # take as long as all else
MAX_LINKS = 200_000  # visits while it is found what may follow what: bounds the time to compile and the memory

# What stands on a side of a position. Where no assertion looks at it, every character is OTHER.
EDGE, WORD, NEWLINE, OTHER = range(4)


@dataclass
class Take:
    ranges: Ranges
    next: int
    bit: int


@dataclass
class Fork:
    first: int
    second: int


@dataclass
class Mark:
    slot: int
    next: int


@dataclass
class Check:
    assertion: Assertion
    next: int


@dataclass
class Done:
    bit: int


Step = Take | Fork | Mark | Check | Done


def holds(assertion: Assertion, before: int, after: int) -> bool:
    """Does it hold between two neighbours of these kinds?"""
    if assertion is Assertion.BEGIN_TEXT:
        return before == EDGE
    if assertion is Assertion.END_TEXT:
        return after == EDGE
    if assertion is Assertion.BEGIN_LINE:
        return before in (EDGE, NEWLINE)
    if assertion is Assertion.END_LINE:
        return after in (EDGE, NEWLINE)
    return ((before == WORD) != (after == WORD)) == (assertion is Assertion.WORD_BOUNDARY)


class Links:
    """Which bits follow from which, for all bits of a set at once.

    Most Takes lead to themselves or to the next one: two operations for all of them. The rest is grouped by its aim.
    `work` says what it costs to follow them: 1 for most programs, which is 2 to 7 us.
    """

    def __init__(self, targets: Sequence[Sequence[int]], *, step: int) -> None:
        self._step = step
        self._stay = self._shift = 0
        groups: dict[int, int] = {}
        for bit, aims in enumerate(targets):
            rest = 0
            for aim in aims:
                if aim == bit:
                    self._stay |= 1 << bit
                elif aim == bit + step:
                    self._shift |= 1 << bit
                else:
                    rest |= 1 << aim
            if rest:
                groups[rest] = groups.get(rest, 0) | 1 << bit
        self._groups = [(sources, aims) for aims, sources in groups.items()]
        self.work = 1 + len(self._groups) // _GROUPS_A_MOVE

    def follow(self, bits: int) -> int:
        """All bits that one of these leads to."""
        moved = bits & self._shift
        found = (bits & self._stay) | (moved << 1 if self._step > 0 else moved >> 1)
        for sources, aims in self._groups:
            if bits & sources:
                found |= aims
        return found


class Program:
    """The steps of one pattern, and what is asked about them. Raises GoUnsupported if there would be too many."""

    def __init__(self, pattern: Pattern) -> None:
        self.names = pattern.names
        self.steps: list[Step] = []
        self.start, self._takes, self.done_bit = _Compiler(self.steps).compile(pattern.root)
        checks = {step.assertion for step in self.steps if isinstance(step, Check)}
        self.looks_around = bool(checks - {Assertion.BEGIN_TEXT, Assertion.END_TEXT})
        classes: dict[Ranges, int] = {}
        for step in self._takes:
            classes[step.ranges] = classes.get(step.ranges, 0) | 1 << step.bit
        self._classes = list(classes.items())
        self.bits_for = lru_cache(maxsize=4096)(self._bits_for)
        self.begins = lru_cache(maxsize=None)(self._begins)
        self.forward = lru_cache(maxsize=None)(self._forward)
        self.backward = lru_cache(maxsize=None)(self._backward)
        self._reached(self.start, None)
        self._aims(None)  # says now whether it is too large
        self.is_anchored = not any(
            self.begins(before, after) for before in (WORD, NEWLINE, OTHER) for after in range(4)
        )

    def get_ready(self) -> None:
        """Finds out now what follows what between which neighbours: up to some milliseconds, once."""
        kinds = range(4) if self.looks_around else (EDGE, OTHER)
        for before in kinds:
            for after in kinds:
                self.begins(before, after)
                self.forward(before, after)

    def kind(self, character: str) -> int:
        """Of a neighbour: WORD, NEWLINE or OTHER."""
        if not self.looks_around:
            return OTHER
        if character == "\n":
            return NEWLINE
        return WORD if character.isascii() and (character.isalnum() or character == "_") else OTHER

    def _bits_for(self, character: str) -> int:
        """The Takes that take this character. A lone surrogate stands for an invalid byte, in Go U+FFFD."""
        code_point = ord(character)
        if 0xD800 <= code_point <= 0xDFFF:
            code_point = 0xFFFD
        found = 0
        for ranges, bits in self._classes:
            if runes.has(ranges, code_point):
                found |= bits
        return found

    def _begins(self, before: int, after: int) -> int:
        """The bits that a match which begins between these neighbours waits for."""
        return sum(1 << bit for bit in self._reached(self.start, (before, after)))

    def _forward(self, before: int, after: int) -> Links:
        return Links(self._aims((before, after)), step=1)

    def _backward(self, before: int, after: int) -> Links:
        sources: list[list[int]] = [[] for _ in range(len(self._takes) + 1)]
        for bit, aims in enumerate(self._aims((before, after))):
            for aim in aims:
                sources[aim].append(bit)
        return Links(sources, step=-1)

    def _aims(self, between: tuple[int, int] | None) -> list[list[int]]:
        known: dict[int, list[int]] = {}
        visits = 0
        for take in self._takes:
            if take.next not in known:
                known[take.next] = self._reached(take.next, between)
            visits += len(known[take.next])
            if visits > MAX_LINKS:
                raise _too_large()
        return [*(known[take.next] for take in self._takes), []]

    def _reached(self, step_number: int, between: tuple[int, int] | None) -> list[int]:
        """The bits of what can be reached without a character; `between` None: whatever the neighbours are."""
        found: list[int] = []
        seen: set[int] = set()
        todo = [step_number]
        while todo:
            number = todo.pop()
            if number in seen:
                continue
            seen.add(number)
            step = self.steps[number]
            if isinstance(step, Take | Done):
                found.append(step.bit)
            elif isinstance(step, Fork):
                todo += (step.second, step.first)
            elif isinstance(step, Mark) or between is None or holds(step.assertion, *between):
                todo.append(step.next)
        return found


def _too_large() -> GoUnsupported:
    return GoUnsupported("expression too large")


class _Compiler:
    """Builds the steps from the end to the start: each part is told where to go on."""

    def __init__(self, steps: list[Step]) -> None:
        self._steps = steps
        self._takes: list[Take] = []

    def compile(self, root: Node) -> tuple[int, list[Take], int]:
        """The first step, all Takes in the order of their bits, and the bit of Done."""
        done = Done(0)
        end = self._add(done)
        start = self._add(Mark(0, self._node(root, self._add(Mark(1, end)))))
        self._takes.reverse()  # so that the next one of most is the next bit
        for bit, take in enumerate(self._takes):
            take.bit = bit
        done.bit = len(self._takes)
        return start, self._takes, done.bit

    def _add(self, step: Step) -> int:
        if len(self._steps) >= MAX_STEPS:
            raise _too_large()
        self._steps.append(step)
        return len(self._steps) - 1

    def _node(self, node: Node, then: int) -> int:
        if isinstance(node, OneOf):
            take = Take(node.ranges, then, 0)
            self._takes.append(take)
            return self._add(take)
        if isinstance(node, Between):
            return self._add(Check(node.assertion, then))
        if isinstance(node, Group):
            inner = self._node(node.inner, self._add(Mark(2 * node.number + 1, then)))
            return self._add(Mark(2 * node.number, inner))
        if isinstance(node, Choice):
            first = self._node(node.parts[-1], then)
            for part in reversed(node.parts[:-1]):
                first = self._add(Fork(self._node(part, then), first))
            return first
        if isinstance(node, Repeat):
            return self._repeat(node, then)
        for part in reversed(node.parts):
            then = self._node(part, then)
        return then

    def _repeat(self, node: Repeat, then: int) -> int:
        """x{2,4} is xx(x(x)?)?, x{2,} is xx+, and x* of an x that may be empty is (x+)?: Go's order of preference."""
        inner, low, high = node.inner, node.low, node.high
        if high == 0 or _is_empty(inner):
            return then
        fork = self._fork(node.is_greedy)
        entry = then
        if high is None:
            if (
                isinstance(inner, Repeat)
                and inner == Repeat(inner.inner, min(low, 1), None, node.is_greedy)
                and low < 2
            ):
                return self._repeat(inner, then)  # for Go (?:x*)* is x*
            loop = self._add(Fork(0, 0))
            body = self._node(inner, loop)
            self._steps[loop] = fork(body, then)
            entry = body
            if low == 0:
                entry = self._add(fork(body, then)) if _may_be_empty(inner) else loop
            low -= 1
        else:
            for _ in range(high - low):
                entry = self._add(fork(self._node(inner, entry), then))
        for _ in range(low):
            entry = self._node(inner, entry)
        return entry

    @staticmethod
    def _fork(is_greedy: bool) -> Callable[[int, int], Fork]:
        return (lambda more, enough: Fork(more, enough)) if is_greedy else (lambda more, enough: Fork(enough, more))


def _is_empty(node: Node) -> bool:
    return not isinstance(node, OneOf | Between | Group | Choice | Repeat) and not node.parts


def _may_be_empty(node: Node) -> bool:
    if isinstance(node, OneOf):
        return False
    if isinstance(node, Between):
        return True
    if isinstance(node, Group):
        return _may_be_empty(node.inner)
    if isinstance(node, Repeat):
        return node.low == 0 or _may_be_empty(node.inner)
    if isinstance(node, Choice):
        return any(map(_may_be_empty, node.parts))
    return all(map(_may_be_empty, node.parts))
