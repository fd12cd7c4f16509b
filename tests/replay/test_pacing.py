"""The spacing of a recording at several speeds: exact under a clock of the test's, within 5 % in a real run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import trio
import trio.testing

from launcher.replay.inputs.file import FileInput
from launcher.replay.pacing import Pace
from launcher.replay.room import Room
from launcher.replay.stream_settings import FileInputSettings
from tests.replay.harness import PROGRAM, ROOT
from tests.replay.test_input_file import record, stream

SECOND = 10**9
SPEEDS = [0.5, 1.0, 2.0, 10.0]
# Waits of all sizes, none at all, and an hour.
RECORDED = [0, 0.001, 0.05, 0.05, 1.5, 3, 60, 60.25, 3660, 3660.5]


@pytest.mark.parametrize("speed", SPEEDS)
def test_each_record_is_due_at_its_recorded_distance_by_the_speed(speed: float) -> None:
    pace = Pace(speed)
    due = [pace.next(10**18 + round(at * SECOND)) for at in RECORDED]
    assert due == pytest.approx([at / speed for at in RECORDED], abs=1e-6)


@pytest.mark.parametrize("speed", SPEEDS)
async def test_each_record_is_handed_on_when_it_is_due(
    tmp_path: Path, speed: float, autojump_clock: trio.testing.MockClock
) -> None:
    (tmp_path / "a.gor").write_bytes(stream(*(record(n, at) for n, at in enumerate(RECORDED))))
    source = FileInput(FileInputSettings(patterns=[(str(tmp_path / "a.gor"), None)], speed=speed), Room([]))
    source.open()
    times: list[float] = []
    # The clock jumps only to a deadline; while the thread reads there is none.
    await source.run(lambda data: times.append(trio.current_time()))
    assert [time - times[0] for time in times] == pytest.approx([at / speed for at in RECORDED], abs=1e-6)


def slope(xs: list[float], ys: list[float]) -> float:
    """Of the line through most of the points: the median over all pairs (Theil and Sen), deaf to single late ones."""
    slopes = sorted(
        (ys[b] - ys[a]) / (xs[b] - xs[a])
        for a in range(len(xs))
        for b in range(a + 1, len(xs))
        if xs[b] - xs[a] > 0.2 * xs[-1]  # pairs that are near say little
    )
    return slopes[len(slopes) // 2]


@pytest.mark.parametrize("speed", [1, 2, 10])
def test_a_real_run_keeps_the_spacing_within_5_percent(tmp_path: Path, speed: int) -> None:
    recorded = [n * speed * 0.02 + (n % 7) * 0.001 for n in range(100)]  # some two seconds, whatever the speed
    (tmp_path / "a.gor").write_bytes(stream(*(record(n, at) for n, at in enumerate(recorded))))
    words = ["--input-file", f"{tmp_path}/a.gor|{speed * 100}%", "--output-file", f"{tmp_path}/%NS-%r.gor"]
    subprocess.run(
        [*PROGRAM, *words, "--output-file-flush-interval", "1ms"],
        cwd=ROOT, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    arrived = sorted((path.stat().st_mtime, path.name) for path in tmp_path.glob("*-id*"))
    numbers = [int(re.findall(r"-id(\d+)", name)[0]) for _, name in arrived]
    assert numbers == list(range(100))
    first = arrived[0][0]
    fitted = slope([at / speed for at in recorded], [time - first for time, _ in arrived])
    assert 0.95 <= fitted <= 1.05
