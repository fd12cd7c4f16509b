"""A Procfile's lines, as far as they use the launcher's word. Pure: text in, words out.

A line is `name: command`; a platform hands the command to a shell (Heroku: bash). The words are split as a shell splits
them; what only a shell can know, or do, is told apart, not carried out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

WORD = "start-traffic-duplicator"

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(.+)", re.ASCII)
_WORD = re.compile(rf"(?:.*/)?{WORD}(?:\.pyz)?")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)
_OPERATOR = re.compile(r"[();<>|&]+")
_ENDS = {
    "&&": "what follows && runs after the app has ended, not behind the launcher",
    "||": "what follows || runs after the app has failed, not behind the launcher",
    ";": "what follows ; runs after the app has ended, not behind the launcher",
    "|": "what the app writes goes into a pipe, and the exit status is the last command's",
    "&": "the app runs in the background, and the process ends at once",
}


@dataclass(frozen=True)
class Use:
    """One process that uses the word."""

    line: int
    process: str
    words: tuple[str, ...]  # after the word; the options, then COMMAND
    warnings: tuple[str, ...]


def uses(text: str, environ: Mapping[str, str]) -> Iterator[Use]:
    """Every line that uses the word. Variables that `environ` has are put in; the others stay as they are."""
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        match = _LINE.fullmatch(line.strip())
        if match is None or WORD not in match[2]:
            continue
        try:
            words = _split(match[2])
        except ValueError as error:  # shlex's: a quote that is never closed
            yield Use(number, match[1], (), (f"the shell will refuse this line: {str(error).lower()}",))
            continue
        behind = _behind_the_word(words)
        if behind is not None:
            own, warnings = _own_words(behind)
            yield Use(number, match[1], tuple(_expanded(word, environ) for word in own), tuple(warnings))


def unknown_variables(words: Sequence[str]) -> list[str]:
    """The variables in the words that were not put in, but for PORT, which a platform gives at the start."""
    names = [match[1] or match[2] for word in words for match in _VARIABLE.finditer(word)]
    return [name for name in dict.fromkeys(names) if name != "PORT"]


def _split(command: str) -> list[str]:
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)


def _behind_the_word(words: Sequence[str]) -> list[str] | None:
    """What follows the launcher's word, which may stand in a text for a shell: bash -c "WORD ..."."""
    for index, word in enumerate(words):
        if _WORD.fullmatch(word):
            return list(words[index + 1 :])
        if index and words[index - 1].startswith("-") and words[index - 1].endswith("c") and WORD in word:
            with suppress(ValueError):  # not a text that a shell would take
                return _behind_the_word(_split(word))
    return None


def _own_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those up to the first operator that ends the command, without redirections; and what that operator means."""
    own: list[str] = []
    rest = iter(words)
    for word in rest:
        if not _OPERATOR.fullmatch(word):
            own.append(word)
        elif "<" in word or ">" in word:
            if own and own[-1] in ("1", "2"):  # 2>&1
                own.pop()
            next(rest, None)
        else:
            meaning = _ENDS.get(word, f"what follows {word} does not run behind the launcher")
            return own, [f"{meaning}: write bash -c '...' after the word, with exec before the app's own command"]
    return own, []


def _expanded(word: str, environ: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: environ.get(match[1] or match[2], match[0]), word)
