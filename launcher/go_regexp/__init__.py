r"""Go's regular expressions (RE2), in time linear in the text, whatever the pattern: `compile_go`.

gor's options take them, and they are not Python's: `\z`, `\pL`, `[[:alpha:]]`, `$` for the very end only,
ASCII for `\w`. Bytes are read as Go reads them: UTF-8, in which an invalid byte is one character, U+FFFD.
"""

from __future__ import annotations

from launcher.go_regexp import template as templates
from launcher.go_regexp.captures import Captures
from launcher.go_regexp.nodes import GoSyntaxError, GoUnsupported
from launcher.go_regexp.parser import parse
from launcher.go_regexp.program import Program
from launcher.go_regexp.search import Allowance, Search, TooCostly

__all__ = ["Allowance", "GoRegexp", "GoSyntaxError", "GoUnsupported", "TooCostly", "check_go", "compile_go"]

_KEPT_TEMPLATES = 16


class GoRegexp:
    """A compiled pattern. Not for several threads at once."""

    def __init__(self, program: Program, allowance: Allowance | None = None) -> None:
        self._search = Search(program, allowance)
        self._captures = Captures(program)
        self._names = program.names
        self._templates: dict[bytes, list[templates.Part]] = {}

    def is_match(self, data: bytes) -> bool:
        """Is there a match anywhere in it? Raises TooCostly if it has an allowance, and that is used up."""
        return self._search.is_match(data.decode("utf-8", "surrogateescape"))

    def replace_all(self, data: bytes, template: bytes) -> bytes:
        """`data` with every match replaced, as Go's `ReplaceAll` does it; a template's $1 and ${name} are groups."""
        text = data.decode("utf-8", "surrogateescape")
        if not self._search.is_match(text):
            return data
        parts = self._parts(template)
        replaced: list[bytes] = []
        end = 0
        for slots in self._captures.matches(text):
            replaced.append(_bytes(text[end : slots[0]]))
            if slots[1] > end or slots[0] == 0:  # no empty match directly behind another match
                replaced += (part if isinstance(part, bytes) else _group(text, slots, part) for part in parts)
            end = slots[1]
        replaced.append(_bytes(text[end:]))
        return b"".join(replaced)

    def _parts(self, template: bytes) -> list[templates.Part]:
        if template not in self._templates:
            if len(self._templates) >= _KEPT_TEMPLATES:
                self._templates.clear()
            self._templates[template] = templates.parse(template, self._names)
        return self._templates[template]

    @property
    def moves(self) -> int:
        """The work so far beyond one look-up a character."""
        return self._search.moves + self._captures.moves


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _group(text: str, slots: list[int], numbers: tuple[int, ...]) -> bytes:
    for number in numbers:
        if slots[2 * number] >= 0:
            return _bytes(text[slots[2 * number] : slots[2 * number + 1]])
    return b""


def compile_go(text: str, allowance: Allowance | None = None) -> GoRegexp:
    """The pattern, ready for use. Raises GoSyntaxError if Go refuses it, its GoUnsupported if only this engine does.

    `allowance` bounds what its searches (not its replacements) may cost.
    """
    program = Program(parse(text))
    if allowance is not None:
        program.get_ready()
    return GoRegexp(program, allowance)


def check_go(text: str) -> None:
    """Raises GoSyntaxError if Go refuses the pattern, its GoUnsupported if only this engine does."""
    Program(parse(text))
