"""--until: what is understood, what is refused, and when it is over."""

from __future__ import annotations

import pytest

from launcher.until import shown_time, until

DECEMBER = 1796148000.0  # 2026-12-01T18:00:00Z


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-01T18:00:00Z", "2026-12-01t18:00z", "2026-12-01T19:00+01:00", "2026-12-01T19:00:00+01",
        "2026-12-01T13:30:00-0430", " 2026-12-01T18:00:00Z ",
        "2026-12-01T18:00", "2026-12-01 18:00:00",  # without a zone: UTC
    ],
)  # fmt: skip
def test_a_time_is_the_same_moment_in_every_way_to_write_it(text):
    assert until(text).time == DECEMBER
    assert until(text).seconds is None


def test_a_time_without_a_zone_is_utc_whatever_the_machine_s_zone_is(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert until("2026-12-01T18:00").time == DECEMBER
        assert shown_time(DECEMBER) == "2026-12-01T18:00:00Z"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("90s", 90), ("1d", 86400), ("1d12h", 129600), ("1.5h", 5400),
     ("0.5s", 0.5)],
)  # fmt: skip
def test_a_duration_is_read(text, seconds):
    assert until(text).seconds == seconds
    assert until(text).time is None


@pytest.mark.parametrize(
    "text",
    ["", "30", "0s", "-5m", "m", "30 m", "30m1h", "1w", "5 minutes", "4000d", "tomorrow", "18:00", "18:00Z",
     "2026-12-01", "2026-13-01T18:00Z", "2026-12-01T25:00Z", "2026-12-01T18:00+99:00", "20261201T180000Z", "1e3s",
     "\u0663s"],
)  # fmt: skip
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="2026-12-01T18:00Z, or a duration such as 30m"):
        until(text)


def test_a_time_is_over_by_the_clock_and_a_duration_by_what_was_mirrored():
    assert until("2026-12-01T18:00Z").seconds_left(DECEMBER - 5, 1000) == 5
    assert until("2026-12-01T18:00Z").seconds_left(DECEMBER + 5, 0) == -5
    assert until("30m").seconds_left(DECEMBER, 1700) == 100
