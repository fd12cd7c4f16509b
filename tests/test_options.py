"""The mechanism of options: what is read, what is refused, and with which words."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from launcher import options as o
from launcher.options import UsageError, help_text, option, read


@dataclass(frozen=True, kw_only=True)
class Sample:
    to: tuple[str, ...] = option("--to", "where", metavar="URL", env="X_TO", repeatable=True)
    buffer: int = option("--buffer", "how much", metavar="SIZE", parse=o.size, env="X_BUFFER", default=7)
    strict: bool = option("--strict", "be strict", env="X_STRICT")


def test_options_end_at_the_first_word_that_is_none():
    reading = read(Sample, ["--strict", "--buffer", "1k", "rails", "--buffer", "2k"], {})
    assert reading.values == Sample(buffer=1024, strict=True)
    assert reading.command == ("rails", "--buffer", "2k")


def test_two_dashes_end_the_options():
    assert read(Sample, ["--", "--strict"], {}).command == ("--strict",)


@pytest.mark.parametrize("argv", [["--buffer=1k", "x"], ["--buffer", "1k", "x"]])
def test_a_value_stands_behind_a_space_or_an_equals_sign(argv):
    assert read(Sample, argv, {}).values.buffer == 1024


def test_an_option_beats_its_variable_and_a_variable_the_default():
    environ = {"X_BUFFER": "2k", "X_TO": "http://a http://b", "X_STRICT": "yes"}
    assert read(Sample, ["--to", "http://c", "x"], environ).values == Sample(
        to=("http://c",), buffer=2048, strict=True
    )


def test_an_empty_variable_is_no_variable():
    reading = read(Sample, ["x"], {"X_BUFFER": ""})
    assert reading.values.buffer == 7
    assert not reading.problems


def test_a_repeated_option_collects_its_values():
    assert read(Sample, ["--to", "a", "--to", "b", "x"], {}).values.to == ("a", "b")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--bufer", "1k", "x"], "there is no option --bufer (did you mean --buffer?); --help lists them all"),
        (["-p", "x"], "there is no option -p; --help lists them all"),
        (["--buffer", "16 monkeys", "x"], "--buffer must be a size such as 16MiB, not '16 monkeys'"),
        (["--buffer"], "--buffer needs a value: --buffer SIZE"),
        (["--strict=perhaps", "x"], "--strict must be true or false, not 'perhaps'"),
    ],
)
def test_wrong_usage_says_what_was_wrong_and_what_would_be_right(argv, text):
    with pytest.raises(UsageError) as caught:
        read(Sample, argv, {})
    assert str(caught.value) == text


def test_a_bad_variable_is_told_and_leaves_the_default():
    reading = read(Sample, ["x"], {"X_BUFFER": "lots"})
    assert reading.problems == ("X_BUFFER must be a size such as 16MiB, not 'lots'",)
    assert reading.values.buffer == 7


def test_help_has_a_paragraph_for_each_option_in_80_columns():
    text = help_text(Sample)
    for word in ("--to URL", "[X_TO]", "may be repeated", "--strict", "how much"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("65536", 65536), ("16MiB", 16 << 20), ("16m", 16 << 20), ("16MB", 16 << 20), ("1.5g", 3 << 29),
     ("2 kb", 2048), ("1t", 1 << 40)],
)  # fmt: skip
def test_sizes(text, value):
    assert o.size(text) == value


@pytest.mark.parametrize("text", ["", "0", "-1", "k", "1x", "1e3", "1 2", "९", "9999999999g"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="a size such as 16MiB"):
        o.size(text)


@pytest.mark.parametrize(("parse", "good", "value"), [
    (o.percent, "10%", 10.0), (o.percent, "10 %", 10.0), (o.per_second, "50", 50.0), (o.per_second, "0.5/s", 0.5),
    (o.percent, "0.5", 0.5), (o.seconds, "60s", 60.0), (o.seconds, "0", 0.0),
    (o.port, "65535", 65535), (o.boolean, "OFF", False), (o.header_name, "X-A_b", "X-A_b"),
])  # fmt: skip
def test_converters_take(parse, good, value):
    assert parse(good) == value


@pytest.mark.parametrize(("parse", "bad"), [
    (o.percent, "101"), (o.per_second, "0"), (o.per_second, "1000001"), (o.per_second, "-1"), (o.per_second, "fast"),
    (o.percent, "-1"), (o.percent, "nan"), (o.seconds, "1h"), (o.seconds, "inf"),
    (o.port, "0"), (o.port, "65536"), (o.port, "80a"), (o.port, "५"), (o.boolean, "maybe"),
    (o.header_name, "a b"), (o.header_name, "Cookie,Authorization"), (o.header_name, "a:"), (o.header_name, ""),
])  # fmt: skip
def test_converters_refuse(parse, bad):
    with pytest.raises(ValueError, match="not "):
        parse(bad)
