"""What went wrong, said in words once for each kind and then summed up: a dead destination must not fill a log."""

from __future__ import annotations

import os
from collections import Counter
from typing import NamedTuple


class Failure(NamedTuple):
    """One kind of failure, as people are told."""

    kind: str
    error: str  # the newest; without secrets
    times: int  # since the last telling of this kind


class Failures:
    """The failures of one output or input."""

    def __init__(self) -> None:
        self._errors: dict[str, str] = {}  # the newest of each kind that has been told
        self._unsummed: Counter[str] = Counter()
        self._news: list[Failure] = []

    def add(self, kind: str, error: str = "") -> None:
        """One failure. `error` says what it was, for people; empty if the kind says it all."""
        if kind in self._errors:
            self._unsummed[kind] += 1
        else:
            self._news.append(Failure(kind, error, 1))
        self._errors[kind] = error or self._errors.get(kind, "")

    def sum_up(self) -> None:
        """Makes news of the failures that were only counted since the last call."""
        self._news += [Failure(kind, self._errors[kind], count) for kind, count in self._unsummed.items()]
        self._unsummed.clear()

    def take_news(self) -> list[Failure]:
        """What people have not been told yet."""
        news, self._news = self._news, []
        return news


def defect(error: Exception) -> str:
    """An error that should not be, in words: what and where. Not its text, which may hold bytes of a request."""
    where = "somewhere"
    traceback = error.__traceback__
    while traceback is not None:
        where = f"{os.path.basename(traceback.tb_frame.f_code.co_filename)}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return f"a defect of the replayer's, please report it: {type(error).__name__} in {where}"
