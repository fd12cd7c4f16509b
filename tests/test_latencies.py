"""Latencies: bounded, within 2.5 % at every percentile, and sums are as good as one that saw everything."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.latencies import RELATIVE_ERROR, Latencies, LatencyRecorder, bucket_of

SECONDS = st.lists(st.floats(2e-6, 3600), min_size=1, max_size=200)


def recorded(seconds: list[float]) -> Latencies:
    recorder = LatencyRecorder()
    for each in seconds:
        recorder.add(each)
    return recorder.latencies()


@given(SECONDS, st.sampled_from([50, 95, 99, 100]))
def test_a_percentile_is_within_the_stated_error(seconds: list[float], percent: float) -> None:
    exact = sorted(seconds)[math.ceil(len(seconds) * percent / 100) - 1]
    assert recorded(seconds).percentile(percent) == pytest.approx(exact, rel=RELATIVE_ERROR + 1e-3, abs=1e-6)


@given(SECONDS, SECONDS)
def test_a_sum_is_what_one_would_have_that_saw_both(one: list[float], other: list[float]) -> None:
    assert recorded(one) + recorded(other) == recorded(one + other)


@given(SECONDS, SECONDS)
def test_what_came_since_is_what_was_added(one: list[float], other: list[float]) -> None:
    earlier, later = recorded(one), recorded(one + other)
    since = later.since(earlier)
    assert (since.count, since.buckets) == (len(other), recorded(other).buckets)
    assert since.sum_seconds == pytest.approx(sum(other), abs=1e-6 * (len(one) + len(other)))


@given(SECONDS, st.floats(1e-3, 100))
def test_how_many_took_at_most_so_long_is_within_the_stated_error(seconds: list[float], bound: float) -> None:
    at_most = recorded(seconds).at_most(bound)
    error = 1 + RELATIVE_ERROR + 1e-3
    assert sum(each <= bound / error for each in seconds) <= at_most <= sum(each <= bound * error for each in seconds)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9, 3600.0, 1e9])
def test_every_time_has_a_bucket_and_there_are_few(seconds: float) -> None:
    assert 0 <= bucket_of(seconds) < 460


def test_of_none_everything_is_zero() -> None:
    assert Latencies().percentile(99) == 0
    assert Latencies() + Latencies() == Latencies()
