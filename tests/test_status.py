"""The live figures for people."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from launcher.status import duration, milliseconds, rendered, status_lines

FIGURES: dict[str, Any] = {
    "schema_version": 1, "state": "mirroring", "reason": "",
    "launcher": {"version": "1.0.0", "pid": 47, "host": "::", "port": 5000, "control_socket": "/s", "started_at": "",
                 "uptime_seconds": 7980.5, "memory_bytes": 35_000_000},
    "app": {"program": "bundle", "pid": 48, "port": 5001, "socket": None},
    "rates": {"requests_per_second": 432.1, "copies_per_second": 43.0},
    "requests": {"seen": 1_234_567, "offered": 123_457, "skipped_sample": 1_111_110, "dropped_large": 0,
                 "half_read": 0},
    "connections": {"connections": 2345, "app_refused": 0, "failed": 0, "open": 12},
    "buffer": {"used_bytes": 1_200_000, "limit_bytes": 16 << 20},
    "controls": {"on": True, "sample_percent": 10, "rate_per_second": None, "selected": "10 % of requests",
                 "pauses": {}},
    "configured": {"on": True, "sample_percent": 10, "rate_per_second": None, "selected": "10 % of requests"},
    "replayers": [{
        "name": "builtin", "kind": "builtin", "state": "running", "pid": 49, "memory_bytes": 50 << 20,
        "memory_limit_bytes": 256 << 20, "restarts": 0, "pipe_bytes": 0,
        "queue": {"records": 3, "used_bytes": 2000, "limit_bytes": 16 << 20},
        "copies": {"given": 123_457, "taken": 123_400, "dropped_full": 54, "dropped_shutdown": 0, "lost": 0},
    }],
    "middlewares": [],
    "outputs": [{
        "replayer": "builtin", "destination": "https://next.example.com", "received": 123_400,
        "outcomes": {"2xx": 123_000, "timeout": 390}, "held": 10, "held_bytes": 3000, "retries": 0, "responses": 0,
        "tracked": 0, "untracked": 0, "is_paused": False,
        "latency": {"count": 123_000, "p50_seconds": 0.0012, "p90_seconds": 0.0123, "p95_seconds": 0.0234,
                    "p99_seconds": 0.1234, "max_seconds": 4.9},
    }],
}  # fmt: skip

SHOWN = """\
launcher     traffic-duplicator 1.0.0, pid 47, up 2 h 13 min, 33.4 MiB
state        mirroring
clients      port 5000, 12 connected, 2,345 since the start
app          bundle, pid 48, port 5001

requests     432.1 a second, 43.0 of them copied
  seen                      1,234,567
  offered                     123,457    10.0 %
  skipped_sample            1,111,110    90.0 %
copies       10 % of requests
buffer       [##..................] 1.1 MiB of 16.0 MiB

replayer     builtin, pid 49, 50.0 MiB of 256.0 MiB
  given                       123,457
  taken                       123,400   100.0 %
  dropped_full                     54     0.0 %
  queue      [#...................] 2.0 KiB of 16.0 MiB, 3 copies

destination  https://next.example.com
  received                    123,400
  2xx                         123,000    99.7 %
  timeout                         390     0.3 %
  held now                         10     0.0 %
  latency    p50 1.20 ms  p90 12.3 ms  p95 23.4 ms  p99 123 ms  max 4900 ms"""


@pytest.fixture
def figures() -> dict[str, Any]:
    return copy.deepcopy(FIGURES)


def shown(figures: dict[str, Any], **how: Any) -> str:
    return "\n".join(rendered(line, **{"colour": False, **how}) for line in status_lines(figures))


def test_the_figures_fit_80_columns_without_counters_of_0(figures):
    assert shown(figures) == SHOWN
    assert max(map(len, SHOWN.splitlines())) <= 80


def test_colour_adds_nothing_but_colour(figures):
    coloured = shown(figures, colour=True)
    assert "\x1b[32mmirroring\x1b[0m" in coloured
    for code in ("\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert [line.rstrip() for line in coloured.splitlines()] == SHOWN.splitlines()


def test_what_was_changed_is_told_beside_what_was_configured(figures):
    figures["controls"] |= {"on": False, "selected": "1.5 % of GET requests to paths with ^/api, at most 5 a second"}
    assert (
        "copies       off; when on: 1.5 % of GET requests to paths with ^/api, at most 5\n"
        "             a second (configured: 10 % of requests)\n"
    ) in shown(figures)


def test_a_pause_tells_its_reason_below_the_state(figures):
    figures["state"], figures["reason"] = "paused", "processor: " + "the replayers are busy, " * 5
    assert "state        paused\n  because    processor: the replayers are busy" in shown(figures)
    assert max(map(len, shown(figures).splitlines())) <= 80


def test_a_replayer_that_does_not_run_tells_why_it_has_no_pid(figures):
    [replayer] = figures["replayers"]
    replayer.update(pid=None, state="waiting", restarts=3, name="http://a", kind="gor")
    assert "replayer     gor for http://a, waiting, 3 restarts\n" in shown(figures)


def test_each_replayer_is_followed_by_its_own_outputs(figures):
    for name in ("second", "third"):
        figures["replayers"].append({**figures["replayers"][0], "name": name})
        figures["outputs"].append({**figures["outputs"][0], "replayer": name, "destination": f"http://{name}"})
    labels = [line for line in shown(figures).splitlines() if line.startswith(("replayer", "destination"))]
    assert [line.split()[1] for line in labels] == [
        "builtin,", "https://next.example.com", "builtin", "http://second", "builtin", "http://third",
    ]  # fmt: skip


def test_no_terminal_obeys_what_is_shown(figures):
    evil = "a\x1b]0;b\x07\r\n\x9b2J\u202etxt\ud800"
    figures["app"]["program"] = figures["reason"] = figures["outputs"][0]["destination"] = evil
    figures["outputs"][0]["outcomes"] = {evil: 1}
    text = shown(figures).replace("\n", "")
    assert text.isprintable()
    assert r"a\x1b]0;b\x07\x0d\x0a\x9b2J\x202etxt\xd800" in text


def test_a_narrow_terminal_cuts_lines_and_no_escape_sequence(figures):
    for width in (0, 1, 14, 40):
        for line in status_lines(figures):
            assert len(rendered(line, colour=False, width=width)) <= width
            assert rendered(line, colour=True, width=width).count("\x1b[0m") == (
                rendered(line, colour=True, width=width).count("\x1b[") / 2
            )


@pytest.mark.parametrize(("seconds", "text"), [
    (0.2, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90_000, "1 d 1 h"), (8_640_000, "100 d 0 h"),
])  # fmt: skip
def test_a_duration_has_its_two_largest_units(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.000012, "0.01 ms"), (0.01234, "12.3 ms"), (4.9, "4900 ms")])
def test_milliseconds_have_about_three_digits(seconds, text):
    assert milliseconds(seconds) == text
