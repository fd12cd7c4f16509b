"""`--output-file`: names, chunks, limits, gzip, what goes wrong; in the replayer as a process."""

from __future__ import annotations

import gzip
import os
import re
import resource
from datetime import datetime
from pathlib import Path

import pytest

from launcher.replay.file_names import expand, next_index, with_index
from launcher.replay.outputs.file import FileWriter
from launcher.replay.record_format import SEPARATOR, Record, RecordReader
from launcher.replay.stream_settings import FileOutputSettings
from launcher.replay_protocol import Account
from tests.replay.harness import destination, get, post, replayer

NOON = datetime(2026, 11, 7, 9, 5, 3)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("a.gor", "a.gor"),
        ("%Y-%m-%d_%H:%M:%S.%NS", "2026-11-07_09:05:03.42"),
        ("%r-%t-%i", "abc-1-here"),
        ("%Q%%Y", "%Q%2026"),
        ("d/%r", "d/abc"),
    ],
)
def test_patterns_in_names(template: str, expected: str) -> None:
    assert expand(template, NOON, 42, ("abc", "1"), "here") == expected


def test_an_identity_can_not_leave_the_folder() -> None:
    assert expand("d/%r.gor", NOON, 0, ("../../etc/passwd\0", "1"), "") == "d/______etc_passwd_.gor"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.gor", "a_5.gor"), ("b.gor.gz", "b.gor_5.gz"), ("d.x/a", "d.x/a_5"), ("r_2026.gor", "r_2026_5.gor"),
        (".gor", "_5.gor"),
    ],
)  # fmt: skip
def test_the_index_stands_before_the_extension(path: str, expected: str) -> None:
    assert with_index(path, 5) == expected


def test_the_next_index_is_one_more_than_the_highest() -> None:
    names = ["a_0.gor", "a_12.gor", "a_7.gor", "ab_99.gor", "a_x.gor", "a_100.gor.gz", "a.gor"]
    assert next_index("d/a.gor", names) == 13
    assert next_index("d/b.gor", names) == 0


def records_in(path: Path) -> list[bytes]:
    data = path.read_bytes()
    if path.name.endswith(".gz"):
        data = gzip.decompress(data)
    reader = RecordReader()
    events = reader.receive(data) + reader.receive_eof()
    return [event.data for event in events if isinstance(event, Record)]


def writer(template: Path, **more: object) -> FileWriter:
    settings = FileOutputSettings(shown="f", template=str(template), **more)  # type: ignore[arg-type]
    return FileWriter(settings)


def chunks(folder: Path) -> dict[str, int]:
    return {path.name: len(records_in(path)) for path in sorted(folder.iterdir())}


def test_chunks_by_records_go_on_with_the_next_index_at_every_start(tmp_path: Path) -> None:
    records = [get(f"/{number}") for number in range(5)]
    for _ in range(2):
        assert writer(tmp_path / "q.gor", queue_limit=2).write(records) == [("written", "")] * 5
    assert chunks(tmp_path) == {"q_0.gor": 2, "q_1.gor": 2, "q_2.gor": 1, "q_3.gor": 2, "q_4.gor": 2, "q_5.gor": 1}
    assert records_in(tmp_path / "q_1.gor") == records[2:4]


def test_chunks_by_records_are_the_same_however_they_are_handed_over(tmp_path: Path) -> None:
    one = writer(tmp_path / "q.gor", queue_limit=3)
    for _ in range(7):
        one.write([get()])
    assert chunks(tmp_path) == {"q_0.gor": 3, "q_1.gor": 3, "q_2.gor": 1}


def test_a_chunk_ends_with_the_record_that_reaches_the_size(tmp_path: Path) -> None:
    record = post("/", bytes(100))
    writer(tmp_path / "s.gor", size_limit=300).write([record] * 5)
    assert chunks(tmp_path) == {"s_0.gor": 2, "s_1.gor": 2, "s_2.gor": 1}


def test_append_goes_on_behind_what_is_there(tmp_path: Path) -> None:
    for name in ("a.gor", "b.gor.gz"):
        for _ in range(2):
            writer(tmp_path / name, append=True, queue_limit=1, size_limit=1).write([get(), get()])
    assert chunks(tmp_path) == {"a.gor": 4, "b.gor.gz": 4}


def test_a_file_for_each_request(tmp_path: Path) -> None:
    records = [b"1 id%d 1 -1\nGET / HTTP/1.1\r\n\r\n" % number for number in range(3)]
    writer(tmp_path / "%t-%r.gor").write(records)
    assert chunks(tmp_path) == {"1-id0_0.gor": 1, "1-id1_0.gor": 1, "1-id2_0.gor": 1}


