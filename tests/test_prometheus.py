"""The page for Prometheus: read by its own client's parser, and by promtool where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from launcher.counters import FeedCounters, as_dict
from launcher.prometheus import FAMILIES, PREFIX, render
from tests.needs import PROMTOOL, unavailable
from tests.test_snapshot import GET, Scene

UNITS = ("seconds", "bytes", "ratio", "records", "total", "info")


def page(*, destination: str = "http://h") -> tuple[dict[str, Any], str]:
    """Figures with a number everywhere, and their page."""
    scene = Scene(destination)
    scene.mirror.new_tap().client_sent(GET)
    scene.mirror.counters.seen += 2
    scene.mirror.counters.unframed += 1
    scene.tell_account(**{"2xx": 3, "timeout": 1})
    figures = scene.snapshot.take()
    figures["controls"]["rate_per_second"] = 2.5
    figures["controls"]["pauses"] = {"cpu": 'the "replayers"'}
    return figures, render(figures)


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name.removeprefix(PREFIX), tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def test_every_family_is_there_with_its_type_and_help() -> None:
    _, text = page()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for family in FAMILIES:
        found = families[(PREFIX + family.name).removesuffix("_total")]
        assert (found.type, found.documentation, bool(found.samples)) == (family.kind, family.help, True)
    assert len(families) == len(FAMILIES)


def test_names_follow_the_conventions() -> None:
    for family in FAMILIES:
        assert re.fullmatch(r"[a-z][a-z_]*[a-z]", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert not re.search(r"(^|_)(ms|milliseconds|kb|mb|percent|count|sum|bucket)(_|$)", family.name)


def test_numbers_are_those_of_the_figures() -> None:
    figures, text = page()
    found = samples(text)
    outcomes = {dict(labels)["outcome"]: value for (name, labels), value in found.items() if name == "requests_total"}
    assert outcomes == {name: count for name, count in figures["requests"].items() if name not in ("seen", "half_read")}
    half_read = found["requests_half_read", ()]
    assert found["requests_seen_total", ()] == sum(outcomes.values()) + half_read == 3
    assert half_read == 1
    assert found["connections_total", ()] == 7
    assert found["rate_limit_copies_per_second", ()] == 2.5
    assert found["sample_ratio", ()] == 1
    assert found["state", (("state", figures["state"]),)] == 1
    assert found["paused", (("brake", "cpu"),)] == 1
    builtin = (("replayer", "builtin"),)
    assert found["replayer_up", builtin] == 0
    assert found["replayer_copies_given_total", builtin] == 1
    for end in as_dict(FeedCounters()):
        if end != "given":
            assert found["replayer_copies_total", (("outcome", end), *builtin)] == 0
    output = (("destination", "http://h"),)
    assert found["output_copies_total", (*output, ("outcome", "2xx"), *builtin)] == 3
    assert found["output_held_records", (*output, *builtin)] == figures["outputs"][0]["held"]


def test_a_histogram_is_cumulative_and_its_last_bucket_has_all() -> None:
    _, text = page()
    found = samples(text)
    labels = (("destination", "http://h"), ("replayer", "builtin"))
    buckets = {key: value for (name, key), value in found.items() if name == "output_latency_seconds_bucket"}
    bounds = {float(dict(key)["le"]): value for key, value in buckets.items()}
    assert sorted(bounds) == list(bounds) and sorted(bounds.values()) == list(bounds.values())
    assert (bounds[0.1], bounds[0.5], bounds[float("inf")]) == (0, 1, 1)
    assert found["output_latency_seconds_count", labels] == 1
    assert found["output_latency_seconds_sum", labels] == 0.25


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\\nb", 'a\\"', "é", "a,b=}{", " "])
def test_a_name_comes_back_as_it_was(name: str) -> None:
    _, text = page(destination=name)
    assert ("output_received_total", (("destination", name), ("replayer", "builtin"))) in samples(text)


def test_a_name_can_add_no_line_and_no_control_character() -> None:
    _, text = page(destination='a"} 1\nb{c="\r\x1b[1m\x00\u2028\udcff')
    destination = 'a"} 1\nb{c="\ufffd\ufffd[1m' + "\ufffd" * 3
    assert ("output_received_total", (("destination", destination), ("replayer", "builtin"))) in samples(text)
    assert text.isprintable() or not re.search(r"[^\n\x20-\x7e\ufffd]", text)
    assert text.encode() and all(line.startswith(("# ", PREFIX)) for line in text.splitlines())


def test_two_of_one_name_stay_apart() -> None:
    figures, _ = page()
    figures["replayers"] *= 2
    figures["outputs"] *= 2
    found = samples(render(figures))
    assert {key for name, key in found if name == "replayer_up"} == {
        (("replayer", "builtin"),), (("replayer", "builtin (2)"),),
    }  # fmt: skip


def test_promtool_has_nothing_to_say() -> None:
    if shutil.which("promtool") is None:
        unavailable("there is no promtool: apt-get install prometheus", PROMTOOL)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=page()[1], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
