"""One line, one fact, in logfmt, on standard error: `traffic-duplicator at=listening level=info port=5000`.

Every line says what happened (`at`) and how much it matters (`level`: info, warning, error). Values with blanks, quotes
or equals signs stand in quotes and are escaped as in JSON, which is what readers of logfmt take: a `\\x1b` makes kr's,
and so l2met, throw the whole line away.

A stuck standard error must not stop the relay, and its descriptor belongs to the app, too, so it can't be made
non-blocking: lines go through a bounded queue to a thread that may block in the app's place. What the queue doesn't
hold is dropped and counted in the next line that gets through. Every line passes through the masks: a value that was
registered as a secret leaves as what should be shown in its place.
"""

from __future__ import annotations

import os
import queue
import re
import select
import threading
from collections.abc import Iterable
from typing import Any

_MAX_WAITING_LINES = 1000
_MIN_MASKED_CHARACTERS = 4  # shorter values ("10", "on") occur by chance everywhere, and hide nothing
# What a terminal or a reader of logs might obey: control characters, other line ends, halves of characters, and what
# changes the direction of a text or can't be seen (UAX #9; "Trojan Source", CVE-2021-42574).
_OBEYED = r"\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
_PLAIN = re.compile(rf"[^\s\"=\\{_OBEYED}]+")
_OWN_LINE = re.compile(rf"traffic-duplicator at=[\w-]+ level=(info|warning|error)(?: [^{_OBEYED}]*)?")
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNPRINTABLE = re.compile(rf"[{_OBEYED}]")


class Logger:
    """Formats, masks and writes lines to the descriptor `stderr`; with `is_quiet` only warnings and errors."""

    def __init__(self, stderr: int = 2) -> None:
        self.is_quiet = False
        self._stderr = stderr
        self._masks: list[tuple[str, str]] = []
        self._lines: queue.Queue[bytes | None] = queue.Queue(_MAX_WAITING_LINES)
        self._thread: threading.Thread | None = None
        self._dropped = 0

    def hide(self, secrets: Iterable[tuple[str, str]]) -> None:
        """From now on each (value, shown) pair's value leaves as `shown`."""
        self._masks += [(value, shown) for value, shown in secrets if len(value) >= _MIN_MASKED_CHARACTERS]
        self._masks.sort(key=lambda mask: -len(mask[0]))  # a secret within a longer one must not break it up

    def masked(self, text: str) -> str:
        """The text without the secrets."""
        for value, shown in self._masks:
            text = text.replace(value, shown)
        return text

    def masked_values(self, value: Any) -> Any:
        """The same without the secrets, wherever a text is in plain dicts and lists; names of members stay."""
        if isinstance(value, str):
            return self.masked(value)
        if isinstance(value, dict):
            return {name: self.masked_values(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self.masked_values(member) for member in value]
        return value

    def __call__(self, at: str, /, **facts: object) -> None:
        """Writes `traffic-duplicator at=<at> level=<...> ...`, without the facts that are None. Never waits.

        `level` is warning or error; without it the line is information.
        """
        level = facts.pop("level", None) or "info"
        if self.is_quiet and level == "info":
            return
        words = {"at": at, "level": level, **facts}
        pairs = (f"{key}={_quoted(self.masked(_text(value)))}" for key, value in words.items() if value is not None)
        self._write(f"traffic-duplicator {' '.join(pairs)}")

    def pass_on(self, line: str) -> bool:
        """Writes a line that a process of ours has logged, masked, as it is; False if it is none."""
        own = _OWN_LINE.fullmatch(line)
        if own is not None and not (self.is_quiet and own[1] == "info"):
            self._write(self.masked(line))
        return own is not None

    def _write(self, line: str) -> None:
        encoded = line.encode(errors="backslashreplace") + b"\n"
        if self._thread is None and not self._start_thread():
            self._write_without_waiting(encoded)
            return
        try:
            self._lines.put_nowait(encoded)
        except queue.Full:
            self._dropped += 1

    def _start_thread(self) -> bool:
        """False where the system allows no more (RLIMIT_NPROC, a cgroup's pids.max)."""
        thread = threading.Thread(target=self._run, name="log", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True

    def _write_without_waiting(self, line: bytes) -> None:
        """What standard error takes at once: a pipe that is writable takes PIPE_BUF bytes, pipe(7)."""
        try:
            while line and select.select([], [self._stderr], [], 0)[1]:
                line = line[os.write(self._stderr, line[: select.PIPE_BUF]) :]
        except (OSError, ValueError):
            return  # it is closed: there is nobody to tell
        self._dropped += bool(line)

    def tell(self, line: str) -> None:
        """Writes a line for people at once, masked and without what a terminal obeys. Never raises: where standard
        error takes nothing there is nobody to tell, and the exit status must be what it would have been."""
        try:
            self._write_all(printable(self.masked(line)).encode(errors="backslashreplace") + b"\n")
        except OSError:
            pass

    def error(self, text: str) -> None:
        """Tells `Error: text`."""
        self.tell(f"Error: {text}")

    def close(self, timeout_seconds: float = 0.5) -> None:
        """Waits for the last lines, but not for a standard error that is stuck."""
        if self._thread is not None:
            try:
                self._lines.put(None, timeout=timeout_seconds)
            except queue.Full:
                return
            self._thread.join(timeout_seconds)
            self._thread = None

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            if dropped:
                line += b"traffic-duplicator at=log-dropped level=warning lines=%d\n" % dropped
            try:
                self._write_all(line)
            except OSError:
                continue  # standard error is closed, or its disk is full: there is nobody to tell

    def _write_all(self, line: bytes) -> None:
        while line:
            try:
                line = line[os.write(self._stderr, line) :]
            except BlockingIOError:  # the app made the descriptor that we share non-blocking, as Node does
                select.select([], [self._stderr], [], 1)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def printable(text: str) -> str:
    """The text on one line, with nothing in it that a terminal obeys."""
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return _SHORT_ESCAPES.get(match[0]) or f"\\u{ord(match[0]):04x}"


log = Logger()
