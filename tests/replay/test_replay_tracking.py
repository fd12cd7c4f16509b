"""--output-http-track-response: answers as records, whole or not at all, and each counted."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest
import trio

from launcher.records import frame
from launcher.replay.emitter import Emitter
from launcher.replay.outcomes import Tally
from launcher.replay.outputs.null import NullOutput
from launcher.replay.record_format import SEPARATOR, identity
from launcher.replay.record_queue import RecordQueue
from launcher.replay.responses import ResponseReader
from launcher.replay.tracking import KeptAnswer
from launcher.replay_protocol import Closing, OutputAccount
from tests.replay.harness import OK, ReplayerProcess, Visit, destination, get, healthy, received, replayer
from tests.replay.test_replay_responses import INTERIM, WHOLE, splits

TRACK = ("output-http-track-response", "true")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-b: 1\r\n\r\n3;e=1\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"


def answer_of(size: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)


async def written(replaying: ReplayerProcess) -> list[bytes]:
    """The records on standard output, once it has ended."""
    assert replaying.process.stdout is not None
    data = b"".join([bytes(data) async for data in replaying.process.stdout])
    return data.split(SEPARATOR)[:-1]


def http(replaying: ReplayerProcess) -> OutputAccount:
    return replaying.final[-1]


# ---- the parts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "method"), [(answer, method) for answer, method, _, _ in WHOLE])
def test_an_answer_is_kept_as_it_is_on_the_wire_in_every_split(answer: bytes, method: bytes) -> None:
    for pieces in splits(answer + b"TAIL"):
        kept = KeptAnswer(RecordQueue(10_000), 10_000)
        reader = ResponseReader(method, keeper=kept)
        for piece in pieces:
            if reader.receive(piece) is not None:
                break
        record = kept.record(b"1 abc 0 -1\n", 0.5)
        assert record is not None
        assert record.partition(b"\n")[2] == answer.removeprefix(INTERIM)


@pytest.mark.parametrize(("answer", "is_whole"), [(answer_of(10), True), (answer_of(11), False)])
def test_an_answer_that_is_not_read_to_its_end_is_not_whole(answer: bytes, is_whole: bool) -> None:
    response = ResponseReader(b"GET", max_body_bytes=10).receive(answer)
    assert response is not None
    assert response.is_whole == is_whole


def test_what_is_kept_is_charged_until_it_is_let_go() -> None:
    queue = RecordQueue(10)
    one, two = KeptAnswer(queue, 6), KeptAnswer(queue, 6)
    one.add(b"123456")
    two.add(b"1234")
    assert queue.held_bytes == 10
    two.add(b"5")
    assert (queue.held_bytes, two.record(b"1 a 0 -1\n", 0)) == (6, None)
    one.release()
    two.restart()
    two.add(b"123")
    assert (queue.held_bytes, two.record(b"1 a 0 -1\n", 0) is None) == (3, False)
    two.add(b"4567")
    assert (queue.held_bytes, two.record(b"1 a 0 -1\n", 0)) == (0, None)


class Destination(NullOutput):
    def __init__(self) -> None:
        super().__init__()
        self.tally = Tally("http://h", takes_responses=False)


def test_an_answer_goes_to_all_that_take_answers_where_the_output_is_split() -> None:
    outputs = [NullOutput(), NullOutput(), Destination()]
    emitter = Emitter(outputs, None, splits=True)
    for number in range(3):
        emitter.emit(b"1 %d 0 -1\nGET / HTTP/1.1\r\n\r\n" % number)
    emitter.emit(b"3 2 0 5\n" + OK)
    assert [(output.tally.received, output.tally.responses) for output in outputs] == [(2, 1), (2, 1), (1, 0)]


# ---- the whole way -------------------------------------------------------------------------------------------------


async def test_an_answer_gets_its_requests_identity_its_time_and_its_bytes() -> None:
    async def chunked(visit: Visit) -> None:
        await visit.request()
        await trio.sleep(0.05)
        await visit.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" + CHUNKED)

    before = time.time_ns()
    async with destination(chunked) as served:
        options = [("output-http", served.url), ("output-stdout", "true"), TRACK]
        async with replayer(options, stdout=subprocess.PIPE) as replaying:
            record = get("/a")
            await replaying.replay(record)
            assert await replaying.end() == 0
            request, answer = await written(replaying)
    assert request == record
    header, _, raw = answer.partition(b"\n")
    kind, name, started, latency = header.split(b" ")
    assert (kind, name, raw) == (b"3", identity(record), CHUNKED)
    assert before <= int(started) <= time.time_ns() - int(latency)
    assert 50_000_000 <= int(latency) < 60_000_000_000
    stdout = replaying.final[0]
    assert (stdout.received, stdout.responses, stdout.outcomes) == (2, 1, {"written": 2})
    assert (http(replaying).received, http(replaying).tracked, http(replaying).untracked) == (1, 1, 0)


async def test_an_answer_that_comes_after_the_input_has_ended_is_still_written() -> None:
    input_has_ended = trio.Event()

    async def late(visit: Visit) -> None:
        await visit.request()
        await input_has_ended.wait()
        await trio.sleep(0.2)  # until the replayer has very likely seen it
        await visit.send(OK)

    async with destination(late) as served:
        options = [("output-http", served.url), ("output-stdout", "true"), ("output-null", "true"), TRACK]
        async with replayer(options, stdout=subprocess.PIPE) as replaying:
            await replaying.replay(*(get(f"/{number}") for number in range(20)))
            await replaying.until(received(20))
            await replaying.write(frame(b""), frame(Closing(20).encode()))
            await replaying.close_input()
            input_has_ended.set()
            assert await replaying.end(drain_seconds=None) == 0
            records = await written(replaying)
    assert sorted(record[:1] for record in records) == [b"1"] * 20 + [b"3"] * 20
    assert {identity(record) for record in records if record.startswith(b"3")} == {
        identity(record) for record in records if record.startswith(b"1")
    }
    assert [(each.received, each.responses) for each in replaying.final] == [(40, 20), (40, 20), (20, 0)]


async def test_every_destinations_answer_is_told_and_failures_have_none() -> None:
    async def cut(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK[:-1])

    async with destination() as one, destination() as two, destination(cut) as three:
        options = [("output-http", each.url) for each in (one, two, three)]
        async with replayer([*options, ("output-stdout", "true"), TRACK], stdout=subprocess.PIPE) as replaying:
            await replaying.replay(get())
            assert await replaying.end() == 0
            assert sorted(record[:1] for record in await written(replaying)) == [b"1", b"3", b"3"]
    assert [(each.tracked, each.untracked) for each in replaying.final[1:]] == [(1, 0), (1, 0), (0, 0)]


async def test_only_the_last_answer_of_redirects_is_told() -> None:
    async def redirecting(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")
        await healthy(visit)

    async with destination(redirecting) as served:
        options = [("output-http", served.url), ("output-http-redirects", "1"), ("output-stdout", "true"), TRACK]
        async with replayer(options, stdout=subprocess.PIPE) as replaying:
            await replaying.replay(get("/a"))
            assert await replaying.end() == 0
            _, answer = await written(replaying)
    assert answer.endswith(b"\n" + OK)


@pytest.mark.parametrize(
    ("size", "option", "tracked"),
    [
        (900_000, None, 1),
        (1 << 20, None, 0),  # with its head it is over 1 MiB
        (3_000_000, None, 0),
        (3_000_000, ("output-http-response-buffer", "3mb"), 1),
        (3_000, ("output-http-response-buffer", "3000"), 0),
    ],
)
async def test_an_answer_over_the_bound_is_counted_and_said_and_never_cut(
    size: int, option: tuple[str, str] | None, tracked: int
) -> None:
    async def large(visit: Visit) -> None:
        await visit.request()
        await visit.send(answer_of(size))

    async with destination(large) as served:
        options = [("output-http", served.url), ("output-stdout", "true"), TRACK, *([option] if option else [])]
        async with replayer(options, stdout=subprocess.PIPE) as replaying, trio.open_nursery() as nursery:
            records: list[bytes] = []

            async def collect() -> None:
                records.extend(await written(replaying))

            nursery.start_soon(collect)
            await replaying.replay(get())
            assert await replaying.end() == 0
    assert http(replaying).outcomes == {"2xx": 1}
    assert (http(replaying).tracked, http(replaying).untracked) == (tracked, 1 - tracked)
    assert [record.partition(b"\n")[2] for record in records[1:]] == [answer_of(size)] * tracked
    assert [said.kind for said in replaying.failures] == ["untracked"] * (1 - tracked)


async def test_a_destination_that_hangs_leaves_time_to_write_what_others_answered(tmp_path: Path) -> None:
    async def hang(visit: Visit) -> None:
        await visit.request()
        await trio.sleep_forever()

    async with destination(hang) as bad, destination() as good:
        options = [("output-http", bad.url), ("output-http", good.url), ("output-file", f"{tmp_path}/a.gor"), TRACK]
        async with replayer([*options, ("output-file-flush-interval", "1h")]) as replaying:
            await replaying.replay(get())
            await replaying.until_all(lambda running: b'"2xx":1' in b"".join(running.lines))
            assert await replaying.end(drain_seconds=2) == 0
    file, hung, answered = replaying.final
    assert (file.received, file.responses, file.outcomes) == (2, 1, {"written": 2})
    assert (hung.outcomes, answered.outcomes) == ({"unsent": 1}, {"2xx": 1})
    assert len(re.findall(rb"(?m)^[13] ", (tmp_path / "a_0.gor").read_bytes())) == 2


async def test_without_an_output_for_them_answers_are_not_kept_and_that_is_said() -> None:
    async with destination() as served, replayer([("output-http", served.url), TRACK]) as replaying:
        await replaying.replay(get())
        assert await replaying.end() == 0
        assert (http(replaying).outcomes, http(replaying).tracked) == ({"2xx": 1}, 0)
        said = await replaying.stderr()
    assert said == "--output-http-track-response changes nothing: there is no output that takes answers\n"
