"""What may change while the mirror runs, and what the tap asks of it."""

from __future__ import annotations

import pytest

from launcher.controls import Controls


def test_all_is_copied_unless_something_was_asked_for():
    controls = Controls()
    assert (controls.sample_percent, controls.rate_per_second, controls.pauses) == (100, None, {})
    assert (controls.is_on, controls.is_copying, controls.copies_all) == (True, True, True)


@pytest.mark.parametrize("sample_percent", [99.9, 50, 0])
def test_less_than_the_whole_sample_is_not_all_until_it_is_again(sample_percent):
    controls = Controls(sample_percent=sample_percent)
    assert (controls.is_copying, controls.copies_all) == (True, False)
    controls.sample_percent = 100
    assert controls.copies_all is True
    controls.sample_percent = sample_percent
    assert controls.copies_all is False


@pytest.mark.parametrize("rate", [0, 1e6])
def test_any_rate_is_not_all_until_there_is_none(rate):
    controls = Controls(rate_per_second=rate)
    assert (controls.rate_per_second, controls.is_copying, controls.copies_all) == (rate, True, False)
    controls.rate_per_second = None
    assert controls.copies_all is True


def test_every_brake_must_be_released_and_each_says_why_it_is_pulled():
    controls = Controls()
    controls.pause("cpu", "busy")
    controls.pause("memory", "full")
    assert controls.pauses == {"cpu": "busy", "memory": "full"}
    controls.resume("cpu")
    assert (controls.is_copying, controls.copies_all, controls.is_on) == (False, False, True)
    controls.resume("memory")
    controls.resume("memory")
    assert (controls.is_copying, controls.copies_all) == (True, True)


def test_what_it_tells_of_pauses_changes_nothing():
    controls = Controls()
    controls.pauses["cpu"] = "busy"
    assert controls.pauses == {}


def test_off_stays_off_when_a_brake_is_released():
    controls = Controls()
    controls.pause("cpu", "busy")
    controls.turn(on=False)
    controls.resume("cpu")
    assert (controls.is_on, controls.is_copying, controls.copies_all) == (False, False, False)
    controls.turn(on=True)
    assert (controls.is_on, controls.is_copying, controls.copies_all) == (True, True, True)
