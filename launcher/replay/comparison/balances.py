"""How often one of two is slower, and how often the other: pairs, blocks of time, and longer periods.

Requests of the same moment are slow together: a burst of a hundred is not a hundred proofs. So blocks of BLOCK_SECONDS
are counted, too: those in which the one was slower more often than faster, or the other way round. And a machine may be
slow for a while for what happens beside it: so the counts are kept of MOST_PERIODS periods at most, which grow with the
run, and a verdict can ask whether it held in all of it.
"""

from __future__ import annotations

from typing import Any

MUCH = 3  # times as long as the other
MUCH_MICROSECONDS = 5000  # and so much longer
BLOCK_SECONDS = 0.25
MOST_PERIODS = 8
_FIRST_SHIFT = 2  # a period is 1 s at first


class Balance:
    """`slower` and `faster` are counted from outside; a block's end files what was added."""

    __slots__ = ("_faster", "_shift", "_slower", "blocks_faster", "blocks_slower", "faster", "periods", "slower")

    def __init__(self) -> None:
        self.slower = self.faster = 0
        self.blocks_slower = self.blocks_faster = 0
        self._slower = self._faster = 0  # at the beginning of the block
        self._shift = _FIRST_SHIFT
        self.periods: dict[int, tuple[int, int]] = {}  # slower, faster

    def end_block(self, block: int) -> None:
        """A block has ended; nothing happens if nothing was added."""
        slower, faster = self.slower - self._slower, self.faster - self._faster
        if not (slower or faster):
            return
        self.blocks_slower += slower > faster
        self.blocks_faster += faster > slower
        self._slower, self._faster = self.slower, self.faster
        while block >> self._shift >= MOST_PERIODS:
            self._widen()
        period = block >> self._shift
        before = self.periods.get(period, (0, 0))
        self.periods[period] = (before[0] + slower, before[1] + faster)

    def merge(self, other: Balance) -> None:
        """Both have ended their blocks, and count from the same start."""
        while self._shift < other._shift:
            self._widen()
        while other._shift < self._shift:
            other._widen()
        for period, (slower, faster) in other.periods.items():
            before = self.periods.get(period, (0, 0))
            self.periods[period] = (before[0] + slower, before[1] + faster)
        self.slower += other.slower
        self.faster += other.faster
        self.blocks_slower += other.blocks_slower
        self.blocks_faster += other.blocks_faster
        self._slower, self._faster = self.slower, self.faster

    def encode(self, busy: Balance) -> dict[str, Any]:
        """As plain JSON, with the periods of `busy`, a Balance of the same pairs that has counted whenever this has."""
        while self._shift < busy._shift:
            self._widen()
        return {
            "slower": self.slower, "faster": self.faster,
            "blocks_slower": self.blocks_slower, "blocks_faster": self.blocks_faster,
            "periods": [list(self.periods.get(period, (0, 0))) for period in sorted(busy.periods)],
        }  # fmt: skip

    def _widen(self) -> None:
        """Two periods become one."""
        self._shift += 1
        narrow, self.periods = self.periods, {}
        for period, (slower, faster) in narrow.items():
            before = self.periods.get(period >> 1, (0, 0))
            self.periods[period >> 1] = (before[0] + slower, before[1] + faster)


class Rivals:
    """One beside another: by anything, and by much."""

    __slots__ = ("by_much", "count", "somewhat")

    def __init__(self) -> None:
        self.count = 0
        self.somewhat, self.by_much = Balance(), Balance()

    def add(self, one: int, two: int) -> None:
        """One pair, in microseconds; it is the second that may be slower."""
        self.count += 1
        if two > one:
            self.somewhat.slower += 1
            if two - one >= MUCH_MICROSECONDS and two >= MUCH * one:
                self.by_much.slower += 1
        elif two < one:
            self.somewhat.faster += 1
            if one - two >= MUCH_MICROSECONDS and one >= MUCH * two:
                self.by_much.faster += 1

    def end_block(self, block: int) -> None:
        self.somewhat.end_block(block)
        self.by_much.end_block(block)

    def merge(self, other: Rivals) -> None:
        self.count += other.count
        self.somewhat.merge(other.somewhat)
        self.by_much.merge(other.by_much)

    def encode(self) -> dict[str, Any]:
        somewhat, by_much = self.somewhat, self.by_much
        return {"somewhat": somewhat.encode(somewhat), "by_much": by_much.encode(somewhat)}
