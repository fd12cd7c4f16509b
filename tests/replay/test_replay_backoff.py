"""The back-off, with a clock of the test's own."""

from __future__ import annotations

import pytest

from launcher.replay.backoff import FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS, Backoff


def failing(times: int) -> tuple[Backoff, float]:
    """A back-off without jitter, after so many failed probes in a row, and the time of the last."""
    backoff = Backoff(jitter=lambda: 0.5)
    now = 1000.0
    for _ in range(times):
        now += 100
        assert backoff.may_connect(now)
        backoff.failed(now, now)
    return backoff, now


def test_a_healthy_destination_may_be_connected_to_at_any_time() -> None:
    backoff = Backoff()
    assert all(backoff.may_connect(1000.0) for _ in range(50))


@pytest.mark.parametrize(("times", "seconds"), [(1, 0.1), (2, 0.2), (3, 0.4), (5, 1.6), (6, 2.0), (50, 2.0)])
def test_the_delay_doubles_up_to_two_seconds(times: int, seconds: float) -> None:
    backoff, now = failing(times)
    assert not backoff.may_connect(now + seconds - 0.001)
    assert backoff.may_connect(now + seconds + 0.001)


def test_one_probe_at_a_time_is_let_through() -> None:
    backoff, now = failing(1)
    assert [backoff.may_connect(now + 10) for _ in range(5)] == [True, False, False, False, False]
    backoff.failed(now + 10, now + 11)
    assert [backoff.may_connect(now + 20) for _ in range(2)] == [True, False]


def test_a_success_ends_the_backoff() -> None:
    backoff, now = failing(5)
    assert backoff.may_connect(now + 10)
    backoff.succeeded()
    assert all(backoff.may_connect(now + 10) for _ in range(5))
    backoff.failed(now + 11, now + 11)
    assert backoff.may_connect(now + 11 + FIRST_DELAY_SECONDS * 1.01)


def test_of_several_failures_at_once_only_the_first_counts() -> None:
    backoff = Backoff(jitter=lambda: 0.5)
    for _ in range(50):
        assert backoff.may_connect(1000.0)
    for _ in range(50):
        backoff.failed(1000.0, 1000.5)
    assert backoff.may_connect(1000.5 + FIRST_DELAY_SECONDS * 1.01)


def test_a_straggler_does_not_end_a_probe() -> None:
    backoff = Backoff(jitter=lambda: 0.5)
    assert backoff.may_connect(1000.0) and backoff.may_connect(1000.0)
    backoff.failed(1000.0, 1001.0)
    assert backoff.may_connect(1002.0)  # the probe
    backoff.failed(1000.0, 1003.0)  # the straggler
    assert not backoff.may_connect(1100.0)


def test_a_timeout_starts_no_backoff_but_ends_a_probe() -> None:
    backoff = Backoff(jitter=lambda: 0.5)
    assert backoff.may_connect(1000.0)
    backoff.timed_out(1000.0, 1005.0)
    assert backoff.may_connect(1005.0)
    backoff.failed(1005.0, 1005.0)
    assert backoff.may_connect(1006.0)
    backoff.timed_out(1006.0, 1011.0)
    assert not backoff.may_connect(1011.0)
    assert backoff.may_connect(1012.0)


@pytest.mark.parametrize("jitter", [0.0, 0.999])
def test_jitter_is_half_the_delay_either_way(jitter: float) -> None:
    backoff = Backoff(jitter=lambda: jitter)
    now = 1000.0
    for _ in range(20):
        assert backoff.may_connect(now)
        backoff.failed(now, now)
        now += 10
    last = now - 10
    assert not backoff.may_connect(last + MAX_DELAY_SECONDS * (0.499 + jitter))
    assert backoff.may_connect(last + MAX_DELAY_SECONDS * (0.501 + jitter))
