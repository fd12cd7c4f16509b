"""Texts that are meant to be slow for a regular expression: what it matches, with a piece of it again and again.

Nothing is known of the expression but itself. Samples of what it matches are made from its parts (as the standard
library parses it), each repetition once or twice; a piece is repeated in them, and an end follows that fits or not.
"""

from __future__ import annotations

import ast
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

if sys.version_info >= (3, 11):
    from re import _constants as constants  # type: ignore[attr-defined]
    from re import _parser as parser  # type: ignore[attr-defined]
else:
    import sre_constants as constants
    import sre_parse as parser

FUNCTIONS = {"match", "fullmatch", "search", "sub", "findall", "finditer", "split"}
_FLAGS = ("IGNORECASE", "DOTALL", "MULTILINE", "ASCII", "VERBOSE")
_CHARACTERS = "a0A f/:;.,= \t\r\n\0-_@\"'`\\()[]{}?#%&<>$\xe9"
_ENDS = ("", "\0", "\n", "\r\n", "!", "\xe9")
_LONGEST_PIECE = 12
_LONGEST_SAMPLE = 400

Text = str | bytes


class Use(NamedTuple):
    """An expression, and the function that is called with it."""

    where: str
    pattern: re.Pattern[Any]
    function: str

    def __call__(self, text: Text) -> None:
        if self.function == "sub":
            self.pattern.sub(text[:0], text)
        elif self.function == "finditer":
            list(self.pattern.finditer(text))
        else:
            getattr(self.pattern, self.function)(text)


class Hostile(NamedTuple):
    """A text of any length."""

    before: Text
    piece: Text
    end: Text

    def of(self, nbytes: int) -> Text:
        return self.before + self.piece * (nbytes // len(self.piece)) + self.end  # type: ignore[operator]


def uses_in(path: Path, module: ModuleType) -> Iterator[Use]:
    """A module's: those with a name, by what is called on it, and those in calls of re's own functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        function, owner = node.func.attr, ast.unparse(node.func.value)
        if function not in FUNCTIONS:
            continue
        if owner == "re" and isinstance(node.args[0], ast.Constant):
            yield Use(f"{path.stem}:{node.lineno}", re.compile(node.args[0].value, _flags(node)), function)
        elif isinstance(pattern := getattr(module, owner, None), re.Pattern):
            yield Use(f"{path.stem}.{owner}.{function}", pattern, function)


def _flags(call: ast.Call) -> int:
    words = ast.unparse(call)
    return sum(int(getattr(re, name)) for name in _FLAGS if f"re.{name}" in words)


def hostile(pattern: re.Pattern[Any], draw: random.Random, count: int) -> Iterator[Hostile]:
    """So many, as text or bytes as the expression wants them."""
    for _ in range(count):
        sample = sample_of(pattern, draw)[:_LONGEST_SAMPLE]
        start = draw.randint(0, len(sample))
        piece = sample[start : start + draw.randint(1, _LONGEST_PIECE)]
        if not piece or draw.random() < 0.3:
            piece = draw.choice(_CHARACTERS)
        end = draw.choice(("\0", sample[start + len(piece) :] + "\0", sample[start:], draw.choice(_ENDS)))
        parts = (sample[:start], piece, end)
        if isinstance(pattern.pattern, bytes):
            yield Hostile(*(part.encode("latin-1", "replace") for part in parts))
        else:
            yield Hostile(*parts)


def sample_of(pattern: re.Pattern[Any], draw: random.Random) -> str:
    """What it matches, look-arounds apart."""
    return "".join(_made(parser.parse(pattern.pattern, pattern.flags), draw))


def _made(parts: Any, draw: random.Random) -> Iterator[str]:
    for op, value in parts:
        if op is constants.LITERAL:
            yield chr(value)
        elif op is constants.ANY:
            yield draw.choice(_CHARACTERS.replace("\n", ""))
        elif op is constants.NOT_LITERAL:
            yield draw.choice(_CHARACTERS.replace(chr(value), ""))
        elif op is constants.IN:
            yield _one_of(value, draw)
        elif op is constants.BRANCH:
            yield from _made(draw.choice(value[1]), draw)
        elif op is constants.SUBPATTERN:
            yield from _made(value[3], draw)
        elif op in (constants.MAX_REPEAT, constants.MIN_REPEAT):
            least, most, inner = value
            for _ in range(max(least, min(most, draw.choice((1, 1, 2))))):
                yield from _made(inner, draw)


def _one_of(members: Any, draw: random.Random) -> str:
    fits = re.compile(_class_text(members))
    found = [each for each in map(chr, range(256)) if fits.fullmatch(each)]
    return draw.choice([each for each in found if each in _CHARACTERS] or found or ["a"])


def _class_text(members: Any) -> str:
    text = ""
    for op, value in members:
        if op is constants.NEGATE:
            text = f"^{text}"
        elif op is constants.LITERAL:
            text += re.escape(chr(value))
        elif op is constants.RANGE:
            text += f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        elif op is constants.CATEGORY:
            text += _CATEGORIES[str(value)]
    return f"[{text}]"


_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d", "CATEGORY_NOT_DIGIT": r"\D", "CATEGORY_SPACE": r"\s", "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w", "CATEGORY_NOT_WORD": r"\W",
}  # fmt: skip
