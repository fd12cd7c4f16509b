"""The names of `--output-file`: gor's patterns, and its index before the extension. No I/O; times are the caller's.

gor's `%i` is the same word in every process; here it tells processes apart. What a record brings into a name (`%r`) is
reduced to letters, digits, `-` and `_`: it may come from somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

_PATTERN = re.compile(r"%(?:NS|[YmdHMSrti])")
_MAX_IDENTITY = 64


def expand(template: str, now: datetime, nanoseconds: int, record: tuple[str, str], instance: str) -> str:
    """The name for a record (its ID and type) at `now`, local time; `nanoseconds` are those within the second."""
    identity = re.sub(r"[^A-Za-z0-9_-]", "_", record[0])[:_MAX_IDENTITY]
    values = {
        "%Y": f"{now.year:04}", "%m": f"{now.month:02}", "%d": f"{now.day:02}", "%H": f"{now.hour:02}",
        "%M": f"{now.minute:02}", "%S": f"{now.second:02}", "%NS": str(nanoseconds),
        "%r": identity, "%t": record[1], "%i": instance,
    }  # fmt: skip
    return _PATTERN.sub(lambda match: values[match[0]], template)


def is_per_record(template: str) -> bool:
    """Whether each record gets a file of its own."""
    return "%r" in template or "%NS" in template


def has_type(template: str) -> bool:
    """Whether requests and responses get files of their own."""
    return "%t" in template


def _split(path: str) -> tuple[str, str]:
    """The extension as Go's `filepath.Ext` sees it: from the last dot of the last element on."""
    folder, slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not dot:
        return path, ""
    return folder + slash + stem, dot + extension


def with_index(path: str, index: int) -> str:
    """a.gor -> a_0.gor, b.gor.gz -> b.gor_0.gz."""
    stem, extension = _split(path)
    return f"{stem}_{index}{extension}"


def next_index(path: str, existing: Iterable[str]) -> int:
    """One more than the highest index that files of this name have; `existing` are names in its folder."""
    stem, extension = _split(path.rpartition("/")[2])
    pattern = re.compile(rf"{re.escape(stem)}_([0-9]{{1,9}}){re.escape(extension)}")
    return max((int(match[1]) + 1 for name in existing if (match := pattern.fullmatch(name))), default=0)
