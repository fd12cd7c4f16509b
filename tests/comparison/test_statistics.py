"""Our figures beside numpy's and scipy's."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from launcher.comparison.sketches import RELATIVE_ERROR, Sample, Sketch
from launcher.comparison.slowness import slowness_of
from launcher.comparison.statistics import (
    bootstrap,
    more_often,
    quantile,
    quantile_ratios,
    quantiles_of_differences,
    share_interval,
)
from launcher.replay.comparison.balances import MOST_PERIODS, Balance
from tests.comparison.answers import only, run

times = st.lists(st.integers(1, 10**9), min_size=1, max_size=300)


@given(times, st.floats(0, 1))
def test_a_quantile_is_numpys(values, share):
    assert quantile(sorted(values), share) == pytest.approx(np.quantile(values, share), rel=1e-9, abs=1e-6)


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_interval_of_a_share_is_scipys_wilson_interval(count, more):
    expected = stats.binomtest(count, count + more).proportion_ci(method="wilson")
    assert share_interval(count, count + more) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.integers(0, 600), st.integers(0, 600))
def test_more_often_is_scipys_one_sided_binomial_test(first, second):
    if first + second:
        expected = stats.binomtest(first, first + second, alternative="greater").pvalue
        assert more_often(first, second) == pytest.approx(expected, rel=0.05, abs=1e-9)
    else:
        assert more_often(0, 0) == 1


@given(times, st.sampled_from([1, 50, 90, 95, 99, 100]))
def test_a_sketch_is_within_its_error_of_numpys_percentile(values, percent):
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    exact = np.percentile(values, percent, method="inverted_cdf")
    assert sketch.percentile(percent) == pytest.approx(exact, rel=RELATIVE_ERROR * 1.02, abs=1)
    assert Sketch.decode(sketch.encode()).buckets == sketch.buckets


@given(times, times)
def test_two_sketches_together_are_the_sketch_of_all(one, two):
    merged, other, whole = Sketch(), Sketch(), Sketch()
    for value in one:
        merged.add(value)
        whole.add(value)
    for value in two:
        other.add(value)
        whole.add(value)
    merged.merge(other)
    assert (merged.count, merged.most, merged.buckets) == (whole.count, whole.most, whole.buckets)


def test_a_sketch_has_at_most_1114_buckets_whatever_comes():
    sketch = Sketch()
    for power in range(200):
        sketch.add(int(1.3**power))
    assert max(sketch.buckets) < 1200
    assert len({int(bucket) for bucket in sketch.buckets}) <= 1200


def test_a_bootstrap_interval_is_about_scipys():
    draw = np.random.default_rng(7)
    baseline = draw.lognormal(9, 0.4, 600).astype(int)
    candidate = (baseline * draw.lognormal(0.1, 0.2, 600)).astype(int)
    ours = bootstrap(list(zip(baseline.tolist(), candidate.tolist(), strict=True)), quantile_ratios([0.5, 0.95]))
    for (low, high), share in zip(ours, (0.5, 0.95), strict=True):
        def ratio(b, c, axis=-1, share=share):
            return np.quantile(c, share, axis=axis) / np.quantile(b, share, axis=axis)

        theirs = stats.bootstrap(
            (baseline, candidate), ratio, paired=True, vectorized=True, method="percentile", n_resamples=2000, rng=1
        ).confidence_interval
        width = theirs.high - theirs.low
        assert low == pytest.approx(theirs.low, abs=width * 0.25)
        assert high == pytest.approx(theirs.high, abs=width * 0.25)


def test_the_interval_of_paired_differences_is_about_scipys():
    draw = np.random.default_rng(8)
    baseline = draw.lognormal(9, 0.4, 600).astype(int)
    candidate = baseline + draw.lognormal(6, 1, 600).astype(int)
    statistic = quantiles_of_differences([0.5, 0.95])
    ours = bootstrap(list(zip(baseline.tolist(), candidate.tolist(), strict=True)), statistic)
    for (low, high), share in zip(ours, (0.5, 0.95), strict=True):
        def differences(values, axis=-1, share=share):
            return np.quantile(values, share, axis=axis)

        theirs = stats.bootstrap(
            (candidate - baseline,), differences, vectorized=True, method="percentile", n_resamples=2000, rng=1
        ).confidence_interval
        width = theirs.high - theirs.low
        assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=width * 0.25)


def test_an_interval_holds_the_true_ratio_about_as_often_as_it_says():
    inside = 0
    for seed in range(100):
        draw = np.random.default_rng(seed)
        pairs = draw.lognormal([9, 9.2], 0.3, (200, 2)).astype(int).tolist()
        [(low, high)] = bootstrap(pairs, quantile_ratios([0.5]), resamples=200, seed=seed)
        inside += low <= np.exp(0.2) <= high
    assert stats.binomtest(inside, 100, 0.95).pvalue > 0.001


@given(st.lists(st.integers(1, 900), min_size=0, max_size=200))
def test_the_chance_of_many_is_scipys_within_a_tenth_also_where_it_is_reckoned_by_a_curve(more):
    for excess in more[:3]:
        total = 5000
        expected = stats.binomtest((total + excess) // 2, total, alternative="greater").pvalue
        assert more_often((total + excess) // 2, total - (total + excess) // 2) == pytest.approx(
            expected, rel=0.1, abs=1e-12
        )


def test_medians_of_latencies_are_numpys():
    times = {role: np.random.default_rng(role).lognormal(2, 0.5, 400).round(3) for role in range(3)}

    def version(role):
        return lambda number, draw: {"body": b"x", "milliseconds": float(times[role][number])}

    candidate = only(run([version(0), version(1), version(2)], 400, path=lambda number: "/a"))
    all_of_them = slowness_of("all", candidate.facts["latency"], 1)
    microseconds = {role: (times[role] * 1000).astype(int) for role in times}
    assert all_of_them.median_difference == pytest.approx(np.median(microseconds[2] - microseconds[0]), abs=2)
    assert all_of_them.baselines_apart == pytest.approx(abs(np.median(microseconds[1] - microseconds[0])), abs=2)


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=300))
def test_periods_keep_what_was_counted_in_order_and_are_never_many(steps):
    """Each step: so many blocks further, one was slower or faster there."""
    balance, block, expected = Balance(), 0, []
    for further, is_slower in steps:
        if further:
            balance.end_block(block)
            block += further
        balance.slower += is_slower
        balance.faster += not is_slower
        expected.append((block, is_slower))
    balance.end_block(block)
    told = balance.encode(balance)
    assert len(told["periods"]) <= MOST_PERIODS
    assert np.sum(told["periods"], axis=0).tolist() == [told["slower"], told["faster"]] == [
        sum(is_slower for _, is_slower in expected), sum(not is_slower for _, is_slower in expected),
    ]  # fmt: skip
    slower = {each: sum(s for b, s in expected if b == each) for each, _ in expected}
    faster = {each: sum(not s for b, s in expected if b == each) for each, _ in expected}
    assert told["blocks_slower"] == sum(slower[each] > faster[each] for each in slower)


def test_each_of_many_pairs_is_as_likely_to_be_in_the_sample():
    places = np.zeros(10)
    for seed in range(300):
        sample = Sample(20, random.Random(seed))
        for number in range(1000):
            sample.add((number, number))
        for number, _ in sample.items:
            places[number // 100] += 1
    assert stats.chisquare(places).pvalue > 0.001


def test_a_part_of_a_sample_is_as_fair_though_what_came_first_is_at_its_front():
    places = np.zeros(10)
    for seed in range(300):
        sample = Sample(100, random.Random(seed))
        for number in range(120):
            sample.add(number)
        for number in sample.some(20):
            places[number // 12] += 1
    assert stats.chisquare(places).pvalue > 0.001


def test_merged_samples_keep_to_their_size_and_to_the_shares_of_what_was_seen():
    one, two = Sample(100, random.Random(1)), Sample(100, random.Random(2))
    for number in range(3000):
        one.add((1, number))
    for number in range(1000):
        two.add((2, number))
    one.merge(two)
    assert len(one.items) == 100
    assert sum(1 for who, _ in one.items if who == 1) == 75
    assert one.seen == 4000
