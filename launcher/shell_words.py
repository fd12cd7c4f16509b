"""Splits a text into words as a POSIX shell does (XCU §2.2, §2.6), for options that used to stand on a command line.

Quotes, backslashes, comments, `$NAME` and `${NAME}`, field splitting: as in sh. A line's end is a blank, since the
options are one command line, however they are laid out (the original joined the lines before its shell read them);
its comments end there all the same. Patterns (* ? [) stay as they are: most are regular expressions, and a shell keeps
a pattern that matches no file. What would run a command, or be taken apart by a shell, is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from launcher.gor.flags import Word
from launcher.options import ConfigurationError

_CONTINUATION = r"(?:\\\n)*"
_NAME = rf"[A-Za-z_](?:{_CONTINUATION}[A-Za-z0-9_])*"
_VARIABLE = re.compile(rf"\${_CONTINUATION}(?:({_NAME})|\{{{_CONTINUATION}({_NAME}){_CONTINUATION}\}})")
_AFTER_DOLLAR = re.compile(rf"\${_CONTINUATION}(.?)", re.DOTALL)
_PLAIN = re.compile(r"[^ \t\n'\"\\$`|&;<>()]+")
_PLAIN_IN_QUOTES = re.compile(r"[^\"\\$`]+")
_BLANKS = " \t\n"

_QUOTE_IT = "put the whole value into single quotes"
_REFUSED = {  # unquoted character -> what it is in a shell
    "|": "would be a pipe",
    "&": "would start a command in the background",
    ";": "would end the command",
    "<": "would read from a file",
    ">": "would write to a file",
    "(": "would start a subshell",
    ")": "would end a subshell",
}


def read_words(text: str, *, file: str, environ: Mapping[str, str]) -> tuple[list[Word], dict[str, str]]:
    """The words, and what was expanded: text -> `$NAME`. Raises ConfigurationError that starts with `file:line: `."""
    reader = _Reader(text.removeprefix("\ufeff").replace("\r\n", "\n"), file, environ)
    reader.read()
    return reader.words, reader.expanded


class _Reader:
    """A word (`_in_word`) is what stands between blanks; its expansions may make several fields of it, or none."""

    def __init__(self, text: str, file: str, environ: Mapping[str, str]) -> None:
        self.words: list[Word] = []
        self.expanded: dict[str, str] = {}
        self._text = text
        self._file = file
        self._environ = environ
        self._at = 0
        self._in_word = False
        self._word_at = 0
        self._field: list[tuple[str, str]] | None = None  # (value, shown) of its parts; None: no field yet

    def read(self) -> None:
        wrong = re.search("[\0\ud800-\udfff]", self._text)
        if wrong:
            what = "a NUL byte" if wrong[0] == "\0" else "a byte that is no UTF-8"
            raise self._error(wrong.start(), f"{what} can't be part of an option")
        while self._at < len(self._text):
            self._step()
        self._end_field()

    def _step(self) -> None:
        char = self._text[self._at]
        if self._text.startswith("\\\n", self._at):
            self._at += 2
        elif char in _BLANKS:
            self._end_field()
            self._in_word = False
            self._at += 1
        elif char == "#" and not self._in_word:
            end = self._text.find("\n", self._at)
            self._at = end if end >= 0 else len(self._text)
        else:
            if not self._in_word:
                self._in_word, self._word_at = True, self._at
                if char == "~":
                    raise self._error(self._at, "~ would become a home folder: write $HOME, or '~' for the character")
            self._read_part(char)

    def _read_part(self, char: str) -> None:
        if char == "'":
            self._read_single_quotes()
        elif char == '"':
            self._read_double_quotes()
        elif char == "\\":  # at the very end it is a continuation without a next line
            self._add(self._text[self._at + 1 : self._at + 2])
            self._at += 2
        elif char == "$":
            self._read_dollar(quoted=False)
        elif char == "`":
            raise self._error(self._at, f"commands in backquotes are not run here: set a variable, or {_QUOTE_IT}")
        elif char in _REFUSED:
            raise self._error(self._at, f"an unquoted {char} {_REFUSED[char]} in a shell: {_QUOTE_IT}")
        else:
            self._read_plain(_PLAIN)

    def _read_plain(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        assert match, "every other character has its own reader"
        self._add(match[0])
        self._at = match.end()

    def _read_single_quotes(self) -> None:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise self._error(self._at, "the single quote that opens here is never closed")
        self._add(self._text[self._at + 1 : end])
        self._at = end + 1

    def _read_double_quotes(self) -> None:
        opened = self._at
        self._at += 1
        self._add("")
        while (char := self._text[self._at : self._at + 1]) != '"':
            if not char:
                raise self._error(opened, "the double quote that opens here is never closed")
            if char == "$":
                self._read_dollar(quoted=True)
            elif char == "`":
                raise self._error(self._at, f"commands in backquotes are not run here: set a variable, or {_QUOTE_IT}")
            elif char == "\\":
                self._read_backslash_in_quotes()
            else:
                self._read_plain(_PLAIN_IN_QUOTES)
        self._at += 1

    def _read_backslash_in_quotes(self) -> None:
        """XCU §2.2.3: it escapes five characters only, and stands for itself before all others."""
        escaped = self._text[self._at + 1 : self._at + 2]
        if escaped and escaped in '$`"\\\n':
            self._add(escaped.strip("\n"))
            self._at += 2
        else:
            self._add("\\")
            self._at += 1

    def _read_dollar(self, *, quoted: bool) -> None:
        variable = _VARIABLE.match(self._text, self._at)
        if variable:
            name = (variable[1] or variable[2]).replace("\\\n", "")
            self._expand(name, quoted=quoted)
            self._at = variable.end()
            return
        after = _AFTER_DOLLAR.match(self._text, self._at)
        assert after, "the text has a $ here"
        char = after[1]
        if char == "(":
            raise self._error(self._at, f"commands in $(...) are not run here: set a variable, or {_QUOTE_IT}")
        if char == "{":
            raise self._error(self._at, f"of ${{...}} only ${{NAME}} is known here: for the characters {_QUOTE_IT}")
        if char and char in "0123456789@*#?$!-":
            raise self._error(self._at, f"${char} would be a parameter of a shell: for the characters {_QUOTE_IT}")
        if char and char in "'\"" and not quoted:
            raise self._error(self._at, f"shells differ about ${char}: put the $ inside the quotes, single ones")
        self._add("$")
        self._at += 1

    def _expand(self, name: str, *, quoted: bool) -> None:
        value = self._environ.get(name)
        if value is None:
            raise self._error(self._at, f"the variable {name} is not set: set it; if no variable is meant, {_QUOTE_IT}")
        shown = f"${name}"
        self.expanded.setdefault(value, shown)
        if quoted:
            self._add(value, shown)
            return
        first, *others = re.split(f"[{_BLANKS}]+", value)
        if first:
            self._add(first, shown)
        for part in others:
            self._end_field()
            if part:
                self._add(part, shown)
        if others:  # then the log never meets the value as a whole
            self.expanded.update((part, shown) for part in (first, *others) if part not in self.expanded)

    def _add(self, value: str, shown: str | None = None) -> None:
        self._field = [*(self._field or []), (value, value if shown is None else shown)]

    def _end_field(self) -> None:
        if self._field is not None:
            value, shown = ("".join(parts) for parts in zip(*self._field, strict=True))
            self.words.append(Word(value, shown, f"{self._file}:{self._line(self._word_at)}"))
            self._field = None

    def _line(self, at: int) -> int:
        return 1 + self._text.count("\n", 0, at)

    def _error(self, at: int, text: str) -> ConfigurationError:
        return ConfigurationError(f"{self._file}:{self._line(at)}: {text}")
