"""Text for people, on a terminal or in a log: rows of a label and a text, at most 80 columns wide.

Colour only on a terminal that has it (NO_COLOR: no-color.org). What comes from outside can't move the cursor, hide or
reorder what is printed: its control characters are escaped. Secrets that the log hides are hidden here, too. Who stops
reading has seen enough; a disk that is full is told, and gives status 1.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from launcher.log import log, printable

WIDTH = 80
_LEAST_WIDTH = 40
_INDENT = 2
_LABEL_WIDTH = 14
_MARK_WIDTH = 8
_COLOURS = {"bold": "1", "red": "31", "green": "32", "yellow": "33"}  # ECMA-48 §8.3.117


def plain(text: str) -> str:
    """The text without secrets, its control characters visible: a line end becomes \\n, an escape \\u001b."""
    return printable(log.masked(text))


def has_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """On a terminal that has it, unless NO_COLOR is set."""
    return stream.isatty() and environ.get("TERM", "dumb") != "dumb" and not environ.get("NO_COLOR")


class CannotPrint(Exception):
    """Standard output takes nothing, and not because nobody reads it."""


class _Output:
    """A stream whose reader may go: what is written then is thrown away, and `is_read` is false."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_read = True

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.is_read = False
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self._stream.fileno())  # for what is buffered, which Python would try to write at its end
        os.close(nothing)
        if not isinstance(error, BrokenPipeError):
            raise CannotPrint(error.strerror)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def printed(action: Callable[[], int]) -> int:
    """Does what prints to standard output. Its exit status; 1 where that can't be written, which a line then tells."""
    before = sys.stdout
    sys.stdout = output = _Output(before)
    try:
        output.reconfigure(errors="backslashreplace")  # a terminal's encoding may be any
        status = action()
        output.flush()
        return status
    except CannotPrint as error:
        log.error(f"standard output can't be written: {error}")
        return 1
    finally:
        sys.stdout = before


def is_read() -> bool:
    """Whether what was printed so far has gone somewhere: who prints without end may stop where it has not."""
    return getattr(sys.stdout, "is_read", True)


class Printer:
    """Writes to `stream`."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self._stream = stream
        self._has_colour = has_colour(stream, environ)
        self._width = max(_LEAST_WIDTH, min(WIDTH, _columns(stream))) if stream.isatty() else WIDTH

    def heading(self, text: str) -> None:
        """After an empty line."""
        self._stream.write("\n")
        for line in self._wrapped(plain(text), 0, 0):
            self._stream.write(self._coloured(line, "bold") + "\n")

    def text(self, text: str, colour: str = "") -> None:
        """From the left edge; an empty one makes an empty line."""
        for line in self._wrapped(plain(text), 0, _INDENT) or [""]:
            self._stream.write(self._coloured(line, colour) + "\n")

    def row(self, label: str, text: str) -> None:
        """A label, and a text beside it."""
        self._write(f"{'':{_INDENT}}{label:<{_LABEL_WIDTH}}", plain(text))

    def marked_row(self, label: str, mark: str, colour: str, text: str) -> None:
        """The same with a word in a column of its own, in colour."""
        head = f"{'':{_INDENT}}{label:<{_LABEL_WIDTH}}"
        self._write(f"{head}{mark:<{_MARK_WIDTH}}", plain(text), (head, mark, colour))

    def item(self, mark: str, colour: str, text: str, remedy: str = "") -> None:
        """One of a list, and below it what to do."""
        head = f"{'':{_INDENT}}{mark} "
        self._write(head, plain(text), (f"{'':{_INDENT}}", mark, colour))
        if remedy:
            for line in self._wrapped(f"-> {plain(remedy)}", len(head) + 2, len(head) + 5):
                self._stream.write(f"{line}\n")

    def _write(self, head: str, text: str, marked: tuple[str, str, str] | None = None) -> None:
        first, *rest = self._wrapped(text, len(head), len(head)) or [head]
        first = head + first[len(head) :]
        if marked is not None:
            before, mark, colour = marked
            first = before + self._coloured(mark, colour) + first[len(before) + len(mark) :]
        self._stream.write("\n".join(line.rstrip() for line in (first, *rest)) + "\n")

    def _wrapped(self, text: str, first: int, later: int) -> list[str]:
        """A word longer than a line stays whole, so that it can be copied."""
        return textwrap.wrap(
            text, self._width, initial_indent=" " * first, subsequent_indent=" " * later,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip

    def _coloured(self, text: str, colour: str) -> str:
        if not self._has_colour or not colour:
            return text
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or WIDTH  # 0: a pseudo-terminal that nobody has set up
    except (OSError, ValueError):
        return WIDTH
