"""The mirror's bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.counters import FeedCounters
from launcher.mirror_queue import RECORD_OVERHEAD_BYTES, Budget, MirrorQueue, QueueStatistics


def new_queue(share: int, budget: Budget | None = None) -> MirrorQueue:
    return MirrorQueue(budget or Budget(share), share, FeedCounters())


def charge(record: bytes) -> int:
    return len(record) + RECORD_OVERHEAD_BYTES


def test_records_come_out_in_order():
    queue = new_queue(10_000)
    for record in (b"a", b"b"):
        assert queue.offer(record)
    assert [queue.pop(), queue.pop(), queue.pop()] == [b"a", b"b", None]


def test_offer_drops_when_full_and_counts_it():
    queue = new_queue(charge(b"abc"))
    assert queue.offer(b"abc")
    assert not queue.offer(b"x")
    assert (queue.counters.given, queue.counters.dropped_full) == (2, 1)


def test_a_record_is_charged_until_it_is_released():
    budget = Budget(charge(b"abc"))
    queue = new_queue(charge(b"abc"), budget)
    queue.offer(b"abc")
    record = queue.pop()
    assert not queue.offer(b"x")
    assert record is not None
    queue.release(record)
    assert budget.used_bytes == 0
    assert queue.offer(b"x")


def test_a_queue_drops_what_the_whole_budget_does_not_hold():
    budget = Budget(1000)
    queue = new_queue(1000, budget)
    assert budget.take(900)
    assert not queue.offer(b"abc")
    assert queue.counters.dropped_full == 1


def test_shut_drops_what_waits_and_what_comes():
    budget = Budget(10_000)
    queue = new_queue(10_000, budget)
    queue.offer(b"a")
    queue.shut()
    assert not queue.offer(b"b")
    assert queue.counters.dropped_shutdown == 2
    assert queue.counters.imbalance() == 0
    assert budget.used_bytes == 0


def test_giving_back_more_than_was_taken_is_a_defect():
    with pytest.raises(AssertionError):
        Budget(10).give_back(1)


@given(st.lists(st.one_of(st.binary(max_size=300), st.none()), max_size=60), st.integers(1, 2000))
def test_the_charge_never_exceeds_the_share_and_all_is_accounted_for(steps, share):
    budget = Budget(share)
    queue = new_queue(share, budget)
    taken = 0
    for step in steps:  # a record is offered, None takes one out
        if step is not None:
            queue.offer(step)
        elif (record := queue.pop()) is not None:
            queue.release(record)
            taken += 1
        assert budget.used_bytes == queue.statistics().charged_bytes <= share
    queue.shut()
    queue.counters.taken = taken
    assert queue.counters.imbalance() == 0


def test_a_record_must_fit_beside_those_that_wait():
    queue = new_queue(charge(b"abc") + charge(b"ab"), Budget(10_000))
    assert [queue.offer(record) for record in (b"abc", b"abc", b"ab", b"")] == [True, False, True, False]


def test_its_statistics_are_what_waits_and_what_may():
    queue = new_queue(1000)
    assert not queue
    queue.offer(b"abc")
    assert queue
    assert queue.statistics() == QueueStatistics(records=1, charged_bytes=charge(b"abc"), share_bytes=1000)
    assert repr(queue) == f"<MirrorQueue 1 records, {charge(b'abc')}/1000 bytes>"


def test_each_record_that_is_taken_is_told_to_the_feed_and_no_other():
    queue = new_queue(charge(b"abc"))
    told: list[int] = []
    queue.on_offer = lambda: told.append(1)
    queue.offer(b"abc")
    queue.offer(b"abc")
    queue.shut()
    queue.offer(b"abc")
    assert len(told) == 1


def test_a_budget_can_be_used_up_to_its_last_byte():
    budget = Budget(10)
    assert [budget.take(9), budget.take(2), budget.take(1), budget.take(1)] == [True, False, True, False]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_records_that_are_released_together_end_the_charge_of_each(count):
    budget = Budget(10_000)
    queue = new_queue(10_000, budget)
    for _ in range(count):
        queue.offer(b"abc")
    queue.release(*(record for _ in range(count) if (record := queue.pop()) is not None))
    assert budget.used_bytes == queue.statistics().charged_bytes == 0
