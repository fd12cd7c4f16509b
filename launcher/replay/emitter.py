"""Hands each record to the outputs that it is for: filters and rewriters first, then all outputs, or the next in turn.

A request that a filter leaves out is `filtered` at every output; with --split-output at the one whose turn it would
have been, which keeps its turn. So, split or not, each request is received by every output, or by exactly one.

Responses, recorded (type 2) or from a destination (type 3), are not modified, and go to outputs that take them: no
http output does, and counts none. One whose request was left out is left out, too. With --split-output it follows its
request, as long as that is among the last ten thousand; the answer of a destination goes to all that take answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from launcher.replay.modifiers import Modify
from launcher.replay.outputs import Output

_T = TypeVar("_T")
_RESPONSE_STARTS = (b"2 ", b"3 ")  # gor's types: recorded, from a destination
_REPLAYED = b"3 "
_IDENTITY_BYTES = 64  # gor's have 24 digits, and stand behind the type
_MANY = 10_000  # identities that are remembered for responses


class Emitter:
    """`outputs` in gor's order; if it `alternates`, another one is the first for each record, which is fair to those
    that are compared. `emit` never waits."""

    def __init__(
        self, outputs: Sequence[Output], modify: Modify | None, *, splits: bool, alternates: bool = False
    ) -> None:
        self._outputs = outputs
        self._modify = modify
        self._splits = splits
        self._alternates = alternates
        self._turn = 0
        self._offers = [output.offer for output in outputs]
        self._takes_responses = any(output.tally.takes_responses for output in outputs)
        self._left_out: dict[bytes, None] = {}  # requests that a filter left out, the newest last
        self._owners: dict[bytes, Output] = {}  # of requests, where the output is split

    def emit(self, record: bytes) -> None:
        """Takes one record to its outputs."""
        if record.startswith(_RESPONSE_STARTS):
            self._emit_response(record)
            return
        if self._modify is not None:
            modified = self._modify(record)
            if modified is None:
                self._leave_out(record)
                return
            record = modified
        if self._splits:
            self._emit_in_turn(record)
            return
        for offer in self._offers:
            offer(record)
        if self._alternates:
            self._offers.append(self._offers.pop(0))

    def _emit_in_turn(self, record: bytes) -> None:
        output = self._outputs[self._turn]
        self._turn = (self._turn + 1) % len(self._outputs)
        if self._takes_responses:
            _remember(self._owners, _identity(record), output)
        output.offer(record)

    def _leave_out(self, record: bytes) -> None:
        if self._takes_responses:
            _remember(self._left_out, _identity(record), None)
        for output in [self._outputs[self._turn]] if self._splits else self._outputs:
            _count_filtered(output)

    def _emit_response(self, record: bytes) -> None:
        identity = _identity(record)
        owner = self._owners.get(identity)
        if owner is not None and not owner.tally.takes_responses and record.startswith(_REPLAYED):
            owner = None  # the destination that answered: it has no use for it
        outputs = self._outputs if owner is None else [owner]
        is_left_out = identity in self._left_out
        for output in outputs:
            if not output.tally.takes_responses:
                continue
            output.tally.responses += 1
            if is_left_out:
                _count_filtered(output)
            else:
                output.offer(record)


def _count_filtered(output: Output) -> None:
    output.tally.received += 1
    output.tally.count("filtered")


def _identity(record: bytes) -> bytes:
    words = record[:_IDENTITY_BYTES].split(b" ", 2)
    return words[1] if len(words) == 3 else b""


def _remember(known: dict[bytes, _T], identity: bytes, what: _T) -> None:
    known.pop(identity, None)
    known[identity] = what
    if len(known) > _MANY:
        del known[next(iter(known))]
