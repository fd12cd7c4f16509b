"""Reads the launcher's log: lines of logfmt, `traffic-duplicator at=listening level=info port=5000`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

Facts = dict[str, str]

_FACT = re.compile(r"([\w.-]+)=(\"(?:[^\"\\]|\\.)*\"|\S*)")


def facts_at(lines: Sequence[str], at: str) -> list[Facts]:
    """The facts of each line `traffic-duplicator at=<at> ...`."""
    start = f"traffic-duplicator at={at}"
    return [
        {name: _unquoted(value) for name, value in _FACT.findall(line)}
        for line in lines
        if line.startswith(start) and line[len(start) : len(start) + 1] in ("", " ", "\n")
    ]


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    text = json.loads(value)
    assert isinstance(text, str)
    return text
