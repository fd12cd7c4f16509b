"""A long run in which replayers and destinations go wrong in turns: memory and descriptors must be flat at its end.

`build.py faults soak --hours N` makes it as long. Flat means by the slope: what the second half's straight line through
the samples (least squares) rises over that half must be below a bound. p99 has its bound by an unmirrored minute.
"""

from __future__ import annotations

import os
import signal
import statistics
from collections.abc import Sequence

from faults.destination import destination
from faults.scenario import MIB, Place, Run, Scenario, Seen, Setup
from tests.system import accounts

_SAMPLES = 200
_MOST_RISE_BYTES = 2 * MIB
_MOST_MORE_DESCRIPTORS = 8
_FIRST_SHARE = 0.5  # the buffer, and what Python keeps, fill up before


class Soak(Scenario):
    group = "Soak"
    name = "soak"
    says = "one destination hangs, one does well, one resets; the replayer is killed and stopped in turns"
    seconds = 60.0
    quick_seconds = 6.0
    rate = 300.0
    pairs = 1
    longest_alone_seconds = 60.0
    replayer_dies = True

    def prepare(self, place: Place) -> Setup:
        urls = [destination(place, mode) for mode in ("well", "hang", "reset")]
        to = [word for url in urls for word in ("--to", url)]
        return Setup(options=[*to, "--buffer", "1MiB", "--stats-interval", "10"])  # full long before the second half

    def until_ready(self, run: Run) -> None:
        self.copies_arrive = not run.place.is_quick  # else the replayer is killed too often to come to it

    def fault(self, run: Run) -> None:
        if not run.place.is_mirrored:
            return
        pid = run.launched.pid
        self.memory: list[int] = []
        self.descriptors: list[int] = []
        self.stood_still = False
        number = 0
        while not run.wait(run.seconds / _SAMPLES):
            self.memory.append(accounts.resident_bytes(pid))
            self.descriptors.append(len(os.listdir(f"/proc/{pid}/fd")))
            number += 1
            if number % 10 == 0:
                self.hurt(run, (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT)[number // 10 % 3])

    def hurt(self, run: Run, number: int) -> None:
        for pid in run.launched.processes():
            if accounts.is_builtin(pid):
                self.stood_still |= accounts.is_stopped(pid)  # since it was last hurt
                accounts.kill(pid, number)

    def judge(self, run: Run, seen: Seen) -> None:
        if not run.place.is_mirrored:
            return
        assert self.stood_still, "no replayer was stopped"
        assert run.launched.facts("replayer-restart"), "no replayer was started again"
        first = int(len(self.memory) * _FIRST_SHARE)
        rise = _rise(self.memory[first:])
        more = max(self.descriptors[first:]) - max(self.descriptors[:first])
        [end] = run.launched.facts("end")
        seen.told = (
            f"{seen.answered} requests were answered in {run.seconds / 60:.1f} minutes. In the second half memory rose "
            f"by {rise / MIB:.2f} MiB (at most {_MOST_RISE_BYTES // MIB}), and descriptors by {max(0, more)} (at most "
            f"{_MOST_MORE_DESCRIPTORS}). The balance of {end['seen']} requests is exact."
        )
        assert rise < _MOST_RISE_BYTES, f"memory rose by {rise / MIB:.1f} MiB in the second half"
        assert more <= _MOST_MORE_DESCRIPTORS, f"there were {more} more descriptors in the second half"


def _rise(samples: Sequence[int]) -> float:
    """How much the straight line through them rises."""
    slope, _ = statistics.linear_regression(range(len(samples)), samples)
    return slope * len(samples)
