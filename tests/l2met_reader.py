"""Reads log lines as l2met does: kr/logfmt's grammar, then the prefixes, numbers and units of its parser.

A key ends at a blank, a quote or an equals sign; a value in quotes is a JSON string, and one that is none makes kr's
parser refuse the line, of which l2met then takes nothing. Of a number only digits and the first point count; what
follows is its unit.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

_PAIR = re.compile(r"([^\x00-\x20\"=]+)(?:=(?:(\"(?:[^\"\\]|\\.)*\"?)|([^\x00-\x20\"=]+))?)?", re.DOTALL)
_KINDS = ("count", "sample", "measure")


class Metric(NamedTuple):
    kind: str
    name: str
    value: float
    unit: str
    source: str


def pairs(line: str) -> list[tuple[str, str]]:
    """Raises ValueError where kr's parser has an error."""
    return [(key, json.loads(quoted) if quoted else plain) for key, quoted, plain in _PAIR.findall(line)]


def metrics(line: str) -> list[Metric]:
    """What l2met makes of a line; a line that can't be parsed has nothing for it."""
    try:
        found = pairs(line)
    except ValueError:
        return []
    source = dict(reversed(found)).get("source", "")
    return [
        Metric(kind, key[len(kind) + 1 :], float(match[1]), match[2], source)
        for key, text in found
        for kind in _KINDS
        if key.startswith(f"{kind}#") and (match := re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(.*)", text or "1"))
    ]
