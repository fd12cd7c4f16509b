"""Go's syntax of regular expressions, as `regexp.Compile` takes it (RE2 with Perl's flags), to nodes.

It takes what Go 1.26 takes: (?<name>) is known since 1.22, \\p{Letter} and \\p{letter} since 1.25.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from launcher.go_regexp import runes
from launcher.go_regexp.nodes import (
    Assertion,
    Between,
    Choice,
    GoSyntaxError,
    GoUnsupported,
    Group,
    Node,
    OneOf,
    Pattern,
    Ranges,
    Repeat,
    Sequence,
)

MAX_NESTING = 150  # groups in one another; Go takes about 1000
_MAX_REPEAT = 1000
_SHOWN_CHARACTERS = 40

_COUNTED = re.compile(r"\{(0|[1-9][0-9]*)(,?)(0|[1-9][0-9]*)?\}")
_FLAGS = re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?([:)])")
_NAMED = re.compile(r"\(\?P?<([^>]*)>")
_OCTAL = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}")
_HEXADECIMAL = re.compile(r"x(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))")
_UNICODE_CLASS = re.compile(r"\\([pP])(?:\{([^}]*)\}|([^{]))", re.DOTALL)
_NAMED_CLASS = re.compile(r"\[:(.*?):\]", re.DOTALL)
_CONTROL = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_ASSERTIONS = {
    "\\A": Assertion.BEGIN_TEXT,
    "\\z": Assertion.END_TEXT,
    "\\b": Assertion.WORD_BOUNDARY,
    "\\B": Assertion.NO_WORD_BOUNDARY,
}


def parse(text: str) -> Pattern:
    """The nodes of a pattern. Raises GoSyntaxError, or its GoUnsupported."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise GoSyntaxError("invalid UTF-8")
    return _Parser(text).parse()


def _refused(reason: str, construct: str) -> GoSyntaxError:
    shown = construct if len(construct) <= _SHOWN_CHARACTERS else construct[:_SHOWN_CHARACTERS] + "..."
    return GoSyntaxError(f"{reason}: `{shown}`" if shown else reason)


@dataclass
class _Open:
    """A group that is not closed yet; the outermost stands for the whole pattern."""

    flags: str  # those that held before it
    number: int | None = None  # of a capturing one
    choices: list[Node] = field(default_factory=list)
    parts: list[Node] = field(default_factory=list)

    def node(self) -> Node:
        choices = [*self.choices, _sequence(self.parts)]
        inner = choices[0] if len(choices) == 1 else Choice(tuple(choices))
        return inner if self.number is None else Group(self.number, inner)


