"""The words behind --control."""

from __future__ import annotations

import re

import pytest

from launcher.control.words import Change, parse_change
from launcher.launcher_options import LauncherOptions
from launcher.options import UsageError, read

UNDERSTOOD = [
    ("off", Change("off")),
    ("ON", Change("on")),
    ("sample 10", Change("sample", 10)),
    (" sample\t12.5% ", Change("sample", 12.5)),
    ("sample 0", Change("sample", 0)),
    ("rate 50", Change("rate", 50)),
    ("rate 0.5/s", Change("rate", 0.5)),
    ("rate off", Change("rate")),
]


@pytest.mark.parametrize(("text", "change"), UNDERSTOOD)
def test_a_change_is_understood_and_can_be_said_again(text, change):
    assert parse_change(text) == change
    assert parse_change(str(change)) == change


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "on, off, sample PERCENT, rate N or rate off, not ''"),
    ("sample", "on, off, sample PERCENT, rate N or rate off, not 'sample'"),
    ("off now", "on, off, sample PERCENT, rate N or rate off, not 'off now'"),
    ("sample 200", "sample followed by a percentage from 0 to 100, not '200'"),
    ("sample nan", "sample followed by a percentage from 0 to 100, not 'nan'"),
    ("rate 0", "rate followed by off or a number a second, more than 0 and at most a million, not '0'"),
    ("rate -1", "rate followed by off or a number a second, more than 0 and at most a million, not '-1'"),
])  # fmt: skip
def test_what_is_not_understood_is_answered_with_what_would_be(text, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        parse_change(text)


def test_a_long_text_is_not_repeated():
    with pytest.raises(ValueError, match=r"^.{,150}$"):
        parse_change("x" * 4000)


@pytest.mark.parametrize("words", [
    ["--control", "sample", "10"], ["--control", "sample 10"], ["--control=sample 10"],
])  # fmt: skip
@pytest.mark.parametrize("behind", [[], ["--port", "5000"]])
def test_on_the_command_line_the_words_may_be_quoted_or_not(words, behind):
    reading = read(LauncherOptions, [*words, *behind], {})
    assert reading.values.control == Change("sample", 10)
    assert reading.values.port == (5000 if behind else None)
    assert reading.command == ()


@pytest.mark.parametrize("words", [["--control"], ["--control", "--port", "1"], ["--control", "off", "rails", "s"]])
def test_words_that_are_missing_or_too_many_are_wrong_usage(words):
    with pytest.raises(UsageError, match="--control must be on, off"):
        read(LauncherOptions, words, {})
