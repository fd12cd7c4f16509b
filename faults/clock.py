"""Machines whose clock is set while requests pass: libfaketime stands in for it in launcher, replayer and app.

The monotonic clock is left alone, as by a kernel whose clock is set.
"""

from __future__ import annotations

import subprocess
import time
from itertools import cycle
from pathlib import Path

from faults.machine import PoorMachine
from faults.scenario import Place, Run, Seen, Setup
from tests.needs import FAKETIME
from tests.system import accounts
from tests.system.launched import PATIENCE_SECONDS, SYSTEM_PATH
from tests.system.sink import wait_until

_JUMP_SECONDS = 3600


class ClockJumps(PoorMachine):
    name = "machine-clock-jumps"
    says = "has its clock set by an hour, forward and back, four times (libfaketime)"
    needs = FAKETIME

    def missing(self) -> str | None:
        return None if _library() else "libfaketime is not here: apt-get install faketime"

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        self.url = setup.options[1]
        self.file = place.folder / "clock"
        self.set_clock(0)
        setup.environ |= {
            "LD_PRELOAD": str(_library()), "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else threads of a Python wait in vain
            "NO_FAKE_STAT": "1",  # the times of files are nobody's business here
        }  # fmt: skip
        self.environ = {"PATH": SYSTEM_PATH, **setup.environ}
        return setup

    def clock_is_off(self) -> float:
        """By so many seconds, for a program that sees the same clock as launcher and app."""
        told = subprocess.run(["date", "+%s"], env=self.environ, capture_output=True, text=True, check=True)
        return float(told.stdout) - time.time()

    def set_clock(self, seconds: float) -> None:
        """By so much from the true time; in one piece, for it is read at any moment."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+g}s\n")
        new.rename(self.file)

    def until_ready(self, run: Run) -> None:
        self.is_seen = "libfaketime" in Path(f"/proc/{run.launched.pid}/maps").read_text()

    def fault(self, run: Run) -> None:
        for number, seconds in enumerate(cycle((_JUMP_SECONDS, 0, -_JUMP_SECONDS, 0))):
            if number == 8 or run.wait(run.seconds / 10):
                return
            self.set_clock(seconds)
            if number == 0:
                self.first_jump = self.clock_is_off()

    def judge(self, run: Run, seen: Seen) -> None:
        assert self.first_jump > _JUMP_SECONDS / 2 and self.is_seen, f"its clock has jumped by {self.first_jump} s"
        if run.place.is_mirrored:
            told = accounts.feed_counters(run.launched)
            assert told["taken"] == told["given"], f"copies were lost: {told}"
            ends = accounts.outcomes(run.launched, self.url)  # a time-out, say, would be one by the wrong clock
            assert ends["2xx"] and ends.keys() <= {"received", "2xx", "unsent"}, f"copies ended as {ends}"


class ClockPassesUntil(ClockJumps):
    """--until with a time of day goes by the clock: it ends early when that is set forward, and does not come back."""

    name = "machine-clock-until"
    says = "has its clock set by an hour, past --until, and back: mirroring ends, and the app goes on"

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + _JUMP_SECONDS / 2))
        setup.options = ["--until", at, *setup.options]
        return setup

    def until_ready(self, run: Run) -> None:
        if run.place.is_mirrored:
            run.launched.wait_for_line("mirroring")

    def fault(self, run: Run) -> None:
        run.wait(run.seconds / 10)
        self.set_clock(_JUMP_SECONDS)
        if run.place.is_mirrored:
            wait_until(lambda: bool(run.launched.facts("mirroring-ended")), "mirroring ends", PATIENCE_SECONDS)
        self.set_clock(0)
        run.wait(run.seconds)

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            counters = accounts.tap_counters(run.launched)
            assert counters.get("skipped_paused"), f"nothing was left out: {counters}"
            assert len(run.launched.facts("mirroring")) == 1, "mirroring has begun anew"


def _library() -> Path | None:
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