def _sequence(parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else Sequence(tuple(parts))


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._flags = ""
        self._names = [""]
        self._open = [_Open("")]
        self._repeated_at: int | None = None  # where the repetition began that ends here
        self._copies: dict[int, tuple[Node, int]] = {}  # of the innermost part, by id; the node keeps the id its own

    def parse(self) -> Pattern:
        while self._at < len(self._text):
            before, repeated_at = self._at, self._repeated_at
            self._repeated_at = None
            if not self._repetition(repeated_at):
                self._item(self._text[before])
        if len(self._open) > 1:
            raise _refused("missing closing )", "")  # Go shows the whole pattern; it may hold a secret
        return Pattern(self._open[0].node(), tuple(self._names))

    # ---- repetitions

    def _repetition(self, repeated_at: int | None) -> bool:
        """Is there one? Then it is applied to the part before it."""
        begin, sign = self._at, self._text[self._at]
        if sign in "*+?":
            low, high, end = int(sign == "+"), 1 if sign == "?" else None, begin + 1
        else:
            counted = _COUNTED.match(self._text, begin)
            if not counted or (counted[3] and not counted[2]):
                return False
            low = _count(counted[1])
            high = low if not counted[2] else None if counted[3] is None else _count(counted[3])
            end = counted.end()
            if low > _MAX_REPEAT or (high is not None and (high > _MAX_REPEAT or low > high)):
                raise _refused("invalid repeat count", counted[0])
        is_greedy = "U" not in self._flags
        if self._text.startswith("?", end):
            is_greedy, end = not is_greedy, end + 1
        construct = self._text[begin:end]
        if repeated_at is not None:
            raise _refused("invalid nested repetition operator", self._text[repeated_at:end])
        parts = self._open[-1].parts
        if not parts:
            raise _refused("missing argument to repetition operator", construct)
        self._repeat(parts, low, high, is_greedy, construct)
        self._at, self._repeated_at = end, begin
        return True

    def _repeat(self, parts: list[Node], low: int, high: int | None, is_greedy: bool, construct: str) -> None:
        inner = parts[-1]
        copies = self._copies_of(inner)
        if construct[0] == "{":
            copies = 1 if high == 0 else copies * max(1, low if high is None else high)
            if max(low, high or 0) > 1 and copies > _MAX_REPEAT:
                raise _refused("invalid repeat count", construct)
        parts[-1] = Repeat(inner, low, high, is_greedy)
        self._copies[id(parts[-1])] = parts[-1], copies

    def _copies_of(self, node: Node) -> int:
        """How often the most repeated part of a node is there once all counts are written out."""
        return self._copies[id(node)][1] if id(node) in self._copies else 1

    # ---- everything else

    def _item(self, sign: str) -> None:
        top = self._open[-1]
        if sign == "(":
            self._open_group()
        elif sign == ")":
            self._close_group()
        elif sign == "[":
            top.parts.append(OneOf(self._class()))
        elif sign == "\\":
            self._escaped()
        else:
            self._at += 1
            if sign == "|":
                top.choices.append(self._kept(top.parts))
                top.parts = []
            elif sign in "^$":
                at_line = "m" in self._flags
                begin = Assertion.BEGIN_LINE if at_line else Assertion.BEGIN_TEXT
                end = Assertion.END_LINE if at_line else Assertion.END_TEXT
                top.parts.append(Between(begin if sign == "^" else end))
            elif sign == ".":
                top.parts.append(OneOf(runes.ANY if "s" in self._flags else runes.NOT_NEWLINE))
            else:
                self._literal(ord(sign))

    def _kept(self, parts: list[Node]) -> Node:
        node = _sequence(parts)
        self._copies[id(node)] = node, max([1, *map(self._copies_of, parts)])
        return node

    def _literal(self, code_point: int) -> None:
        self._open[-1].parts.append(OneOf(self._in_case(((code_point, code_point),))))

    def _in_case(self, ranges: Ranges) -> Ranges:
        return runes.folded(ranges) if "i" in self._flags else ranges

    def _open_group(self) -> None:
        number: int | None = None
        flags = self._flags
        if self._text.startswith("(?", self._at):
            named = _NAMED.match(self._text, self._at)
            changed = _FLAGS.match(self._text, self._at)
            if named or re.match(r"\(\?P?<.", self._text[self._at : self._at + 5], re.DOTALL):
                if not named or not re.fullmatch("[A-Za-z0-9_]+", named[1]):
                    raise _refused("invalid named capture", named[0] if named else "(?P<")
                number, end = len(self._names), named.end()
                self._names.append(named[1])
            elif changed:
                end = changed.end()
                flags = "".join(sorted({*flags, *changed[1]} - {*(changed[2] or "")}))
                if changed[3] == ")":
                    self._flags, self._at = flags, end
                    return
            else:
                wrong = re.compile(r"\(\?[imsU]*-?[imsU]*.?", re.DOTALL).match(self._text, self._at)
                raise _refused("invalid or unsupported Perl syntax", wrong[0] if wrong else "(?")
        else:
            number, end = len(self._names), self._at + 1
            self._names.append("")
        if len(self._open) > MAX_NESTING:
            raise GoUnsupported(f"more than {MAX_NESTING} groups in one another are too many here")
        self._open.append(_Open(self._flags, number))
        self._flags, self._at = flags, end

    def _close_group(self) -> None:
        if len(self._open) == 1:
            raise _refused("unexpected )", "")
        group = self._open.pop()
        copies = max([1, *map(self._copies_of, (*group.choices, *group.parts))])
        node = group.node()
        self._copies[id(node)] = node, copies
        self._open[-1].parts.append(node)
        self._flags = group.flags
        self._at += 1

    # ---- escapes and classes

    def _escaped(self) -> None:
        escape = self._text[self._at : self._at + 2]
        if escape in _ASSERTIONS:
            self._open[-1].parts.append(Between(_ASSERTIONS[escape]))
            self._at += 2
        elif escape == "\\Q":
            quoted, _, _ = self._text[self._at + 2 :].partition("\\E")
            for character in quoted:
                self._literal(ord(character))
            self._at = min(len(self._text), self._at + 2 + len(quoted) + 2)
        else:
            ranges = self._class_escape()
            if ranges is None:
                self._literal(self._escaped_character())
            else:
                self._open[-1].parts.append(OneOf(ranges))

    def _class_escape(self) -> Ranges | None:
        r"""The set of \d, \pL and their kind, which then is read; None if there is none."""
        escape = self._text[self._at : self._at + 2]
        name = escape[1:]
        if escape[:1] != "\\":
            return None
        if name.lower() in runes.PERL and name:
            self._at += 2
            ranges = self._in_case(runes.PERL[name.lower()])
            return runes.negated(ranges) if name.isupper() else ranges
        if name not in ("p", "P"):
            return None
        match = _UNICODE_CLASS.match(self._text, self._at)
        if not match:
            raise _refused("invalid character class range", escape)
        self._at = match.end()
        group = match[3] if match[2] is None else match[2]
        is_negated = (name == "P") != group.startswith("^")
        canonical = runes.canonical(group.removeprefix("^"))
        ranges_or_none = runes.category(canonical)
        if ranges_or_none is None and canonical in runes.SCRIPTS:
            raise GoUnsupported(f"it is not known here which characters `{match[0]}` means")
        if ranges_or_none is None:
            raise _refused("invalid character class range", match[0])
        ranges = self._in_case(ranges_or_none)
        return runes.negated(ranges) if is_negated else ranges

    def _escaped_character(self) -> int:
        begin = self._at
        rest = self._text[begin + 1 : begin + 2]
        if not rest:
            raise GoSyntaxError("trailing backslash at end of expression")
        octal = _OCTAL.match(self._text, begin + 1)
        hexadecimal = _HEXADECIMAL.match(self._text, begin + 1)
        code_point, end = -1, begin + 2
        if octal:
            code_point, end = int(octal[0], 8), octal.end()
        elif hexadecimal:
            code_point, end = int((hexadecimal[1] or hexadecimal[2])[-12:], 16), hexadecimal.end()
            if len((hexadecimal[1] or "").lstrip("0")) > 6:
                code_point = -1
        elif rest in _CONTROL:
            code_point = _CONTROL[rest]
        elif rest.isascii() and not rest.isalnum():
            code_point = ord(rest)
        if not 0 <= code_point <= runes.MAX_RUNE:
            raise _refused("invalid escape sequence", self._text[begin:end])
        self._at = end
        return code_point

    def _class(self) -> Ranges:
        self._at += 1
        is_negated = self._text.startswith("^", self._at)
        self._at += is_negated
        first = self._at
        ranges: list[tuple[int, int]] = []
        while self._at == first or not self._text.startswith("]", self._at):
            ranges += self._class_part()
        self._at += 1
        return runes.negated(runes.union(ranges)) if is_negated else runes.union(ranges)

    def _class_part(self) -> Ranges:
        named = _NAMED_CLASS.match(self._text, self._at)
        if named:
            name = named[1].removeprefix("^")
            if name not in runes.POSIX:
                raise _refused("invalid character class range", named[0])
            self._at = named.end()
            ranges = self._in_case(runes.POSIX[name])
            return runes.negated(ranges) if named[1].startswith("^") else ranges
        escaped = self._class_escape()
        if escaped is not None:
            return escaped
        start = self._at
        low = high = self._class_character()
        if self._text.startswith("-", self._at) and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
            self._at += 1
            high = self._class_character()
            if high < low:
                raise _refused("invalid character class range", self._text[start : self._at])
        return self._in_case(((low, high),))

    def _class_character(self) -> int:
        if self._at >= len(self._text):
            raise _refused("missing closing ]", "")
        if self._text[self._at] == "\\":
            return self._escaped_character()
        self._at += 1
        return ord(self._text[self._at - 1])


def _count(digits: str) -> int:
    return int(digits) if len(digits) <= 4 else _MAX_REPEAT + 1