def test_a_file_has_the_mode_of_gors(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        writer(tmp_path / "a.gor").write([get()])
    finally:
        os.umask(before)
    assert (tmp_path / "a_0.gor").stat().st_mode & 0o777 == 0o640


def test_the_size_of_all_files_is_bounded_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    record = post("/", bytes(100))
    results = writer(tmp_path / "m.gor", max_size=2 * len(record)).write([record] * 5)
    assert [outcome for outcome, _ in results] == ["written"] * 2 + ["size_limit"] * 3
    assert chunks(tmp_path) == {"m_0.gor": 2}


def test_a_folder_that_is_not_there_fails_until_it_is(tmp_path: Path) -> None:
    one = writer(tmp_path / "d" / "a.gor")
    assert one.write([get()]) == [("write_failed", f"no such file or directory: {tmp_path}/d/a.gor")]
    (tmp_path / "d").mkdir()
    assert one.write([get()]) == [("written", "")]


def test_a_full_disk_leaves_no_half_record(tmp_path: Path) -> None:
    one = writer(tmp_path / "a.gor")
    assert one.write([get()]) == [("written", "")]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        assert one.write([post("/", bytes(5000))] * 2) == [("write_failed", f"file too large: {tmp_path}/a.gor")] * 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert one.write([get()]) == [("written", "")]
    assert chunks(tmp_path) == {"a_0.gor": 2}
    assert (tmp_path / "a_0.gor").read_bytes().endswith(SEPARATOR)


@pytest.mark.parametrize("name", ["out.gor", "out.gor.gz"])
async def test_every_record_is_written_by_the_end(tmp_path: Path, name: str) -> None:
    options = [("output-file", str(tmp_path / name)), ("output-file-flush-interval", "1h")]
    records = [post(f"/{number}", os.urandom(900)) for number in range(1000)]
    async with replayer([*options, ("output-file-queue-limit", "0")]) as replaying:
        await replaying.replay(*records)
        assert await replaying.end() == 0
        assert replaying.final[0].outcomes == {"written": 1000}
        assert replaying.final[0].destination == f"file:{tmp_path}/{name}"
    (path,) = tmp_path.iterdir()
    assert records_in(path) == records


@pytest.mark.parametrize("name", ["out.gor", "out.gor.gz"])
async def test_what_was_written_is_in_the_file_before_it_is_counted(tmp_path: Path, name: str) -> None:
    options = [("output-file", str(tmp_path / name)), ("output-file-flush-interval", "50ms")]
    async with replayer(options) as replaying:
        for number in range(1, 4):
            await replaying.replay(get())
            await replaying.until(
                lambda line, number=number: isinstance(line, Account)  # type: ignore[misc]
                and line.outputs[0].outcomes == {"written": number}
            )
            (path,) = tmp_path.iterdir()
            assert len(records_in(path)) == number
        replaying.process.kill()
        await replaying.process.wait()
        assert len(records_in(path)) == 3, "a .gz is whole after each write"


async def test_an_unwritable_folder_costs_its_own_copies_only(tmp_path: Path) -> None:
    async with destination() as served:
        options = [("output-file", str(tmp_path / "no" / "a.gor")), ("output-http", served.url)]
        async with replayer([*options, ("output-file-flush-interval", "10ms")]) as replaying:
            await replaying.replay(get(), get())
            assert await replaying.end() == 0
            assert [output.outcomes for output in replaying.final] == [{"write_failed": 2}, {"2xx": 2}]
            assert "no such file or directory" in replaying.failures[0].error


async def test_a_record_with_gors_separator_in_it_is_not_written(tmp_path: Path) -> None:
    forged = post("/", b"x" + SEPARATOR + get("/forged"))
    async with replayer([("output-file", str(tmp_path / "a.gor")), ("output-stdout", "true")]) as replaying:
        await replaying.replay(forged, get())
        assert await replaying.end() == 0
        assert [output.outcomes for output in replaying.final] == [{"untellable": 1, "written": 1}] * 2
    assert chunks(tmp_path) == {"a_0.gor": 1}


async def test_names_are_relative_to_the_replayers_folder(tmp_path: Path) -> None:
    relative = os.path.relpath(tmp_path / "%Y.gor", Path(__file__).parents[2])
    async with replayer([("output-file", relative)]) as replaying:
        await replaying.replay(get())
        assert await replaying.end() == 0
    (path,) = tmp_path.iterdir()
    assert re.fullmatch(r"20\d\d_0\.gor", path.name)
