"""`--input-file` and `--input-tcp`, by hand: what is replayed, when, and what is said of the rest."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio
import trio.testing

from launcher.destinations import Limit
from launcher.listen_address import parse_listen_address
from launcher.replay.inputs import InputError
from launcher.replay.inputs.file import FileInput
from launcher.replay.inputs.tcp import TcpInput
from launcher.replay.record_format import SEPARATOR
from launcher.replay.room import Room
from launcher.replay.stream_settings import FileInputSettings, file_inputs
from tests.replay.harness import PROGRAM, ROOT

SECOND = 10**9


def record(number: int, seconds: float, kind: bytes = b"1") -> bytes:
    return b"%s id%d %d -1\nGET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % (
        kind, number, 1_700_000_000 * SECOND + round(seconds * SECOND), number
    )  # fmt: skip


def stream(*records: bytes) -> bytes:
    return b"".join(each + SEPARATOR for each in records)


def with_body(record: bytes, nbytes: int) -> bytes:
    return record[:-2] + b"Content-Length: %d\r\n\r\n" % nbytes + bytes(nbytes)


NO_OUTPUTS = Room([])


async def replayed(
    *patterns: Path, limit: Limit | None = None, **more: object
) -> tuple[list[int], list[float], FileInput]:
    """The numbers of the requests, when each came, and the input."""
    given = [(str(pattern), limit) for pattern in patterns]
    source = FileInput(FileInputSettings(patterns=given, **more), NO_OUTPUTS)  # type: ignore[arg-type]
    source.open()
    numbers: list[int] = []
    times: list[float] = []

    def receive(data: bytes) -> None:
        numbers.append(int(re.findall(rb" id(\d+) ", data)[0]))
        times.append(trio.current_time())

    await source.run(receive)
    return numbers, [time - times[0] for time in times], source


def counts(source: FileInput | TcpInput) -> dict[str, int]:
    return {name: count for name, count in source.tally.counts.items() if count}


@pytest.mark.parametrize("speed", [1.0, 2.0, 10.0, 0.5])
async def test_the_spacing_is_that_of_the_recording(tmp_path: Path, speed: float) -> None:
    recorded = [0, 0.1, 0.15, 0.4, 0.4, 1.0]
    (tmp_path / "a.gor").write_bytes(stream(*(record(n, at) for n, at in enumerate(recorded))))
    numbers, times, _ = await replayed(tmp_path / "a.gor", speed=speed)
    assert numbers == list(range(6))
    for time, at in zip(times, recorded, strict=True):
        assert at / speed - 0.001 <= time
    # A machine under load is late with some; that lateness is not added up: the last is near its own time.
    assert times[-1] <= 1.05 / speed + 0.2


async def test_the_longest_wait_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.gor").write_bytes(stream(record(0, 0), record(1, 3600), record(2, 3600.1)))
    with trio.fail_after(20):
        numbers, times, _ = await replayed(tmp_path / "a.gor", max_wait=0.2)
    assert numbers == [0, 1, 2]
    assert times[1] >= 0.19 and times[2] >= 0.29


async def test_files_are_merged_by_time_and_read_in_windows(tmp_path: Path) -> None:
    (tmp_path / "a.gor").write_bytes(stream(record(0, 0), record(4, 0.004), record(3, 0.003)))
    members = (gzip.compress(stream(record(n, n / 1000))) for n in (1, 5))
    (tmp_path / "b.gor.gz").write_bytes(b"".join(members))
    (tmp_path / "c.gor").write_bytes(stream(record(2, 0.002)))
    assert (await replayed(tmp_path / "*"))[0] == [0, 1, 2, 3, 4, 5]
    assert (await replayed(tmp_path / "a.gor", read_depth=1))[0] == [0, 4, 3]


async def test_several_patterns_are_merged_by_time_with_one_clock(tmp_path: Path) -> None:
    (tmp_path / "a.gor").write_bytes(stream(record(0, 0), record(3, 0.3)))
    (tmp_path / "b.gor").write_bytes(stream(record(1, 0.1)))
    (tmp_path / "c.gor").write_bytes(stream(record(2, 0.2), record(4, 0.4)))
    numbers, times, source = await replayed(tmp_path / "b.gor", tmp_path / "[ac].gor")
    assert numbers == [0, 1, 2, 3, 4]
    assert all(time >= number / 10 - 0.001 for number, time in zip(numbers, times, strict=True))
    assert source.tally.shown == f"--input-file {tmp_path}/b.gor --input-file {tmp_path}/[ac].gor"


def test_a_rate_is_that_of_its_pattern_and_each_speed_has_its_clock() -> None:
    slow, fast = file_inputs(["a|10", "b", "c|200%", "d|200%", "e|100%"], {})
    assert (slow.speed, slow.patterns) == (1.0, [("a", Limit(10, False)), ("b", None), ("e", None)])
    assert (fast.speed, fast.patterns) == (2.0, [("c", None), ("d", None)])


async def test_only_requests_are_replayed_and_damage_is_said_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.gor"
    path.write_bytes(stream(record(0, 0), record(0, 0, b"2"), b"garbage", record(1, 0)) + record(2, 0))
    numbers, _, source = await replayed(path)
    assert numbers == [0, 1]
    assert counts(source) == {"received": 2, "skipped_response": 1, "malformed": 1, "incomplete": 1}
    said = {failure.kind: failure.error for failure in source.tally.failures.take_news()}
    offset = len(stream(record(0, 0), record(0, 0, b"2")))
    assert said["malformed"].endswith(f": {path}, byte {offset}")
    assert "cut short" in said["incomplete"]


@pytest.mark.parametrize(
    ("damage", "kind"),
    [(lambda data: data[:-20], "incomplete"), (lambda data: data[:-8] + bytes(8), "malformed"),
     (lambda data: data + b"garbage", "malformed")],
)  # fmt: skip
async def test_a_damaged_gzip_file_is_replayed_as_far_as_it_can_be_read(
    tmp_path: Path, damage: Callable[[bytes], bytes], kind: str
) -> None:
    records = [record(n, 0)[:-4] + b"\r\nX: " + os.urandom(500).hex().encode() + b"\r\n\r\n" for n in range(200)]
    (tmp_path / "a.gz").write_bytes(damage(gzip.compress(stream(*records))))
    numbers, _, source = await replayed(tmp_path / "a.gz")
    assert numbers == list(range(len(numbers))) and len(numbers) >= 190
    assert counts(source)[kind] == 1


async def test_a_rate_drops_what_is_too_much(tmp_path: Path) -> None:
    (tmp_path / "a.gor").write_bytes(stream(*(record(n, 0) for n in range(50))))
    numbers, _, source = await replayed(tmp_path / "a.gor", limit=Limit(10, False))
    assert numbers == list(range(10))
    assert counts(source) == {"received": 10, "limited": 40}


async def test_a_loop_goes_on_until_it_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "a.gor").write_bytes(stream(record(0, 0), record(1, 0.001)))
    source = FileInput(FileInputSettings(patterns=[(str(tmp_path / "a.gor"), None)], is_looped=True), NO_OUTPUTS)
    source.open()
    seen: list[bytes] = []

    def receive(data: bytes) -> None:
        seen.append(data)
        if len(seen) == 7:
            source.stop()

    with trio.fail_after(20):
        await source.run(receive)
    assert len(seen) >= 7


async def test_a_loop_over_nothing_ends(tmp_path: Path) -> None:
    (tmp_path / "a.gor").write_bytes(b"")
    with trio.fail_after(20):
        source = FileInput(FileInputSettings(patterns=[(str(tmp_path / "a.gor"), None)], is_looped=True), NO_OUTPUTS)
        source.open()
        await source.run(lambda data: None)


async def test_a_dry_run_tells_and_replays_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.gor").write_bytes(stream(record(0, 0), record(1, 10), record(2, 9), record(3, 30)))
    said: list[str] = []
    settings = FileInputSettings(
        patterns=[(str(tmp_path / "a.gor"), None)], is_dry_run=True, read_depth=1, speed=2.0
    )
    source = FileInput(settings, NO_OUTPUTS, said.append)
    source.open()
    await source.run(lambda data: pytest.fail("a dry run replays nothing"))
    assert "requests: 4\n" in said[0]
    assert "replaying takes: 15 s\n" in said[0]
    assert "longest wait: 10 s\n" in said[0]
    assert "records older than the one before: 1\n" in said[0]


def test_a_pattern_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--input-file .*none\*: no file has this name or matches it$"):
        FileInput(FileInputSettings(patterns=[(str(tmp_path / "none*"), None)]), NO_OUTPUTS).open()


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_by_hand_it_ends_with_its_files(tmp_path: Path) -> None:
    data = stream(*(record(n, n / 1000) for n in range(20)))
    (tmp_path / "a.gor").write_bytes(data)
    done = run("--input-file", str(tmp_path / "a.gor"), "--output-file", str(tmp_path / "b.gor"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b_0.gor").read_bytes() == data


def test_by_hand_no_file_is_one_line_and_status_1(tmp_path: Path) -> None:
    done = run("--input-file", str(tmp_path / "none.gor"), "--output-null")
    assert done.returncode == 1
    assert done.stderr == f"Error: --input-file {tmp_path}/none.gor: no file has this name or matches it\n"


def test_by_hand_several_files_are_one_input(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.gor").write_bytes(stream(record(number, number / 100), record(9 - number, 0.1)))
    words = [word for number in (2, 0, 1) for word in ("--input-file", str(tmp_path / f"{number}.gor"))]
    done = run(*words, "--output-file", str(tmp_path / "out.gor"))
    assert done.returncode == 0, done.stderr
    got = re.findall(rb" id(\d) ", (tmp_path / "out_0.gor").read_bytes())
    assert got[:3] == [b"0", b"1", b"2"] and sorted(got[3:]) == [b"7", b"8", b"9"]
    assert done.stderr.count(" received=6 ") == 2  # the input, and the output


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("--input-file", "a|0%"), "argument 4: --input-file must be a name or pattern of files"),
        (("--input-file", "|10"), "argument 4: --input-file must be a name or pattern of files"),
        (("--input-file", "a", "--output-tcp", "next"), "argument 6: --output-tcp must be an aggregator's HOST:PORT"),
        (("--input-file", "a", "--output-file", ""), "argument 6: --output-file must be an address, not empty"),
        (("--input-file", "a", "--output-file", "s3://b/k"), "argument 5: the built-in replayer does not have"),
        (("--input-file", "s3://b/k"), "argument 3: the built-in replayer does not have"),
    ],
)  # fmt: skip
def test_by_hand_a_bad_value_is_refused_with_its_place(words: tuple[str, ...], refusal: str) -> None:
    done = run("--output-null", *words)
    assert done.returncode == 2
    place, _, text = refusal.partition(": ")
    number = int(place.split()[1]) - 1
    assert re.match(rf"Error: argument ({number}|{number - 1}): {re.escape(text)}", done.stderr), done.stderr
    assert done.stderr.count("\n") == 1


async def test_tcp_takes_what_senders_have_sent_when_it_is_stopped() -> None:
    source = TcpInput(parse_listen_address("127.0.0.1:0"))
    source.open()
    got: list[bytes] = []
    data = stream(*(record(n, 0) for n in range(1000)))
    connections = [await trio.open_tcp_stream("127.0.0.1", source.port) for _ in range(10)]
    for connection in connections:  # all of it is in the kernel: accepted by nobody yet, or read by nobody
        await connection.send_all(data)
    source.stop()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(source.run, got.append)
            for connection in connections:
                async with connection:
                    assert await connection.receive_some() == b"", "each sender is told the end"
    assert len(got) == 10_000 and counts(source) == {"received": 10_000}


async def test_tcp_stops_within_a_second_beside_a_sender_that_does_not() -> None:
    source = TcpInput(parse_listen_address("127.0.0.1:0"))
    source.open()
    data = stream(*(record(n, 0) for n in range(100)))
    came = trio.Event()

    async def send() -> None:
        async with await trio.open_tcp_stream("127.0.0.1", source.port) as connection:
            with suppress(trio.BrokenResourceError):
                while True:
                    await connection.send_all(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        nursery.start_soon(source.run, lambda data: came.set())
        await came.wait()
        source.stop()
        start = trio.current_time()
    assert trio.current_time() - start < 20
    assert set(counts(source)) <= {"received", "incomplete"}


async def test_tcp_holds_so_much_of_records_half_read_and_no_more() -> None:
    source = TcpInput(parse_listen_address("127.0.0.1:0"), max_held_bytes=100_000)
    source.open()
    got: list[bytes] = []
    half, large = (with_body(record(0, 0), 60_000), with_body(record(2, 0), 1_000_000))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.run, got.append)
        async with (
            await trio.open_tcp_stream("127.0.0.1", source.port) as one,
            await trio.open_tcp_stream("127.0.0.1", source.port) as other,
        ):
            await one.send_all(half)
            while source.held_bytes < len(half):
                await trio.sleep(0.001)
            for connection in (other, one):
                await connection.send_all((large if connection is other else b"") + SEPARATOR + stream(record(1, 0)))
                await connection.send_eof()
                assert await connection.receive_some() == b""
        source.stop()
    assert sorted(got) == sorted([half, record(1, 0), record(1, 0)])
    assert counts(source) == {"received": 3, "dropped_buffer": 1}
    assert source.held_bytes == 0


async def test_tcp_takes_records_in_any_split_and_counts_the_rest() -> None:
    source = TcpInput(parse_listen_address("127.0.0.1:0"), max_record_bytes=1000)
    source.open()
    got: list[bytes] = []
    data = stream(record(0, 0), b"garbage", record(1, 0, b"3"), record(2, 0) + bytes(2000), record(3, 0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.run, got.append)
        for size in (1, 7, 100_000):
            connection = await trio.open_tcp_stream("127.0.0.1", source.port)
            whole = data + record(4, 0)
            async with connection:
                for start in range(0, len(whole), size):
                    await connection.send_all(whole[start : start + size])
                await connection.send_eof()
                assert await connection.receive_some() == b""
        source.stop()
    assert got == [record(0, 0), record(3, 0)] * 3
    each = {"received": 2, "malformed": 1, "skipped_response": 1, "too_large": 1, "incomplete": 1}
    assert counts(source) == {name: 3 * count for name, count in each.items()}
