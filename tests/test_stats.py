"""What the balance at the end says of the built-in replayer's account."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from launcher.builtin_launch import BuiltinLaunch, ReplayAccount
from launcher.counters import FeedCounters, RelayCounters, TapCounters
from launcher.feed import Feed, frames
from launcher.gor.flags import GorOption
from launcher.log import log
from launcher.mirror import Mirror, MirrorSettings
from launcher.mirror_queue import Budget, MirrorQueue
from launcher.poller import Poller
from launcher.replay_protocol import Account, OutputAccount, encode_line
from launcher.replayers import Replayer
from launcher.stats import Stats
from tests.l2met_reader import metrics


class Known(SimpleNamespace):
    __hash__ = object.__hash__  # type: ignore[assignment]


def output(name: str, received: int, **more: int) -> OutputAccount:
    return OutputAccount(
        destination=name, received=received, outcomes={"written": received}, held_bytes=0, retries=0, **more
    )


def problems(*outputs: OutputAccount, taken: int = 5, option: str = "output-null") -> list[str]:
    """Of a replayer that took so many copies and gave this account, once before its restart and once after it."""
    account = ReplayAccount(lambda failed: None)
    for _ in range(2):
        account.receive(encode_line(Account(outputs)).decode())
        account.process_ended()
    launch = BuiltinLaunch((GorOption(option, "true", "true", "test"),), {}, 1, 0, account)
    counters = FeedCounters(given=2 * taken, taken=2 * taken)
    feed = SimpleNamespace(queue=SimpleNamespace(counters=counters))
    replayer = Known(launch=launch, name="builtin", feed=feed)
    tap = TapCounters(seen=2 * taken, offered=2 * taken)
    mirror = SimpleNamespace(counters=tap, settings=SimpleNamespace(split_output=False))
    return list(Stats(cast(Mirror, mirror), [cast(Replayer, replayer)], RelayCounters()).imbalances())


def test_answers_are_no_copies_that_were_not_taken() -> None:
    assert problems(output("file", 9, responses=4), output("http://h", 5, tracked=4)) == []
    assert problems(output("file", 9), output("http://h", 5)) == ["file received 18 copies, of 10 handed on"]
    assert problems(output("file", 9, responses=3), output("http://h", 5, tracked=3)) == [
        "file received 12 copies, of 10 handed on"
    ]


def test_where_the_output_is_split_answers_are_none_either() -> None:
    shares = output("file", 3 + 2, responses=2), output("http://h", 2, tracked=2)
    assert problems(*shares, option="split-output") == []
    assert problems(output("file", 6, responses=2), shares[1], option="split-output") == [
        "all received 12 copies, of 10 handed on"
    ]


@pytest.mark.parametrize(("responses", "tracked"), [(3, 4), (4, 3), (4, 0)])
def test_each_output_that_takes_answers_gets_all_that_are_tracked(responses: int, tracked: int) -> None:
    outputs = output("file", 5 + responses, responses=responses), output("http://h", 5, tracked=tracked)
    assert problems(*outputs) == [f"file received {2 * responses} answers, of {2 * tracked} tracked"]
    assert problems(*outputs, option="middleware") == []


def lines_of(stats: Stats, capfd: pytest.CaptureFixture[str]) -> list[str]:
    stats.tell_end()
    log.close()
    return capfd.readouterr().err.splitlines()


def stats_of_a_mirror(source: str | None = None) -> tuple[Stats, Mirror]:
    budget = Budget(1 << 20)
    queue = MirrorQueue(budget, 1 << 19, FeedCounters())
    mirror = Mirror([queue], budget, MirrorSettings())
    launch = BuiltinLaunch((), {}, 1, 0, ReplayAccount(lambda failed: None))
    replayer = Replayer("builtin", launch, Feed(Poller(), queue, frames), memory_bytes=1, may_restart=lambda: True)
    return Stats(mirror, [replayer], RelayCounters(connections=3), source), mirror


def test_lines_have_no_counters_that_are_zero_but_the_first_ones(capfd: pytest.CaptureFixture[str]) -> None:
    stats, mirror = stats_of_a_mirror()
    mirror.counters.seen = mirror.counters.skipped_loop = 2
    end, connections, feed, *_, balance = lines_of(stats, capfd)
    start = "traffic-duplicator at="
    assert end == f"{start}end level=info final=true seen=2 offered=0 skipped_loop=2"
    assert connections == f"{start}connections level=info final=true connections=3"
    assert feed == f"{start}feed level=info replayer=builtin given=0 taken=0 final=true"
    assert balance == f"{start}balance level=info balanced=true"


def test_a_line_for_log_metrics_says_what_was_added_and_which_dyno_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    stats, mirror = stats_of_a_mirror("web.1")
    told = []
    for _ in range(2):
        mirror.counters.seen += 5
        mirror.counters.skipped_loop += 5
        found = [metric for line in lines_of(stats, capfd) for metric in metrics(line)]
        assert {metric.source for metric in found} == {"web.1"}
        told.append({metric.name.removeprefix("traffic-duplicator."): metric.value for metric in found})
    first = {"requests.seen": 5, "requests.offered": 0, "requests.skipped_loop": 5, "connections.accepted": 3}
    gauges = {"buffer": 0, "replayer.builtin.waiting": 0}
    assert told == [{**first, **gauges}, {**first, "connections.accepted": 0, **gauges}]


def test_a_quiet_log_has_the_balance_if_it_does_not_hold(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stats, mirror = stats_of_a_mirror()
    monkeypatch.setattr(log, "is_quiet", True)
    assert lines_of(stats, capfd) == []
    mirror.counters.seen = 1
    assert lines_of(stats, capfd) == [
        "traffic-duplicator at=balance level=error balanced=false problem=\"1 requests seen ended in no counter\""
    ]
