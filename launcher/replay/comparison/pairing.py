"""Brings together the answers to one request, by its record's identity, as they come in any order.

Each compared output ends every record that it was offered, so mostly a set is complete soon. Where one is limited or
slower than the traffic, sets that wait too long, or are too many, are let go and counted as `unpaired`.
"""

from __future__ import annotations

from collections.abc import Callable

from launcher.replay.comparison.answers import Answer

REQUEST = b"1 "  # gor's type, as a record begins
MAX_WAITING = 20_000  # sets: about 600 bytes each, without bodies
MAX_AGE_SECONDS = 120.0  # longer than a copy waits and takes in any setting that makes sense


class Waiting:
    """A set that is not complete."""

    __slots__ = ("answers", "missing", "record", "since")

    def __init__(self, roles: int, since: float) -> None:
        self.record = b""  # the request's
        self.answers: list[Answer | None] = [None] * roles
        self.missing = roles
        self.since = since


Complete = Callable[[bytes, list[Answer]], None]  # the record, and an answer of each role


class Pairing:
    """`complete` is told of each whole set, whose answers are then released. `max_bytes`: of all requests that wait.

    Mostly an output's queue holds them, too. Those that only a recording has no answer to are held by nobody else."""

    def __init__(self, roles: int, max_bytes: int, complete: Complete) -> None:
        self._roles = roles
        self._max_bytes = max_bytes
        self._complete = complete
        self._waiting: dict[bytes, Waiting] = {}  # the oldest first
        self.record_bytes = 0  # of those that wait
        self.unpaired = 0  # sets that were let go
        self.repeated = 0  # answers to a request that had one already: a middleware made two of it

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, identity: bytes, role: int, record: bytes, answer: Answer, now: float) -> None:
        """One role's end of a record."""
        found = self._waiting.get(identity)
        if found is None:
            if len(self._waiting) >= MAX_WAITING:
                self._let_go(next(iter(self._waiting)))
            found = self._waiting[identity] = Waiting(self._roles, now)
        if found.answers[role] is not None:
            self.repeated += 1
            answer.release()
            return
        if record.startswith(REQUEST):  # and no recorded answer
            self.record_bytes += len(record) - len(found.record)
            found.record = record
        found.answers[role] = answer
        found.missing -= 1
        if found.missing:
            while self.record_bytes > self._max_bytes:
                self._let_go(next(iter(self._waiting)))
        else:
            self._take(identity)
            answers = [each for each in found.answers if each is not None]
            try:
                self._complete(found.record, answers)
            finally:
                for each in answers:
                    each.release()

    def tick(self, now: float) -> None:
        """Lets go of what is too old."""
        while self._waiting:
            identity, oldest = next(iter(self._waiting.items()))
            if now - oldest.since <= MAX_AGE_SECONDS:
                return
            self._let_go(identity)

    def end(self) -> None:
        """Nothing follows."""
        for identity in list(self._waiting):
            self._let_go(identity)

    def _take(self, identity: bytes) -> Waiting:
        found = self._waiting.pop(identity)
        self.record_bytes -= len(found.record)
        return found

    def _let_go(self, identity: bytes) -> None:
        for answer in self._take(identity).answers:
            if answer is not None:
                answer.release()
        self.unpaired += 1
