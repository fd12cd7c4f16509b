"""When mirroring pauses and goes on: with a clock of the test's own, then with real processes and a real cgroup."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trio

from launcher.brake_watch import BrakeWatch, cpu_look, memory_look
from launcher.brakes import CpuBrake, MemoryBrake, Pauses
from launcher.controls import Controls
from launcher.log import log
from launcher.memory import MemoryFiles
from tests.cgroups import memory_cgroup

GIB = 1024**3
LONG_SECONDS = 60  # a test that waits so long has failed


class Replayers:
    """A machine of the test's own: replayers that use `percent` of a core from one look to the next, a second each."""

    def __init__(self, brake: CpuBrake) -> None:
        self._brake = brake
        self._used = 100.0
        self.now = 1000.0

    def go_on(self, seconds: int, percent: float) -> list[bool]:
        """Whether the brake was pulled at each look."""
        pulled = []
        for _ in range(seconds):
            self.now += 1
            self._used += percent / 100
            pulled.append(self._brake.look(self.now, self._used) is not None)
        return pulled


@pytest.mark.parametrize("percent", [49.9, 50])
def test_no_more_than_the_limit_never_pulls(percent):
    assert not any(Replayers(CpuBrake(50, Pauses())).go_on(1000, percent))


def test_more_than_the_limit_pulls_after_ten_seconds():
    assert Replayers(CpuBrake(50, Pauses())).go_on(12, 60) == [False] * 10 + [True] * 2


def test_what_was_used_ten_seconds_ago_does_not_count():
    replayers = Replayers(CpuBrake(95, Pauses()))
    replayers.go_on(20, 0)
    assert replayers.go_on(10, 100) == [False] * 9 + [True]


def test_a_short_burst_does_not_pull_and_a_wavering_load_counts_on_average():
    replayers = Replayers(CpuBrake(50, Pauses()))
    replayers.go_on(20, 10)
    assert not any(replayers.go_on(4, 100) + replayers.go_on(20, 10))
    assert any(pulled for _ in range(10) for pulled in replayers.go_on(1, 20) + replayers.go_on(1, 100))


def test_it_says_how_much_was_used_and_what_the_limit_is():
    brake = CpuBrake(50, Pauses())
    assert brake.look(100, 0) is None
    assert brake.look(110, 9) == "the replayers used 90 % of one core in 10 s: more than --max-cpu, 50 %"
    assert brake.look(111, 9) == "the replayers used 90 % of one core in 10 s: more than --max-cpu, 50 %"


def test_it_is_released_after_the_pause_and_then_needs_ten_seconds_anew():
    replayers = Replayers(CpuBrake(50, Pauses()))
    assert replayers.go_on(11, 100)[-1]
    assert replayers.go_on(30, 0) == [True] * 29 + [False]
    assert replayers.go_on(12, 100) == [False] * 10 + [True] * 2


def test_it_is_released_when_no_more_than_the_limit_is_used():
    replayers = Replayers(CpuBrake(50, Pauses()))
    assert replayers.go_on(11, 100)[-1]
    assert replayers.go_on(30, 50) == [True] * 29 + [False]


def test_it_stays_pulled_twice_as_long_when_it_is_pulled_again_soon():
    replayers = Replayers(CpuBrake(50, Pauses()))
    assert replayers.go_on(11, 100)[-1]
    replayers.go_on(30, 0)
    assert replayers.go_on(11, 100)[-1]
    assert replayers.go_on(60, 0) == [True] * 59 + [False]


def test_replayers_that_stay_busy_while_nothing_is_copied_hold_it():
    replayers = Replayers(CpuBrake(50, Pauses()))
    assert all(replayers.go_on(300, 100)[10:])
    assert not replayers.go_on(10, 0)[-1]


def pause_lengths(pauses: Pauses, calm_seconds: float, times: int) -> list[float]:
    now, lengths = 0.0, []
    for _ in range(times):
        pauses.begin(now)
        began = now
        while not pauses.may_end(now):
            now += 1
        pauses.end(now)
        lengths.append(now - began)
        now += calm_seconds
    return lengths


def test_pauses_double_up_to_ten_minutes_and_start_anew_after_ten_calm_minutes():
    assert pause_lengths(Pauses(), 20, 7) == [30, 60, 120, 240, 480, 600, 600]
    assert pause_lengths(Pauses(), 600, 3) == [30, 30, 30]


def test_memory_pulls_when_nearly_full_and_is_released_well_below_after_the_pause():
    brake = MemoryBrake(Pauses())
    assert brake.look(0, 94 * GIB, 100 * GIB) is None
    assert brake.look(1, 95 * GIB, 100 * GIB) == "97280.0MiB of 102400.0MiB memory are in use: 95 %"
    assert brake.look(2, 50 * GIB, 100 * GIB) is not None
    assert brake.look(40, 90 * GIB, 100 * GIB) is not None
    assert brake.look(41, 89 * GIB, 100 * GIB) is None
    assert brake.look(42, 94 * GIB, 100 * GIB) is None


