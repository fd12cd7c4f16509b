"""A gor that goes wrong: `gor.py MODE ACCOUNT` in front of the words that the launcher gives a gor.

well    runs its middleware and throws the copies away, as gor with --output-null
never   lives, and never runs its middleware    crash   ends with 1 at once
late N  does well after N seconds               grow    does well, and takes 1 GB, 5 MB every 0.2 s
noise   does well, and writes without end       close   closes its middleware's pipe after 50 lines, and lives on
deaf    does well, and ignores SIGTERM
grow-once FILE  does well, and grows without end, 80 MB a second, unless there is the file

In the folder ACCOUNT (`-`: nowhere) it writes how many copies it has got (`copies`), blocks of noise it got rid of
(`noise`), and SIGTERMs it has heard (`terms`): what it has seen itself.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

_HELP = "Current Version: 1.2.0\n"
_GROWTH_BYTES = 5 * 1024**2
_FINAL_BYTES = 1024**3
_LINES_BEFORE_CLOSE = 50
_STEP_BYTES = 4 * 1024**2
_NOISE = b"\n".join([b"noise " * 20] * 400) + b"\n"


def grow() -> None:
    held = []
    while len(held) * _GROWTH_BYTES < _FINAL_BYTES:
        held.append(b"x" * _GROWTH_BYTES)  # touched: it is resident
        time.sleep(0.2)
    time.sleep(3600)


def grow_steadily() -> None:
    """In huge pages where there are: the kernel takes them back faster, and what it kills meanwhile is not ours."""
    held = []
    while True:
        held.append(mmap.mmap(-1, _STEP_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        with contextlib.suppress(OSError):  # a kernel without huge pages
            held[-1].madvise(mmap.MADV_HUGEPAGE)
        for at in range(0, _STEP_BYTES, mmap.PAGESIZE):
            held[-1][at] = 1
        time.sleep(0.05)


class Account:
    """Numbers in files of a folder, each as of now."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def counter(self, name: str) -> Callable[[], None]:
        """What is to be called each time."""
        if self._folder == "-":
            return lambda: None
        file = os.open(f"{self._folder}/{name}", os.O_CREAT | os.O_WRONLY)
        numbers = itertools.count(1)
        return lambda: (os.pwrite(file, b"%d" % next(numbers), 0), None)[1]


def make_noise(count: Callable[[], None]) -> None:
    while True:
        for stream in (1, 2):
            os.write(stream, _NOISE)
            count()


def main(mode: str, account: Account, words: list[str]) -> None:
    if "--help" in words:
        sys.exit(_HELP)
    if mode == "crash":
        sys.exit(1)
    if mode == "never":
        time.sleep(3600)
    if mode.startswith("late"):
        time.sleep(float(mode.split()[1]))
    if mode == "deaf":
        count_term = account.counter("terms")
        signal.signal(signal.SIGTERM, lambda *_: count_term())
    command = words[words.index("--middleware") + 1].split()
    helper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert helper.stdout is not None
    if mode.startswith("grow-once") and not Path(mode.split()[1]).exists():
        Path(mode.split()[1]).touch()
        threading.Thread(target=grow_steadily, daemon=True).start()
    if mode == "grow":
        threading.Thread(target=grow, daemon=True).start()
    if mode == "noise":
        threading.Thread(target=make_noise, args=(account.counter("noise"),), daemon=True).start()
    count_copy = account.counter("copies")
    for number, _ in enumerate(helper.stdout):
        count_copy()
        if mode == "close" and number == _LINES_BEFORE_CLOSE:
            helper.stdout.close()
            time.sleep(3600)
    while mode == "deaf":
        time.sleep(3600)
    helper.wait()


main(sys.argv[1], Account(sys.argv[2]), sys.argv[3:])
