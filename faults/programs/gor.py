"""A gor that goes wrong: `gor.py MODE` in front of the words that the launcher gives a gor.

well    runs its middleware and throws the copies away, as gor with --output-null
never   lives, and never runs its middleware    crash   ends with 1 at once
late N  does well after N seconds               grow    does well, and takes 1 GB, 5 MB every 0.2 s
noise   does well, and writes without end       close   closes its middleware's pipe after 50 lines, and lives on
deaf    does well, and ignores SIGTERM
grow-once FILE  does well, and grows without end, 80 MB a second, unless there is the file
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
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


def make_noise() -> None:
    while True:
        os.write(1, _NOISE)
        os.write(2, _NOISE)


def main(mode: str, words: list[str]) -> None:
    if "--help" in words:
        sys.exit(_HELP)
    if mode == "crash":
        sys.exit(1)
    if mode == "never":
        time.sleep(3600)
    if mode.startswith("late"):
        time.sleep(float(mode.split()[1]))
    if mode == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    command = words[words.index("--middleware") + 1].split()
    helper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert helper.stdout is not None
    if mode.startswith("grow-once") and not Path(mode.split()[1]).exists():
        Path(mode.split()[1]).touch()
        threading.Thread(target=grow_steadily, daemon=True).start()
    side_work = {"grow": grow, "noise": make_noise}.get(mode)
    if side_work:
        threading.Thread(target=side_work, daemon=True).start()
    for number, _ in enumerate(helper.stdout):
        if mode == "close" and number == _LINES_BEFORE_CLOSE:
            helper.stdout.close()
            time.sleep(3600)
    while mode == "deaf":
        time.sleep(3600)
    helper.wait()


main(sys.argv[1], sys.argv[2:])
