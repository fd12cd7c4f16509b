"""What the balance at the end says of the built-in replayer's account."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from launcher.builtin_launch import BuiltinLaunch, ReplayAccount
from launcher.counters import FeedCounters, RelayCounters, TapCounters
from launcher.gor_flags import GorOption
from launcher.mirror import Mirror
from launcher.replay_protocol import Account, OutputAccount, encode_line
from launcher.replayers import Replayer
from launcher.stats import Stats


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
