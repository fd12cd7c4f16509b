"""Inputs beside each other, and what is told of them."""

from __future__ import annotations

import trio
import trio.testing

from launcher.replay.failures import Failures
from launcher.replay.inputs import InputTally, Receive
from launcher.replay.inputs.group import InputGroup


class Given:
    """An Input of given records, which ends by itself, or only when it is asked to."""

    def __init__(self, *records: bytes, ends: bool = True, is_deaf: bool = False) -> None:
        self.tally = InputTally("--given")
        self._records = records
        self._is_deaf = is_deaf
        self._stopped = trio.Event()
        self.is_open = False
        if ends:
            self._stopped.set()

    def open(self) -> None:
        self.is_open = True

    async def run(self, receive: Receive) -> None:
        for record in self._records:
            receive(record)
            await trio.lowlevel.checkpoint()
        await self._stopped.wait()

    def stop(self) -> None:
        if not self._is_deaf:
            self._stopped.set()


async def test_inputs_run_beside_each_other_and_end_with_the_last_one() -> None:
    group = InputGroup([Given(b"a", b"b"), Given(b"c")])
    group.open()
    assert all(each.is_open for each in group.inputs if isinstance(each, Given))
    records: list[bytes] = []
    await group.read(records.append)
    assert sorted(records) == [b"a", b"b", b"c"]


async def test_an_input_that_does_not_end_by_itself_is_stopped() -> None:
    group = InputGroup([Given(b"a"), Given(ends=False)])
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(group.read, lambda record: None)
            await trio.testing.wait_all_tasks_blocked()
            group.stop()


async def test_an_input_may_be_stopped_before_it_runs() -> None:
    group = InputGroup([Given(ends=False)])
    group.stop()
    with trio.fail_after(5):
        await group.read(lambda record: None)


async def test_an_input_that_does_not_stop_when_asked_is_left(autojump_clock: object) -> None:
    group = InputGroup([Given(ends=False, is_deaf=True)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.read, lambda record: None)
        await trio.testing.wait_all_tasks_blocked()
        before = trio.current_time()
        group.stop()
    assert 1 < trio.current_time() - before < 5


def test_a_failure_is_told_once_and_then_summed_up() -> None:
    failures = Failures()
    failures.add("malformed", "bad-target")
    failures.add("malformed", "not-http")
    failures.add("malformed")
    assert failures.take_news() == [("malformed", "bad-target", 1)]
    assert failures.take_news() == []
    failures.sum_up()
    assert failures.take_news() == [("malformed", "not-http", 2)]
    failures.sum_up()
    assert failures.take_news() == []
