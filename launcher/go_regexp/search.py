"""Is there a match anywhere? One look-up a character, in a table that is filled as texts need it.

A state is the set of Takes that took the last character, and that character's kind. What a text costs is one look-up a
character, and for each state or character that the table doesn't know one move of the whole set: never more, whatever
the text is. An `Allowance` bounds the moves, which cost a hundred look-ups each. When the table is full it is thrown
away, bit by bit: all at once would take 5 ms.
"""

from __future__ import annotations

from launcher.go_regexp.program import EDGE, OTHER, Program

MAX_ENTRIES = 10_000  # look-ups that a table holds: about 1 MB, and as much again while it is thrown away
_FORGOTTEN_A_MOVE = 2  # states, of which a table has one more than it has entries at most


class _Decided(Exception):
    """The rest of the text doesn't matter."""


class _Found(_Decided):
    pass


class _Hopeless(_Decided):
    pass


class TooCostly(Exception):
    """The allowance is used up, and without more moves nobody can tell whether there is a match."""


class Allowance:
    """The work that several searches may do together: `most` at once, `per_second` in the long run. The clock is the
    caller's, who fills it before each text: so no text costs more than `most`."""

    def __init__(self, *, per_second: float, most: float) -> None:
        self.work = 0  # done so far
        self._per_second = per_second
        self._most = self._left = most
        self._filled_at: float | None = None

    def fill(self, now: float) -> None:
        """`now` in seconds, never less than before."""
        if self._filled_at is not None:
            self._left = min(self._most, self._left + (now - self._filled_at) * self._per_second)
        self._filled_at = now

    def spend(self, work: int) -> None:
        """Raises TooCostly if so much is not left."""
        if self._left < work:
            raise TooCostly
        self._left -= work
        self.work += work


class Search:
    """The table of one program. `moves` counts the look-ups that it could not answer."""

    def __init__(self, program: Program, allowance: Allowance | None = None) -> None:
        self.program = program
        self.allowance = allowance
        self.moves = 0
        self._entries = 0
        self._states: dict[tuple[int, int], _State] = {}
        self._retired: dict[tuple[int, int], _State] = {}
        self._first = self.state(0, EDGE)

    def is_match(self, text: str) -> bool:
        """Is there a match anywhere in it? Raises TooCostly."""
        state = self._first
        try:
            for character in text:
                state = state[character]
        except _Found:
            return True
        except _Hopeless:
            return False
        return state.is_match_at_end()

    def state(self, took: int, kind: int) -> _State:
        """The one state for this."""
        state = self._states.get((took, kind))
        if state is None:
            state = self._states[took, kind] = _State(self, took, kind)
        return state

    def count(self) -> None:
        """Makes room for one more entry."""
        self.moves += 1
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            self._entries = 0
            self._retired = self._states
            first = (self._first.took, self._first.kind)
            self._retired.pop(first).forget()
            self._states = {first: self._first}
        for _ in range(min(_FORGOTTEN_A_MOVE, len(self._retired))):
            self._retired.popitem()[1].forget()  # which may know itself


class _State(dict[str, "_State"]):
    """By the next character, the next state."""

    __slots__ = ("_at_end", "_ends", "_search", "kind", "took")

    def __init__(self, search: Search, took: int, kind: int) -> None:
        super().__init__()
        self._search = search
        self.took = took
        self.kind = kind
        self._ends: dict[str, type[_Decided]] = {}
        self._at_end: bool | None = None

    def forget(self) -> None:
        self.clear()
        self._ends.clear()

    def _waits(self, after: int) -> int:
        program = self._search.program
        return program.forward(self.kind, after).follow(self.took) | program.begins(self.kind, after)

    def __missing__(self, character: str) -> _State:
        if character in self._ends:
            raise self._ends[character]
        search, program = self._search, self._search.program
        kind = program.kind(character)
        if search.allowance is not None:
            search.allowance.spend(program.forward(self.kind, kind).work)
        search.count()
        waits = self._waits(kind)
        if waits >> program.done_bit:
            self._ends[character] = _Found
            raise _Found
        took = waits & program.bits_for(character)
        if not took and program.is_anchored:
            self._ends[character] = _Hopeless
            raise _Hopeless
        state = self[character] = search.state(took, kind if program.looks_around else OTHER)
        return state

    def is_match_at_end(self) -> bool:
        if self._at_end is None:
            self._at_end = bool(self._waits(EDGE) >> self._search.program.done_bit)
        return self._at_end
