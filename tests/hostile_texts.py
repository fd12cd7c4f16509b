"""Texts that are meant to be slow for a regular expression: what it matches, with a piece of it again and again.

Nothing is known of the expression but itself. Its texts are made from its parts (the standard library's own parser of
it), each repetition once or twice; a piece of such a text is repeated, and an end is put behind it that fits or does not.
"""

from __future__ import annotations

import ast
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

if sys.version_info >= (3, 11):
    from re import _constants as constants
    from re import _parser as parser
else:  # pragma: no cover
    import sre_constants as constants
    import sre_parse as parser

FUNCTIONS = {"match", "fullmatch", "search", "sub", "subn", "findall", "finditer", "split"}
ENDS = ("", "\0", "\n", "\r\n", "!", "é")
_CHARACTERS = "a0A f/:;.,= \t\r\n\0-_@\"'`\\()[]{}?#%&<>$é"
_LONGEST_PIECE = 12
_SAMPLES = 6


class Use(NamedTuple):
    """One expression, and what is called with it."""

    where: str  # module and line, or name
    pattern: re.Pattern[Any]
    function: str


def uses_in(path: Path, module: Any) -> Iterator[Use]:
    """All of a module's: those with a name by the functions that are called on it, those in a call of re's."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in FUNCTIONS:
            continue
        function, owner = node.func.attr, node.func.value
        name = ast.unparse(owner)
        if name == "re":
            if isinstance(node.args[0], ast.Constant):
                yield Use(f"{path.stem}:{node.lineno}", re.compile(node.args[0].value, _flags(node)), function)
        elif isinstance(pattern := getattr(module, name, None), re.Pattern):
            yield Use(f"{path.stem}.{name}.{function}", pattern, function)


def _flags(call: ast.Call) -> int:
    words = " ".join(ast.unparse(each) for each in [*call.args[2:], *(keyword.value for keyword in call.keywords)])
    return sum(getattr(re, name) for name in ("IGNORECASE", "DOTALL", "MULTILINE", "ASCII", "VERBOSE") if name in words)


def hostile(use: Use, nbytes: int, draw: random.Random) -> Iterator[tuple[str | bytes, str | bytes, str | bytes]]:
    """What stands before, the piece, and what stands behind, each as text or bytes as the expression has it."""
    is_bytes = isinstance(use.pattern.pattern, bytes)
    seen = set()
    for _ in range(_SAMPLES):
        sample = sample_of(use.pattern, draw)[:400]
        places = range(len(sample) + 1)
        for start in places if len(sample) < 40 else sorted(draw.sample(places, 40)):
            pieces = {sample[start : start + length] for length in range(1, _LONGEST_PIECE)} | set(_CHARACTERS)
            for piece in sorted(pieces - {""}):
                for end in {"\0", sample[start + len(piece) :] + "\0", sample[start:], draw.choice(ENDS)}:
                    if (key := (sample[:start], piece, end)) not in seen:
                        seen.add(key)
                        yield tuple(each.encode("latin-1", "replace") if is_bytes else each for each in key)


def sample_of(pattern: re.Pattern[Any], draw: random.Random) -> str:
    """A text that the expression, look-arounds apart, matches."""
    return "".join(_made(parser.parse(pattern.pattern, pattern.flags & ~re.TEMPLATE if hasattr(re, "TEMPLATE") else pattern.flags), draw))


def _made(parts: Any, draw: random.Random) -> Iterator[str]:
    for op, value in parts:
        if op is constants.LITERAL:
            yield chr(value)
        elif op in (constants.ANY, constants.NOT_LITERAL):
            yield draw.choice([each for each in _CHARACTERS if each != "\n" and (op is constants.ANY or ord(each) != value)])
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
    fits = re.compile(_class_text(members), re.DOTALL)
    found = [each for each in map(chr, range(256)) if fits.fullmatch(each)]
    common = [each for each in found if each in _CHARACTERS]
    return draw.choice(common or found or ["a"])


_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d", "CATEGORY_NOT_DIGIT": r"\D", "CATEGORY_SPACE": r"\s", "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w", "CATEGORY_NOT_WORD": r"\W",
}  # fmt: skip


def _class_text(members: Any) -> str:
    text = ""
    for op, value in members:
        if op is constants.NEGATE:
            text = "^" + text
        elif op is constants.LITERAL:
            text += re.escape(chr(value))
        elif op is constants.RANGE:
            text += f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        elif op is constants.CATEGORY:
            text += _CATEGORIES[str(value)]
    return f"[{text}]"
