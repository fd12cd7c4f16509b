"""What Heroku's log metrics read of the log: counts are what was added, and no name or value breaks a line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.l2met import L2met, Names, Reading
from launcher.latencies import LatencyRecorder
from launcher.log import Logger
from tests.l2met_reader import Metric, metrics, pairs


def logged(at: str, facts: Mapping[str, object]) -> str:
    reader, writer = os.pipe()
    logger = Logger(writer)
    logger(at, **facts)
    logger.close()
    os.close(writer)
    with open(reader, encoding="utf-8", newline="\n") as file:
        return file.read()


def told(l2met: L2met, reading: Reading, **more: object) -> list[Metric]:
    """What a reader has of the lines, without the prefix of the names."""
    lines = [logged("metrics", more | facts) for facts in l2met.lines(reading, always=("seen",))]
    found = [metric for line in lines for metric in metrics(line)]
    assert all(metric.name.startswith("traffic-duplicator.") for metric in found)
    return [metric._replace(name=metric.name.removeprefix("traffic-duplicator.")) for metric in found]


def counts(l2met: L2met, **totals: int) -> dict[str, float]:
    return {metric.name: metric.value for metric in told(l2met, Reading(totals))}


def test_a_count_is_what_was_added_since_the_last_line() -> None:
    l2met = L2met()
    assert counts(l2met, seen=5, lost=0) == {"seen": 5}
    assert counts(l2met, seen=12, lost=3) == {"seen": 7, "lost": 3}
    assert counts(l2met, seen=12, lost=3) == {"seen": 0, "lost": 0}


def test_the_sum_of_all_counts_is_the_total_even_if_a_total_falls_for_a_while() -> None:
    l2met = L2met()
    assert sum(counts(l2met, seen=total)["seen"] for total in (0, 10, 4, 10, 15)) == 15


def test_samples_have_units_and_measures_are_the_percentiles_of_what_came_since() -> None:
    recorder, l2met = LatencyRecorder(), L2met()
    for _ in range(100):
        recorder.add(0.004)
    found = told(l2met, Reading({}, {"buffer": "300bytes"}, {"latency": recorder.latencies()}), source="web.1")
    assert found[0] == Metric("sample", "buffer", 300, "bytes", "web.1")
    assert [(metric.kind, metric.name, metric.unit) for metric in found[1:]] == [
        ("measure", f"latency.p{percent}", "ms") for percent in (50, 95, 99)
    ]
    assert all(metric.value == pytest.approx(4, rel=0.03) for metric in found[1:])
    recorder.add(2)
    [median, *_] = told(l2met, Reading({}, {}, {"latency": recorder.latencies()}))
    assert median.value == pytest.approx(2000, rel=0.03)
    assert told(l2met, Reading({}, {}, {"latency": recorder.latencies()})) == []


def test_many_figures_make_several_lines_that_a_drain_does_not_cut() -> None:
    names = Names()
    reading = Reading({f"destination.{names('x' * 500 + str(n))}.2xx": 1 for n in range(100)})
    lines = L2met().lines(reading)
    assert sum(map(len, lines)) == 100
    assert all(len(logged("metrics", facts)) < 10_000 for facts in lines)


@given(st.lists(st.text(), unique=True, max_size=8))
def test_names_of_destinations_are_plain_words_and_stay_apart(texts: list[str]) -> None:
    names = Names()
    words = [names(text) for text in texts]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,63}", word) for word in words)
    assert len(set(words)) == len(texts)
    assert [names(text) for text in texts] == words


def test_a_destination_keeps_what_is_readable_of_it() -> None:
    names = Names()
    assert names("https://***@next.example.com:8443") == "https-next-example-com-8443"
    assert names("a=1 count#x=9\n") == "a-1-count-x-9"
    assert [names("http://h"), names("http:h"), names("http h")] == ["http-h", "http-h-2", "http-h-3"]


def joined(text: str) -> str:
    """Surrogates that stand side by side are one character, in JSON too."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


@given(st.text() | st.text("\"\\=# \n\x1b\u2028\ud800\udcffcount"))
def test_every_line_is_one_that_readers_of_logfmt_take_and_gives_back_its_value(text: str) -> None:
    line = logged("x", {"value": text, "n": 1})
    assert line.endswith("\n") and line.count("\n") == 1
    assert pairs(line) == [
        ("traffic-duplicator", ""), ("at", "x"), ("level", "info"), ("value", joined(text)), ("n", "1"),
    ]  # fmt: skip
    assert metrics(line) == []
