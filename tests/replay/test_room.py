"""A file waits for its outputs: none of its records ends as `queue_full` while the outputs get on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from launcher.replay.outcomes import Tally
from launcher.replay.outputs import Output
from launcher.replay.outputs.batches import BatchOutput
from launcher.replay.record_queue import RecordQueue
from launcher.replay.room import Room
from tests.replay.by_hand import by_hand
from tests.replay.harness import PROGRAM, ROOT, Visit, destination
from tests.replay.test_input_file import record, stream

BIG = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n" + bytes(20_000)


def moment(count: int) -> bytes:
    """So many records of one moment, with bodies."""
    return stream(*(b"1 id%d 1700000000000000000 -1\n%s" % (number, BIG) for number in range(count)))


@pytest.mark.parametrize("outputs", [1, 2])
async def test_records_of_one_moment_all_arrive_through_queues_that_hold_few_of_them(
    tmp_path: Path, outputs: int
) -> None:
    (tmp_path / "a.gor").write_bytes(moment(300))  # 6 MB through 1 MiB
    async with destination() as one, destination() as other:
        words = [word for served in (one, other)[:outputs] for word in ("--output-http", served.url)]
        words += ["--output-http-queue-len", "3", "--output-http-workers", "2", "--queue-memory", "1MiB"]
        async with by_hand("--input-file", str(tmp_path / "a.gor"), *words) as replaying:
            assert await replaying.end() == 0
        assert [len(served.requests) for served in (one, other)[:outputs]] == [300] * outputs
    assert "queue_full" not in replaying.said
    assert replaying.final("output", "2xx") == 300


async def test_a_file_waits_for_a_slow_reader_of_standard_output(tmp_path: Path) -> None:
    (tmp_path / "a.gor").write_bytes(moment(300))
    process = await trio.lowlevel.open_process(
        [*PROGRAM, "--input-file", str(tmp_path / "a.gor"), "--output-stdout", "--queue-memory", "1MiB"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    got = b""
    with trio.fail_after(60):
        while data := await process.stdout.receive_some(8192):
            got += data
        assert await process.wait() == 0
    assert got == moment(300)


async def test_a_file_waits_for_a_middleware(tmp_path: Path) -> None:
    (tmp_path / "a.gor").write_bytes(moment(300))
    (tmp_path / "echo.py").write_text("import sys\nfor line in sys.stdin:\n    print(line, end='', flush=True)\n")
    words = ["--middleware", f"{sys.executable} {tmp_path}/echo.py", "--queue-memory", "1MiB", "--output-null"]
    async with by_hand("--input-file", str(tmp_path / "a.gor"), *words) as replaying:
        assert await replaying.end() == 0
    assert replaying.final("output", "written") == replaying.final("middleware", "taken") == 300


def waiting(queue: RecordQueue) -> Output:
    """An output whose records only the test ends."""
    return BatchOutput(Tally("test"), queue, lambda records: [])


def fill(output: Output) -> None:
    while output.has_room(100_000):
        output.offer(record(0, 0) + bytes(100_000))


@pytest.fixture
def stuck() -> Output:
    output = waiting(RecordQueue(1 << 20))
    fill(output)
    return output


async def test_an_output_that_does_not_get_on_is_waited_for_so_long_and_then_no_more(
    stuck: Output, autojump_clock: trio.testing.MockClock
) -> None:
    room = Room([stuck, waiting(RecordQueue(1 << 20))], patience_seconds=30)
    assert not room.is_there(100_000)
    start = trio.current_time()
    await room.wait(100_000)
    assert 30 <= trio.current_time() - start < 30.1
    assert room.is_there(100_000)
    stuck.tally.count("queue_full")
    stuck.tally.count("timeout")
    assert room.is_there(100_000), "an end without an answer is no getting on"
    stuck.tally.count("written")
    assert not room.is_there(100_000), "it gets on again, and is full"


async def test_an_output_that_gets_on_is_waited_for_as_long_as_it_takes(
    stuck: Output, autojump_clock: trio.testing.MockClock
) -> None:
    room = Room([stuck], patience_seconds=30)

    async def get_on() -> None:
        for _ in range(100):
            await trio.sleep(29)
            stuck.tally.count("written")

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(get_on)
        await room.wait(100_000)
    assert trio.current_time() - start >= 2900


async def test_a_record_that_no_queue_could_hold_is_not_waited_for() -> None:
    empty = waiting(RecordQueue(1 << 20))
    assert Room([empty]).is_there(2 << 20)
    await trio.lowlevel.checkpoint()


async def test_a_signal_ends_the_waiting(tmp_path: Path) -> None:
    (tmp_path / "a.gor").write_bytes(moment(300))
    arrived = trio.Event()

    async def hang(visit: Visit) -> None:
        await visit.request()
        arrived.set()
        await trio.sleep_forever()

    async with destination(hang) as served:
        words = ["--output-http", served.url, "--output-http-timeout", "1s", "--queue-memory", "1MiB"]
        async with by_hand("--input-file", str(tmp_path / "a.gor"), *words) as replaying:
            await arrived.wait()
            replaying.process.terminate()
            assert await replaying.end() == 0
    assert 1 <= replaying.final("input", "received") < 300
