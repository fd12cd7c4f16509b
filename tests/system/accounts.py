"""What a launcher that has ended said of its work, as numbers; and which of its processes is which, while it runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.system.launched import Facts, Launched
from tests.system.sink import wait_until

NOT_OUTCOMES = ("retries", "held", "latency_", "responses", "tracked", "untracked")
FEED_COUNTERS = ("given", "taken", "dropped_full", "dropped_shutdown", "lost")


def tap_counters(launched: Launched) -> dict[str, int]:
    """The tap's counters at the end, those that are not 0."""
    [end] = launched.facts("end")
    return {name: int(value) for name, value in end.items() if value.isdigit() and value != "0"}


def feed_counters(launched: Launched, replayer: str = "builtin") -> dict[str, int]:
    """The counters of one replayer's feed at the end; for gor `replayer` is the destination."""
    [feed] = [facts for facts in _final(launched, "feed") if facts["replayer"] == replayer]
    return {name: int(feed.get(name, 0)) for name in FEED_COUNTERS}


def outcomes(launched: Launched, destination: str) -> dict[str, int]:
    """What the built-in replayer said at the end of its copies for one destination, `received` included."""
    [output] = [facts for facts in _final(launched, "output") if facts["destination"] == destination]
    told = {name: int(value) for name, value in output.items() if value.isdigit()}
    return {name: value for name, value in told.items() if not name.startswith(NOT_OUTCOMES)}


def _final(launched: Launched, at: str) -> list[Facts]:
    return [facts for facts in launched.facts(at) if facts.get("final") == "true"]


# ---- processes -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rank:
    """How far a process stands back for others."""

    niceness: int
    session_niceness: int | None  # None for one whose session the kernel does not count by itself
    oom_score_adj: int


def _read(pid: int, name: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


def has_sessions() -> bool:
    """Whether the scheduler groups by session those that begin one: CONFIG_SCHED_AUTOGROUP.

    This process may have begun none, nor any before it: then its file is there and empty.
    """
    return Path("/proc/self/autogroup").exists()


NICENESS = os.getpriority(os.PRIO_PROCESS, 0)  # of the tests: somebody may have told these to stand back, too
# A replayer's:
BACKMOST = Rank(niceness=max(10, NICENESS), session_niceness=10 if has_sessions() else None, oom_score_adj=1000)


def rank(pid: int) -> Rank:
    session = _read(pid, "autogroup").split()  # "/autogroup-40 nice 0"
    return Rank(
        os.getpriority(os.PRIO_PROCESS, pid), int(session[-1]) if session else None, int(_read(pid, "oom_score_adj"))
    )


def is_builtin(pid: int) -> bool:
    return b"\0--replay\0" in _read(pid, "cmdline")


def is_helper(pid: int) -> bool:
    return b"/gor_helper.py\0" in _read(pid, "cmdline") and not is_gor(pid)


def is_gor(pid: int) -> bool:
    return b"\0--middleware\0" in _read(pid, "cmdline")


def process(launched: Launched, is_wanted: Callable[[int], bool], *, other_than: Collection[int] = ()) -> int:
    """The process of a kind, once there is one that is not among those."""
    found: list[int] = []

    def find() -> bool:
        found[:] = [pid for pid in launched.processes() if is_wanted(pid) and pid not in other_than]
        return bool(found)

    wait_until(find, f"a process that is one: {is_wanted.__name__}")
    return found[0]


def is_stopped(pid: int) -> bool:
    """Whether SIGSTOP holds it."""
    return _read(pid, "stat").rpartition(b")")[2].split()[:1] == [b"T"]


def resident_bytes(pid: int) -> int:
    return _status(pid, "VmRSS")


def peak_resident_bytes(pid: int) -> int:
    """The most that the process has ever had."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    lines = dict(line.split(":", 1) for line in _read(pid, "status").decode().splitlines())
    return int(lines[name].split()[0]) * 1024  # proc(5): "12345 kB"


def kill(pid: int, number: int) -> None:
    """Signals a process that may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
