"""Replayers that go wrong. The built-in one is killed and stopped; a gor's place takes programs/gor.py."""

from __future__ import annotations

import signal
import stat
from pathlib import Path

from bench.contestants import children
from faults.destination import WellServed
from faults.scenario import MIB, Place, Run, Scenario, Seen, Setup, python
from tests.system import accounts
from tests.system.accounts import FEED_COUNTERS
from tests.system.sink import wait_until

_KILL_SECONDS = 1.0
_RESTARTS_SECONDS = 8.0  # long against the back-off between restarts: what for ever is like, and not the first second
_SAMPLE_SECONDS = 0.02
TO_NULL = ["--to", "http://127.0.0.1:9"]  # programs/gor.py throws the copies away
_LATE_SECONDS = 7
_PIPE_BLOCKS = 4  # of noise: more than what nobody reads could fill


class BuiltinReplayer(WellServed):
    group = "Replayer"

    def until_ready(self, run: Run) -> None:
        if run.place.is_mirrored:
            accounts.process(run.launched, accounts.is_builtin)


class Well(BuiltinReplayer):
    name = "replayer-well"
    says = "does well: the cost of mirroring itself"

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            told = accounts.feed_counters(run.launched)
            assert told["taken"] == told["given"] == seen.answered, f"{seen.answered} were answered: {told}"
            [url] = run.place.destinations
            ends = accounts.outcomes(run.launched, url)
            assert ends == {"received": seen.answered, "2xx": seen.answered}, f"copies ended as {ends}"


class Killed(BuiltinReplayer):
    name = "replayer-killed"
    says = "is killed every second"
    seconds = _RESTARTS_SECONDS
    replayer_dies = True

    def until_ready(self, run: Run) -> None:
        super().until_ready(run)
        self.copies_arrive = not run.place.is_quick  # else it is killed too often to come to it

    def fault(self, run: Run) -> None:
        while not run.wait(min(_KILL_SECONDS, run.seconds / 3)):
            for pid in children(run.launched.pid):  # to look at every process would cost more than the fault
                if accounts.is_builtin(pid):
                    accounts.kill(pid, signal.SIGKILL)

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            assert run.launched.facts("replayer-restart"), "no replayer was started again"


class Stopped(BuiltinReplayer):
    name = "replayer-stopped"
    says = "is stopped (SIGSTOP): its pipe and a buffer of 2 MiB (--quick: 256 KiB) fill up"
    quick_seconds = 1.5  # its pipe holds 1 MiB
    replayer_dies = True  # at the end, when it is killed
    copies_arrive = False

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        return Setup(options=[*setup.options, "--buffer", "256KiB" if place.is_quick else "2MiB"])

    def fault(self, run: Run) -> None:
        if run.place.is_mirrored:
            replayer = accounts.process(run.launched, accounts.is_builtin)
            accounts.kill(replayer, signal.SIGSTOP)
            run.ended.wait()
            self.was_stopped = accounts.is_stopped(replayer)

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            assert self.was_stopped, "the replayer was not stopped"
            told = accounts.feed_counters(run.launched)
            assert told["dropped_full"], f"pipe and buffer were not filled: {told}"


class FakeGor(Scenario):
    """In place of a gor, programs/gor.py in a mode."""

    group = "Replayer"
    mode = ""

    def prepare(self, place: Place) -> Setup:
        self.folder = place.folder
        gor = install_gor(place.folder, self.mode, str(place.folder))
        return Setup(options=["--replayer", str(gor), *TO_NULL])

    def count(self, name: str) -> int:
        """What it has written itself of how many `name` there were; 0 before it has."""
        file = self.folder / name
        return int(file.read_text() or 0) if file.exists() else 0

    def feed(self, run: Run) -> dict[str, int]:
        """The counters of its feed at the end, none unmirrored."""
        if not run.place.is_mirrored:
            return dict.fromkeys(FEED_COUNTERS, 0)
        return accounts.feed_counters(run.launched, TO_NULL[1])


