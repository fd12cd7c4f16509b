"""Limits by rate and by share, split outputs, and what they and filters leave in the account."""

from __future__ import annotations

import subprocess

import pytest
import trio

from launcher.destinations import Limit
from launcher.records import new_record
from launcher.replay.emitter import Emitter
from launcher.replay.limiters import RateLimiter, ShareLimiter, make_limiter
from launcher.replay.outcomes import Tally
from launcher.replay.outputs.limited import LimitedOutput
from tests.replay.harness import destination, get, replayer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_rate_lets_so_many_pass_in_each_second_from_the_first_on() -> None:
    clock = Clock()
    limiter = RateLimiter(3, clock)
    assert [limiter.admits() for _ in range(5)] == [True, True, True, False, False]
    clock.now += 1.0
    assert not limiter.admits(), "the second is not over"
    clock.now += 0.01
    assert [limiter.admits() for _ in range(5)] == [True, True, True, False, False]
    clock.now += 60
    assert [limiter.admits() for _ in range(5)] == [True, True, True, False, False], "nothing is saved up"


def test_a_share_is_drawn_for_each_record_by_itself() -> None:
    draws = iter([0.0, 0.0999, 0.1, 0.9999])
    limiter = ShareLimiter(10, lambda: next(draws))
    assert [limiter.admits() for _ in range(4)] == [True, True, False, False]


@pytest.mark.parametrize(("percent", "low", "high"), [(1, 30, 200), (50, 4600, 5400), (100, 10_000, 10_000)])
def test_a_share_is_kept_within_chance(percent: int, low: int, high: int) -> None:
    limiter = make_limiter(Limit(percent, is_percent=True))
    assert low <= sum(limiter.admits() for _ in range(10_000)) <= high


# ---- the emitter ---------------------------------------------------------------------------------------------------


class Sink:
    """An Output that keeps what it is offered."""

    held_bytes = 0

    def __init__(self, name: str, *, takes_responses: bool = True) -> None:
        self.tally = Tally(name, takes_responses=takes_responses)
        self.records: list[bytes] = []

    def offer(self, record: bytes) -> None:
        self.tally.received += 1
        self.tally.count("written")
        self.records.append(record)

    def close(self) -> None: ...

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None: ...

    def tick(self) -> None: ...


def record(number: int, kind: int = 1) -> bytes:
    return b"%d id%d 0 -1\nGET /%d HTTP/1.1\r\n\r\n" % (kind, number, number)


def drop_odd(record: bytes) -> bytes | None:
    return None if b"/1 " in record or b"/3 " in record else record


def outcomes(*sinks: Sink) -> list[tuple[int, dict[str, int]]]:
    return [(sink.tally.received, {name: n for name, n in sink.tally.outcomes.items() if n}) for sink in sinks]


def test_a_filtered_request_is_so_at_every_output() -> None:
    one, two = Sink("one"), Sink("two")
    emitter = Emitter([one, two], drop_odd, splits=False)
    for number in range(4):
        emitter.emit(record(number))
    assert one.records == two.records == [record(0), record(2)]
    assert outcomes(one, two) == [(4, {"written": 2, "filtered": 2})] * 2


def test_a_split_output_goes_round_in_strict_turn() -> None:
    one, two, three = Sink("one"), Sink("two"), Sink("three")
    emitter = Emitter([one, two, three], None, splits=True)
    for number in range(8):
        emitter.emit(record(number))
    assert [len(sink.records) for sink in (one, two, three)] == [3, 3, 2]
    assert two.records == [record(1), record(4), record(7)]


def test_a_filtered_request_takes_no_turn_and_a_limited_one_does() -> None:
    one, two = Sink("one"), Sink("two")
    emitter = Emitter([LimitedOutput(one, RateLimiter(1, Clock())), two], drop_odd, splits=True)
    for number in (0, 1, 2, 3, 4, 6):
        emitter.emit(record(number))
    assert (one.records, two.records) == ([record(0)], [record(2), record(6)])
    # /1 meets the second's turn, /3 the first's: the two keep theirs for /2 and /4.
    assert outcomes(one, two) == [(3, {"written": 1, "limited": 1, "filtered": 1}), (3, {"written": 2, "filtered": 1})]


def test_responses_go_unmodified_to_outputs_that_take_them() -> None:
    file, http = Sink("file"), Sink("http", takes_responses=False)
    emitter = Emitter([file, http], drop_odd, splits=False)
    for kind in (1, 2, 3):
        emitter.emit(record(0, kind))
        emitter.emit(record(1, kind))
    assert file.records == [record(0, 1), record(0, 2), record(0, 3)]
    assert outcomes(file, http) == [(6, {"written": 3, "filtered": 3}), (2, {"written": 1, "filtered": 1})]


def test_a_response_follows_its_request_where_the_output_is_split() -> None:
    one, two = Sink("one"), Sink("two")
    emitter = Emitter([one, two], None, splits=True)
    for each in (record(0), record(1), record(1, 3), record(0, 3), record(2)):
        emitter.emit(each)
    assert one.records == [record(0), record(0, 3), record(2)]
    assert two.records == [record(1), record(1, 3)]


# ---- the process ---------------------------------------------------------------------------------------------------


async def test_a_limit_is_its_outputs_own_and_counted_there() -> None:
    async with destination() as served:
        options = [("output-http", f"{served.url}|10"), ("output-null", "true")]
        async with replayer(options) as replaying:
            await replaying.replay(*(get(f"/{number}") for number in range(200)))
            assert await replaying.end() == 0
            null, http = replaying.final
            assert null.outcomes == {"written": 200}
            assert http.received == sum(http.outcomes.values()) == 200
            assert http.outcomes["2xx"] == len(served.requests) and http.outcomes["2xx"] % 10 == 0
            assert http.outcomes["limited"] > 0


async def test_filters_rewriters_and_a_split_output_work_together() -> None:
    async with destination() as one, destination() as two:
        options = [
            ("output-http", one.url), ("output-http", two.url), ("split-output", "true"),
            ("http-disallow-url", "^/no"), ("http-rewrite-url", "^/(.*):/new/$1"), ("output-stdout", "true"),
        ]  # fmt: skip
        async with replayer(options, stdout=subprocess.DEVNULL) as replaying:
            await replaying.replay(*(get(f"/{number}") for number in range(30)), get("/no"))
            assert await replaying.end() == 0
            stdout, *https = replaying.final
            assert stdout.outcomes == {"written": 10, "filtered": 1}
            assert [output.outcomes for output in https] == [{"2xx": 10}] * 2
            assert {request.split()[1] for request in one.requests} == {b"/new/%d" % n for n in range(1, 30, 3)}
            assert {request.split()[1] for request in two.requests} == {b"/new/%d" % n for n in range(2, 30, 3)}


async def test_every_method_is_judged() -> None:
    options = [("output-null", "true"), ("http-allow-method", "GET")]
    async with replayer(options) as running:
        purge = new_record(b"PURGE / HTTP/1.1\r\nHost: app\r\n\r\n", b"")
        await running.replay(get("/"), purge)
        assert await running.end() == 0
        assert running.final[0].outcomes == {"written": 1, "filtered": 1}
