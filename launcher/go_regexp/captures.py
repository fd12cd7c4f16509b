"""Where the matches are, and what their groups hold: in two passes, so that no text costs more than its length.

From the end of the text to its start: which Takes, waiting at each position, lead to a match. Then forward: a match
begins at the first position from which one is to be had, and at every fork the preferred way is taken that leads to it.
So there is no way back, and texts with many matches are no slower (Go's engine searches to the end for each of them).
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.go_regexp.program import EDGE, OTHER, Check, Fork, Mark, Program, Take, holds

MAX_ENTRIES = 10_000

Slots = list[int]  # begin and end of each group, the whole match first; -1 for a group that took no part
_Way = tuple[int, tuple[int, ...]]  # the step to go on with behind the character (-1: matched), and slots that are here


class Captures:
    """The tables of one program. `moves` counts the look-ups that they could not answer."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.moves = 0
        self._entries = 0
        self._states: dict[tuple[int, int], _State] = {}

    def matches(self, text: str) -> Iterator[Slots]:
        """The slots of each match as Go's ReplaceAll comes to them, those to be left out included."""
        positions = self._viable(text)
        kinds = self._kinds(text)
        search_at = 0
        while search_at <= len(text):
            slots = self._match(text, positions, kinds, search_at)
            if slots is None:
                return
            yield slots
            search_at = max(search_at + 1, slots[1])

    def _kinds(self, text: str) -> list[int]:
        """Of what stands before each position."""
        if not self.program.looks_around:
            return [EDGE] + [OTHER] * len(text)
        return [EDGE, *map(self.program.kind, text)]

    def _viable(self, text: str) -> list[_State]:
        """For each position of the text and its end, what leads to a match from there."""
        state = self._state(1 << self.program.done_bit, EDGE)
        states = [state]
        for character in reversed(text):
            earlier = state.get(character)
            if earlier is None:
                earlier = self._earlier(state, character)
            state = earlier
            states.append(state)
        states.reverse()
        return states

    def _earlier(self, state: _State, character: str) -> _State:
        self._count()
        program = self.program
        kind = program.kind(character)
        lead = program.backward(kind, state.after).follow(state.viable) & program.bits_for(character)
        earlier = state[character] = self._state(lead | 1 << program.done_bit, kind)
        return earlier

    def _state(self, viable: int, after: int) -> _State:
        state = self._states.get((viable, after))
        if state is None:
            state = self._states[viable, after] = _State(viable, after)
        return state

    def _count(self) -> None:
        self.moves += 1
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            self._entries = 0
            for state in self._states.values():
                state.clear()
                state.ways.clear()
            self._states = {}

    def _match(self, text: str, states: list[_State], kinds: list[int], search_at: int) -> Slots | None:
        program = self.program
        for begin in range(search_at, len(text) + 1):
            state = states[begin]
            if program.begins(kinds[begin], state.after) & state.viable:
                break
            if program.is_anchored and begin:
                return None
        else:
            return None
        slots = [-1] * (2 * len(program.names))
        step, position = program.start, begin
        while step >= 0:
            state = states[position]
            way = state.ways.get((step, kinds[position])) or self._way(state, step, kinds[position])
            step = way[0]
            for slot in way[1]:
                slots[slot] = position
            position += 1
        return slots

    def _way(self, state: _State, start: int, before: int) -> _Way:
        """The most preferred way from a step to a Take, or to Done, that leads to a match."""
        seen: set[int] = set()
        todo: list[tuple[int, tuple[int, ...]]] = [(start, ())]
        while todo:
            number, slots = todo.pop()
            if number in seen:
                continue
            seen.add(number)
            self.moves += 1
            step = self.program.steps[number]
            if isinstance(step, Fork):
                todo += ((step.second, slots), (step.first, slots))
            elif isinstance(step, Mark):
                todo.append((step.next, (*slots, step.slot)))
            elif isinstance(step, Check):
                if holds(step.assertion, before, state.after):
                    todo.append((step.next, slots))
            elif state.viable >> step.bit & 1:
                way = (step.next if isinstance(step, Take) else -1), slots
                self._count()
                state.ways[start, before] = way
                return way
        raise AssertionError("a step from which a match was to be had leads to none")


class _State(dict[str, "_State"]):
    """By the character before it, the state of the position before."""

    __slots__ = ("after", "viable", "ways")

    def __init__(self, viable: int, after: int) -> None:
        super().__init__()
        self.viable = viable  # the bits of the Takes, waiting here, that lead to a match, and of Done
        self.after = after  # the kind of what stands behind the position
        self.ways: dict[tuple[int, int], _Way] = {}
