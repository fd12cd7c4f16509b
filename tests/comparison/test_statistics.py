"""Our figures beside numpy's and scipy's."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from launcher.comparison.sketches import RELATIVE_ERROR, Sample, Sketch
from launcher.comparison.statistics import bootstrap, more_often, quantile, quantile_ratios, share_interval

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


def test_each_of_many_pairs_is_as_likely_to_be_in_the_sample():
    places = np.zeros(10)
    for seed in range(300):
        sample = Sample(20, random.Random(seed))
        for number in range(1000):
            sample.add((number, number))
        for number, _ in sample.items:
            places[number // 100] += 1
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
