"""A destination that only fails is left alone: with a clock of the test's own, then with real ones that come back."""

from __future__ import annotations

import sys

import pytest
import trio

from launcher.account_lines import pause_facts, resume_facts
from launcher.replay.destination_brake import DestinationBrake, Times
from launcher.replay_protocol import Account, DestinationPaused, DestinationResumed, decode_line
from tests.replay.harness import Handler, ReplayerProcess, Visit, destination, get, outcomes_are, replayer
from tests.replay.test_replay_destinations import garbage, hang, reset_after_request


def failing_for(seconds: int, *, every: int = 1) -> tuple[DestinationBrake, float]:
    """A brake without jitter, at a destination that has failed so long, and the time of the last failure."""
    brake = DestinationBrake(jitter=lambda: 0.5)
    now = 1000.0
    for now in range(1000, 1001 + seconds, every):
        brake.failed(get(), now)
    return brake, now


def test_thirty_seconds_of_nothing_but_failures_pull_it() -> None:
    brake, now = failing_for(29)
    assert not brake.is_pulled
    assert brake.failed(get(), now + 1) == 30
    assert brake.is_pulled
    assert brake.failed(get(), now + 2) is None  # it is told once


def test_one_answer_in_between_starts_the_thirty_seconds_anew() -> None:
    brake, now = failing_for(29)
    assert brake.answered(now) is None
    assert all(brake.failed(get(), now + seconds) is None for seconds in range(1, 31))
    assert brake.failed(get(), now + 31) == 30


def test_a_few_failures_that_are_far_apart_do_not_pull_it() -> None:
    brake, now = failing_for(240, every=30)
    assert not brake.is_pulled
    assert brake.failed(get(), now + 30) == 270


def test_probes_are_one_at_a_time_and_further_and_further_apart() -> None:
    brake, now = failing_for(30)
    for seconds in (5, 10, 20, 30, 30):
        probe = get()
        assert not brake.admits(get(), now + seconds - 0.01)
        assert brake.admits(probe, now + seconds)
        assert not brake.admits(get(), now + 100 * seconds)
        brake.failed(get(), now + seconds)  # a straggler is no probe
        assert not brake.admits(get(), now + 100 * seconds)
        now += seconds + 5
        brake.failed(probe, now)


def test_an_answer_releases_it_and_says_how_long_it_was_pulled() -> None:
    brake, now = failing_for(30)
    assert brake.answered(now + 7) == 7
    assert not brake.is_pulled
    assert brake.failed(get(), now + 8) is None


def test_a_probe_that_was_not_sent_leaves_its_place_to_the_next_one() -> None:
    brake, now = failing_for(30)
    probe = get()
    assert brake.admits(probe, now + 5)
    brake.untried(get())
    assert not brake.admits(get(), now + 6)
    brake.untried(probe)
    assert brake.admits(get(), now + 6)


@pytest.mark.parametrize("jitter", [0.0, 0.999])
def test_a_probe_never_meets_the_back_off_of_connects(jitter: float) -> None:
    brake = DestinationBrake(Times(failing=0, least_failures=1), jitter=lambda: jitter)
    brake.failed(get(), 1000.0)
    assert not brake.admits(get(), 1003.0)  # Backoff's longest delay with its jitter
    assert brake.admits(get(), 1006.25)


def test_the_lines_say_what_happened() -> None:
    assert pause_facts(DestinationPaused("http://h", 30.4, 12, "refused", "connection refused")) == {
        "destination": "http://h", "failing_seconds": 30, "failed": 12, "outcome": "refused",
        "error": "connection refused",
    }  # fmt: skip
    assert resume_facts(DestinationResumed("http://h", 7.26, 40)) == {
        "destination": "http://h", "paused_seconds": 7.3, "paused": 40,
    }  # fmt: skip


# ---- real destinations, and times that are shorter ---------------------------------------------------------------


def quick(times: Times) -> list[str]:
    """The replayer's program, with other times."""
    source = (
        "import sys; from launcher.replay import destination_brake as brake, main; "
        f"brake.TIMES = brake.{times}; sys.exit(main(sys.argv[1:]))"
    )
    return [sys.executable, "-c", source]


AT_ONCE = quick(Times(failing=0, least_failures=1, first_probe=1000))


