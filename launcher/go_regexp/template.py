"""What to put in a match's place, as Go's `Regexp.Expand` reads it: $1, ${1}, $name, ${name}, and $$ for a dollar sign.

A name is as long as it can be: $1x is the group "1x", which no pattern has, and so it is empty. A $ that begins nothing
of this stands for itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# Words of Python's are a little more than Go's letters, digits of category Nd, and _: _name cuts it.
_CANDIDATE = re.compile(r"\{?(\w+)")
_NUMBER = re.compile("0|[1-9][0-9]{0,8}")

Part = bytes | tuple[int, ...]  # text, or the groups of that name: the first that took part counts


def parse(template: bytes, names: Sequence[str]) -> list[Part]:
    """The parts of a template for a pattern whose groups have these names."""
    parts: list[Part] = []
    rest = template.decode("utf-8", "surrogateescape")
    while rest:
        before, dollar, rest = rest.partition("$")
        parts.append(before.encode("utf-8", "surrogateescape"))
        name = _name(rest)
        if not dollar:
            break
        if rest.startswith("$"):
            parts.append(b"$")
            rest = rest[1:]
        elif name is None:
            parts.append(b"$")
        else:
            rest = rest[len(name) + 2 * rest.startswith("{") :]
            parts.append(_groups(name, names))
    return parts


def _name(text: str) -> str | None:
    candidate = _CANDIDATE.match(text)
    if not candidate:
        return None
    name = candidate[1]
    for index, character in enumerate(name):
        kind = unicodedata.category(character)
        if not (kind[0] == "L" or kind == "Nd" or character == "_"):
            name = name[:index]
            break
    if not name or (text.startswith("{") and not text.startswith("}", 1 + len(name))):
        return None
    return name


def _groups(name: str, names: Sequence[str]) -> tuple[int, ...]:
    if _NUMBER.fullmatch(name):
        return (int(name),) if int(name) < len(names) else ()
    return tuple(number for number, other in enumerate(names) if other == name)