class NeverStarts(FakeGor):
    name = "replayer-never-starts"
    says = "lives, but never comes to read"
    mode = "never"

    def until_ready(self, run: Run) -> None:
        if run.place.is_mirrored:
            accounts.process(run.launched, accounts.is_gor)

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            told = self.feed(run)
            assert told["given"] and not told["taken"], f"somebody has read: {told}"
            assert not run.launched.facts("replayer-restart"), "it did not live"


class StartsLate(FakeGor):
    """Later than a gor that has the machine to itself: one that is only slow must not be killed for that."""

    name = "replayer-starts-late"
    says = f"comes to read {_LATE_SECONDS} s late (60 s, shortened), and gets what waited"
    mode = f"late {_LATE_SECONDS}"
    seconds = _LATE_SECONDS + 0.5  # what waited is written while latencies count

    def fault(self, run: Run) -> None:
        if run.place.is_mirrored:  # the end must not come before: on a slow machine it would
            wait_until(lambda: self.count("copies"), "the replayer gets copies")

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            assert run.launched.facts("replayer-slow"), "it was not late"
            assert not run.launched.facts("replayer-restart"), "it was not given the time"
            taken = self.feed(run)["taken"]
            assert 0 < self.count("copies") <= taken, f"{self.count('copies')} copies have come, and taken are {taken}"


class Crashes(FakeGor):
    name = "replayer-crashes"
    says = "crashes at each start, for ever"
    mode = "crash"
    seconds = _RESTARTS_SECONDS

    def fault(self, run: Run) -> None:
        if run.place.is_mirrored:  # where others are busy, each start of one that stands back takes a while
            run.launched.wait_for_line("replayer-restart", nth=2)

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            attempts = [int(facts["attempt"]) for facts in run.launched.facts("replayer-restart")]
            assert 1 < len(attempts) < 10, f"it was started again {len(attempts)} times: there is no back-off"


class Grows(FakeGor):
    name = "replayer-grows"
    says = "grows by 25 MB a second, to 1 GB; --replayer-memory 64MiB"
    mode = "grow"
    seconds = _RESTARTS_SECONDS
    quick_seconds = 4.0
    most_bytes = (64 + 20) * MIB  # and what it grows by until it is looked at, every 0.25 s

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        return Setup(options=["--replayer-memory", "64MiB", *setup.options])

    def fault(self, run: Run) -> None:
        self.most_seen = 0
        while run.place.is_mirrored and not run.wait(_SAMPLE_SECONDS):
            for pid in children(run.launched.pid):
                self.most_seen = max(self.most_seen, _resident(pid))

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            assert run.launched.facts("replayer-memory"), "nobody has told of its memory"
            assert self.most_seen < self.most_bytes, f"it had {self.most_seen / MIB:.0f} MiB"


class Noisy(FakeGor):
    name = "replayer-noisy"
    says = "writes to its standard output and error without end"
    mode = "noise"

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            assert self.count("noise") > _PIPE_BLOCKS, f"nobody has read its {self.count('noise')} blocks of noise"
            assert self.feed(run)["taken"] and self.count("copies"), "it got no copies meanwhile"
            assert "noise noise" not in run.launched.log, "its noise was passed on"


class ClosesItsPipe(FakeGor):
    name = "replayer-closes-pipe"
    says = "closes its pipe after 50 copies, and lives on"
    mode = "close"
    seconds = _RESTARTS_SECONDS

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            assert run.launched.facts("replayer-restart"), "it was not started again"


class Deaf(FakeGor):
    name = "replayer-deaf"
    says = "ignores SIGTERM"
    mode = "deaf"

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            assert self.count("terms"), "nobody has sent it SIGTERM"


def install_gor(folder: Path, mode: str, account: str = "-") -> Path:
    """programs/gor.py as a file of one word."""
    gor = folder / "gor"
    words = " ".join(f"'{word}'" for word in python("gor.py", mode, account))
    gor.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    gor.chmod(gor.stat().st_mode | stat.S_IXUSR)
    return gor


def _resident(pid: int) -> int:
    try:
        return accounts.resident_bytes(pid)
    except (KeyError, ValueError):  # it has ended
        return 0