async def tls_to_a_plain_port(visit: Visit) -> None:
    await visit.stream.receive_some()
    await visit.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("handler", "outcome"),
    [(reset_after_request, "reset"), (hang, "timeout"), (garbage, "protocol"), (tls_to_a_plain_port, "tls")],
)
async def test_each_kind_of_failure_counts(handler: Handler, outcome: str) -> None:
    async with destination(handler) as bad:
        url = bad.url if outcome != "tls" else bad.url.replace("http:", "https:")
        options = [("output-http", url), ("output-http-timeout", "300ms" if outcome == "timeout" else "30s")]
        async with replayer(options, program=AT_ONCE) as replaying:
            await failed_and_paused(replaying, outcome)


@pytest.mark.parametrize(("host", "outcome"), [("127.0.0.1:1", "refused"), ("no-such-host.invalid", "dns")])
async def test_no_way_to_it_counts_too(host: str, outcome: str) -> None:
    async with replayer([("output-http", f"http://{host}")], program=AT_ONCE) as replaying:
        await failed_and_paused(replaying, outcome)


async def failed_and_paused(replaying: ReplayerProcess, outcome: str) -> None:
    await replaying.replay(get())
    await replaying.until(outcomes_are(**{outcome: 1}))
    await replaying.until(lambda told: isinstance(told, DestinationPaused) and told.outcome == outcome)
    await replaying.until(lambda told: isinstance(told, Account) and told.outputs[0].is_paused)
    await replaying.replay(*[get()] * 50)
    await replaying.until(outcomes_are(**{outcome: 1, "paused": 50}))
    assert await replaying.end() == 0


async def test_answers_of_500_never_pause() -> None:
    async def failing(visit: Visit) -> None:
        while await visit.request() is not None:
            await visit.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")

    async with destination(failing) as bad, replayer([("output-http", bad.url)], program=AT_ONCE) as replaying:
        await replaying.replay(get())
        await replaying.until(outcomes_are(_5xx=1))
        await replaying.replay(*[get()] * 50)
        await replaying.until(outcomes_are(_5xx=51))
        assert await replaying.end() == 0


async def test_what_waits_for_a_destination_that_hangs_is_not_sent_any_more() -> None:
    options = [("output-http-workers", "1"), ("output-http-timeout", "300ms")]
    async with destination(hang) as bad:
        async with replayer([("output-http", bad.url), *options], program=AT_ONCE) as replaying:
            await replaying.replay(*[get()] * 50)
            await replaying.until(outcomes_are(timeout=1, paused=49))
            assert await replaying.end() == 0
        assert len(bad.requests) == 1


async def test_one_that_dies_is_paused_and_gets_all_copies_again_when_it_is_back() -> None:
    times = Times(failing=0.3, least_failures=5, first_probe=0.1, longest_probe=0.4)
    sent = 0
    is_enough = False
    has_stopped = trio.Event()

    async def keep_sending() -> None:
        nonlocal sent
        while not is_enough:
            await replaying.replay(get(f"/{sent}"))
            sent += 1
            await trio.sleep(0.005)
        has_stopped.set()

    async with destination() as beside, trio.open_nursery() as nursery:
        async with destination() as first:
            port = first.port  # it has been free, and will be again
        options = [("output-http", f"http://127.0.0.1:{port}"), ("output-http", beside.url)]
        async with replayer(options, program=quick(times)) as replaying:
            async with destination(port=port) as first:
                nursery.start_soon(keep_sending)
                await replaying.until(lambda told: isinstance(told, Account) and told.outputs[0].outcomes != {})
            await replaying.until(lambda told: isinstance(told, DestinationPaused))
            async with destination(port=port) as second:
                await replaying.until(lambda told: isinstance(told, DestinationResumed))
                several = len(second.requests) + 50
                while len(second.requests) < several:
                    await trio.sleep(0.01)
                is_enough = True
                await has_stopped.wait()
                assert await replaying.end() == 0
    one, other = replaying.final
    assert one.received == other.received == other.outcomes["2xx"] == len(beside.requests) == sent
    assert one.received == sum(one.outcomes.values())
    news = [told for told in map(decode_line, replaying.lines) if isinstance(told, DestinationResumed)]
    assert one.outcomes["paused"] == sum(told.copies for told in news) > 0
    assert one.outcomes["2xx"] <= len(first.requests) + len(second.requests)
    assert not one.is_paused
