"""One destination's answer while it comes, and what is kept of it until its request's other answers are there.

A body that fits the budget is kept, so that equal ones are found by their bytes; one that does not is only digested,
so that it is known to be equal or not, but not where it differs. Of a head that does not fit the first line is kept.
"""

from __future__ import annotations

import hashlib
from typing import Any

from launcher.mirror_queue import Budget

_PIECE_BYTES = 64  # what Python keeps around each: a body may come a byte at a time
_STATUS_BYTES = 12  # HTTP/1.1 200
_LABELS = [str(status) for status in range(1000)]


class Answer:
    """Listens to a ResponseReader. `end` says how it ended; `release` must follow."""

    __slots__ = (
        "_budget", "_hash", "_head_bytes", "_held", "_pieces", "bucket", "has_head", "head", "is_whole", "length",
        "microseconds", "outcome", "status", "value",
    )  # fmt: skip

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._head_bytes = self._held = 0  # charged
        self._hash: Any = None
        self._pieces: list[bytes] = []
        self.head = b""
        self.has_head = True  # all of it
        self.length = 0  # of the body, without its chunks' framing
        self.status = 0  # 0: no answer
        self.outcome = ""  # why there is none
        self.microseconds = 0
        self.bucket = 0  # of a sketch, for `microseconds`
        self.is_whole = False
        self.value: Any = None  # of a body in JSON, once it was parsed

    def add_head(self, head: bytes) -> None:
        """The final head, from the status line to the blank line."""
        self.has_head = self._budget.take(len(head))
        self._head_bytes = len(head) if self.has_head else 0
        self.head = head if self.has_head else head[:_STATUS_BYTES]

    def add_body(self, data: bytes) -> None:
        """The next bytes of the body."""
        self.length += len(data)
        if self._hash is not None:
            self._hash.update(data)
        elif self._budget.take(len(data) + _PIECE_BYTES):
            self._held += len(data) + _PIECE_BYTES
            self._pieces.append(data)
        else:
            self._hash = hashlib.blake2b(b"".join(self._pieces), digest_size=16)
            self._hash.update(data)
            self._let_go()

    def end(self, status: int, outcome: str, microseconds: int, is_whole: bool) -> None:
        """How the exchange ended."""
        self.status = status
        self.outcome = outcome
        self.microseconds = microseconds
        self.is_whole = is_whole

    @property
    def label(self) -> str:
        """Its status, or why it has none: a row or column of the matrix."""
        return _LABELS[self.status] if self.status else self.outcome

    @property
    def body(self) -> bytes | None:
        """The whole body; None if it was not kept."""
        if self._hash is not None or not self.is_whole:
            return None
        if len(self._pieces) > 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0] if self._pieces else b""

    def digest(self) -> bytes:
        """Of the body as it came."""
        if self._hash is not None:
            return bytes(self._hash.digest())
        return hashlib.blake2b(b"".join(self._pieces), digest_size=16).digest()

    def has_same_body(self, other: Answer) -> bool:
        """Byte by byte, as it came."""
        if self.length != other.length:
            return False
        if self._hash is None and other._hash is None:
            return self.body == other.body
        return self.digest() == other.digest()

    def release(self) -> None:
        """Lets head and body go."""
        self._let_go()
        self._budget.give_back(self._head_bytes)
        self._head_bytes = 0
        self.value = None

    def _let_go(self) -> None:
        self._budget.give_back(self._held)
        self._held = 0
        self._pieces = []


def no_answer(budget: Budget, outcome: str) -> Answer:
    """What stands for an answer that did not come."""
    answer = Answer(budget)
    answer.outcome = outcome
    return answer