def test_memory_that_is_soon_full_again_pauses_twice_as_long():
    brake = MemoryBrake(Pauses())
    percents = {0: 95, 30: 89, 40: 95, 99: 89, 100: 89}
    pulled = [second for second, percent in percents.items() if brake.look(second, percent, 100) is not None]
    assert pulled == [0, 40, 99]


def test_a_brake_that_can_t_be_read_is_told_once_and_pauses_nothing(capfd, tmp_path):
    controls = Controls()
    looks = 0

    def look(now: float) -> str | None:
        nonlocal looks
        looks += 1
        if looks == 1:
            return "nearly full"
        return memory_look(MemoryBrake(Pauses()), MemoryFiles(tmp_path, tmp_path))(now)

    trio.run(watched, {"memory": look}, controls, lambda: looks == 5)
    assert controls.is_copying
    lines = told(capfd)
    assert [line.split()[1] for line in lines] == ["at=paused", "at=brake-failed", "at=resumed"]
    assert "meminfo" in lines[1]


def test_one_brake_that_is_released_says_which_others_are_still_pulled(capfd):
    controls = Controls()
    controls.pause("until", "--until 1s is over")
    reasons = ["full", None]
    look = lambda _: reasons.pop(0) if reasons else None  # noqa: E731
    trio.run(watched, {"memory": look}, controls, lambda: "memory" in controls.pauses, lambda: not reasons)
    assert not controls.is_copying
    assert told(capfd)[-1].endswith("still_paused_by=until")


# ---- the watch, with real processes ------------------------------------------------------------------------------


async def watched(
    looks: dict[str, Callable[[float], str | None]], controls: Controls, *conditions: Callable[[], bool]
) -> None:
    """Watches at short intervals until each condition in turn was true."""
    watch = BrakeWatch(controls, looks, look_seconds=0.05)
    with trio.fail_after(LONG_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.run, lambda: float("inf"))
            for condition in conditions:
                while not condition():
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()


@contextmanager
def leader(program: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a group of its own, which ends with the block."""
    words = [sys.executable, "-I", "-S", "-c", program]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, 9)


BUSY_CHILD = """
import os, sys
child = os.posix_spawn(sys.executable, [sys.executable, "-I", "-S", "-c", "while True: pass"], os.environ)
print(child, flush=True)
sys.stdin.read()
"""


def told(capfd: pytest.CaptureFixture[str]) -> list[str]:
    log.close()
    return capfd.readouterr().err.splitlines()


def test_a_group_that_is_busy_pauses_and_when_it_is_idle_mirroring_goes_on(capfd):
    controls = Controls()
    brake = CpuBrake(5, Pauses(0.2, 1), window_seconds=0.5)

    async def main() -> None:
        with leader(BUSY_CHILD) as process:
            assert process.stdout is not None
            child = int(process.stdout.readline())
            await watched(
                {"cpu": cpu_look(brake, lambda: [process.pid])},
                controls,
                lambda: not controls.is_copying,
                lambda: os.kill(child, 19) is None,  # SIGSTOP
                lambda: controls.is_copying,
            )

    trio.run(main)
    paused, resumed = told(capfd)
    assert re.fullmatch(
        r'traffic-duplicator at=paused level=warning brake=cpu reason="the replayers used \d+ % of one core in \d s: '
        r'more than --max-cpu, 5 %"', paused,
    )  # fmt: skip
    assert re.fullmatch(r"traffic-duplicator at=resumed level=info brake=cpu paused_seconds=[\d.]+", resumed)


def test_a_cgroup_that_fills_pauses_and_when_it_has_room_mirroring_goes_on(tmp_path):
    controls = Controls()
    program = "import sys; data = b'x' * (100 << 20); print(flush=True); sys.stdin.read()"

    async def main() -> None:
        with memory_cgroup(256 << 20) as cgroup:
            brake = MemoryBrake(Pauses(0.2, 1), full_percent=35, roomy_percent=25)
            (tmp_path / "self").mkdir()
            (tmp_path / "self/cgroup").write_text(f"{cgroup.line}\n")
            files = MemoryFiles(proc=tmp_path)
            with cgroup.process([sys.executable, "-I", "-S", "-c", program]) as process:
                await watched(
                    {"memory": memory_look(brake, files)},
                    controls,
                    lambda: "of 256.0MiB" in controls.pauses.get("memory", ""),
                    lambda: process.kill() is None,
                    lambda: controls.is_copying,
                )

    trio.run(main)
