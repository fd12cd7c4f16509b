"""`--status --watch`: the figures again each second. On a terminal in place, elsewhere one block after the other.

On a terminal it draws on the alternate screen, as `top` does, and leaves the newest figures behind on the usual one.
However it ends (Ctrl-C, SIGTERM, SIGHUP, the launcher's end), and while it is stopped (Ctrl-Z), the terminal is as it
was before.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from launcher.printing import CannotPrint, is_read
from launcher.status import Line, rendered

_INTERVAL_SECONDS = 1.0
_ENTER = "\x1b[?1049h\x1b[?25l"  # the alternate screen, without a cursor
_LEAVE = "\x1b[?25h\x1b[?1049l"


def watch(next_lines: Callable[[], list[Line]], *, colour: bool) -> None:
    """Draws what `next_lines` gives until it raises, or until Ctrl-C, which is the way to end it."""
    if not (sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"):
        _print_blocks(next_lines)
        return
    lines: list[Line] = []
    try:
        with _screen():
            while is_read():
                lines = next_lines()
                _draw(lines, colour=colour)
                time.sleep(_INTERVAL_SECONDS)
    except KeyboardInterrupt:
        return
    finally:
        for line in lines:
            print(rendered(line, colour=colour))


def _print_blocks(next_lines: Callable[[], list[Line]]) -> None:
    with suppress(KeyboardInterrupt):
        while is_read():
            block = [rendered(line, colour=False) for line in next_lines()]
            print(time.strftime("---- %Y-%m-%d %H:%M:%S %z"), *block, sep="\n", flush=True)
            time.sleep(_INTERVAL_SECONDS)


def _draw(lines: list[Line], *, colour: bool) -> None:
    size = shutil.get_terminal_size()
    shown = [rendered(line, colour=colour, width=size.columns) for line in lines]
    if len(shown) > size.lines:
        shown = [*shown[: size.lines - 1], f"({len(shown) - size.lines + 1} more lines)"[: size.columns]]
    _write("\x1b[H" + "\n".join(f"{line}\x1b[K" for line in shown) + "\x1b[J")


@contextmanager
def _screen() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP)}
    try:
        signal.signal(signal.SIGTERM, _end)
        signal.signal(signal.SIGHUP, _end)
        signal.signal(signal.SIGTSTP, _stop)
        _write(_ENTER)
        yield
    finally:
        _write(_LEAVE)
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _stop(_: int, __: FrameType | None) -> None:
    _write(_LEAVE)
    os.kill(os.getpid(), signal.SIGSTOP)  # until SIGCONT
    _write(_ENTER)


def _write(text: str) -> None:
    with suppress(CannotPrint):  # the terminal has gone
        sys.stdout.write(text)
        sys.stdout.flush()
