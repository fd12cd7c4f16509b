"""The live figures in Prometheus' text format, version 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/

One row of FAMILIES is one metric: its name by Prometheus' conventions, its type, its help, and where its samples stand
in the dict that `Snapshot.take` returns. Pure: no I/O. What comes from outside (a destination, a program's name) stands
in label values only, escaped, and without characters that can't be printed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from launcher.counters import FeedCounters, MiddlewareCounters, RelayCounters, TapCounters, meanings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "traffic_duplicator_"

Figures = Mapping[str, Any]
Labels = Mapping[str, str]
Samples = Iterable[tuple[Labels, float]]

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
_UNPRINTABLE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ENDS = ("taken", "dropped_full", "dropped_shutdown", "lost")  # of what was given to a process


@dataclass(frozen=True)
class Family:
    """One metric. A histogram's samples are named by the suffix in the label `""`."""

    name: str
    kind: str  # counter, gauge or histogram
    help: str
    samples: Callable[[Figures], Samples]


def render(figures: Figures) -> str:
    """The whole page, with its last newline."""
    return "".join(line for family in FAMILIES for line in _lines(family, figures))


def _lines(family: Family, figures: Figures) -> Iterator[str]:
    """Help, type and samples; nothing of a family that has no samples."""
    samples = list(family.samples(figures))
    if not samples:
        return
    name = PREFIX + family.name
    help_text = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    yield f"# HELP {name} {help_text}\n# TYPE {name} {family.kind}\n"
    for labels, value in samples:
        shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items() if label)
        yield f"{name}{labels.get('', '')}{f'{{{shown}}}' if shown else ''} {_number(value)}\n"


def _escaped(text: str) -> str:
    return re.sub(r'[\\"\n]', lambda match: _ESCAPES[match[0]], _UNPRINTABLE.sub("\ufffd", text))


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


# ---- where samples stand -----------------------------------------------------------------------------------------


def _at(part: str, name: str) -> Callable[[Figures], Samples]:
    return lambda figures: [({}, figures[part][name])]


def _states(figures: Figures) -> Samples:
    return [({"state": figures["state"]}, 1)]


def _started(figures: Figures) -> Samples:
    at = datetime.strptime(figures["launcher"]["started_at"], "%Y-%m-%dT%H:%M:%SZ")
    return [({}, at.replace(tzinfo=timezone.utc).timestamp())]


def _request_outcomes(figures: Figures) -> Samples:
    requests = figures["requests"]
    return [({"outcome": name}, requests[name]) for name in meanings(TapCounters) if name != "seen"]


def _connection_errors(figures: Figures) -> Samples:
    names = [name for name in meanings(RelayCounters) if name != "connections"]
    return [({"reason": name}, figures["connections"][name]) for name in names]


def _rate_limit(figures: Figures) -> Samples:
    rate = figures["controls"]["rate_per_second"]
    return [] if rate is None else [({}, rate)]


def _each(part: str, names: tuple[str, ...]) -> Callable[[Figures], Iterator[tuple[dict[str, str], Figures]]]:
    """Each member of a list and its labels. Two of the same would make the whole page void: they get a number."""

    def members(figures: Figures) -> Iterator[tuple[dict[str, str], Figures]]:
        seen: dict[tuple[str, ...], int] = {}
        for member in figures[part]:
            labels = {label: str(member[field]) for label, field in (name.split("=") for name in names)}
            key = tuple(labels.values())
            times = seen[key] = seen.get(key, 0) + 1
            if times > 1:
                last = names[-1].split("=")[0]
                labels[last] = f"{labels[last]} ({times})"
            yield labels, member

    return members


_replayers = _each("replayers", ("replayer=name",))
_middlewares = _each("middlewares", ("replayer=replayer", "program=program"))
_outputs = _each("outputs", ("replayer=replayer", "destination=destination"))
_Members = Callable[[Figures], Iterator[tuple[dict[str, str], Figures]]]


def _of(members: _Members, *path: str) -> Callable[[Figures], Samples]:
    """Of each member the number at the path."""

    def samples(figures: Figures) -> Iterator[tuple[Labels, float]]:
        for labels, value in members(figures):
            for name in path:
                value = value[name]
            yield labels, value  # type: ignore[misc]  # the path's end is a number

    return samples


def _ends_of(members: _Members, field: str) -> Callable[[Figures], Samples]:
    """Of each member, every end that what it was given may have."""
    return lambda figures: [
        ({**labels, "outcome": end}, member[field][end]) for labels, member in members(figures) for end in _ENDS
    ]


def _replayer_up(figures: Figures) -> Samples:
    return [(labels, member["state"] == "running") for labels, member in _replayers(figures)]


def _output_outcomes(figures: Figures) -> Samples:
    return [
        ({**labels, "outcome": outcome}, count)
        for labels, member in _outputs(figures)
        for outcome, count in member["outcomes"].items()
    ]


def _output_latencies(figures: Figures) -> Iterator[tuple[Labels, float]]:
    for labels, member in _outputs(figures):
        latency = member["latency"]
        for seconds, count in {**latency["at_most"], "+Inf": latency["count"]}.items():
            yield {"": "_bucket", **labels, "le": seconds}, count
        yield {"": "_sum", **labels}, latency["sum_seconds"]
        yield {"": "_count", **labels}, latency["count"]


def _sentence(kind: type[Any], name: str) -> str:
    """The help of a family that is one counter."""
    told = meanings(kind)[name]
    return f"{told[0].upper()}{told[1:]}."


def _by(intro: str, kind: type[Any], names: Iterable[str]) -> str:
    """The help of a family whose outcomes are counters: what each counts."""
    told = meanings(kind)
    return f"{intro}: " + "; ".join(f"{name}: {told[name]}" for name in names)


FAMILIES = (
    Family("build_info", "gauge", "The launcher's release; always 1.",
           lambda figures: [({"version": figures["launcher"]["version"]}, 1)]),
    Family("start_time_seconds", "gauge", "When the launcher was started, in seconds since 1970.", _started),
    Family("state", "gauge", "1 for the state that it is in: starting, mirroring, off, paused, ended, unmirrored.",
           _states),
    Family("paused", "gauge", "1 for each brake that is pulled.",
           lambda figures: [({"brake": brake}, 1) for brake in figures["controls"]["pauses"]]),
    Family("sample_ratio", "gauge", "The share of requests to copy, 0 to 1.",
           lambda figures: [({}, figures["controls"]["sample_percent"] / 100)]),
    Family("rate_limit_copies_per_second", "gauge", "At most so many copies a second; left out if there is no limit.",
           _rate_limit),
    Family("requests_seen_total", "counter", _sentence(TapCounters, "seen"), _at("requests", "seen")),
    Family("requests_total", "counter", _by(
        "What became of each request that was seen", TapCounters,
        [name for name in meanings(TapCounters) if name != "seen"]), _request_outcomes),
    Family("requests_half_read", "gauge", "Requests seen of which more is to come.", _at("requests", "half_read")),
    Family("connections_total", "counter", _sentence(RelayCounters, "connections"),
           _at("connections", "connections")),
    Family("connection_errors_total", "counter", _by(
        "Connections that ended badly", RelayCounters, ("app_refused", "failed")), _connection_errors),
    Family("connections_open", "gauge", "Client connections that are open.", _at("connections", "open")),
    Family("buffer_used_bytes", "gauge", "What the mirror holds in the launcher.", _at("buffer", "used_bytes")),
    Family("buffer_limit_bytes", "gauge", "The bound of it: --buffer.", _at("buffer", "limit_bytes")),
    Family("resident_memory_bytes", "gauge", "Memory of the launcher's own process.", _at("launcher", "memory_bytes")),
    Family("replayer_up", "gauge", "1 while a process of this replayer runs.", _replayer_up),
    Family("replayer_restarts_total", "counter", "How often its process was started again.",
           _of(_replayers, "restarts")),
    Family("replayer_resident_memory_bytes", "gauge", "Memory of its process.", _of(_replayers, "memory_bytes")),
    Family("replayer_memory_limit_bytes", "gauge", "The bound over which it is restarted.",
           _of(_replayers, "memory_limit_bytes")),
    Family("replayer_queue_records", "gauge", "Copies that wait for it.", _of(_replayers, "queue", "records")),
    Family("replayer_queue_used_bytes", "gauge", "What they take of its share of --buffer.",
           _of(_replayers, "queue", "used_bytes")),
    Family("replayer_queue_limit_bytes", "gauge", "Its share of --buffer.", _of(_replayers, "queue", "limit_bytes")),
    Family("replayer_pipe_bytes", "gauge", "Written to its pipe and not yet read.", _of(_replayers, "pipe_bytes")),
    Family("replayer_copies_given_total", "counter", _sentence(FeedCounters, "given"),
           _of(_replayers, "copies", "given")),
    Family("replayer_copies_total", "counter", _by("What became of them", FeedCounters, _ENDS),
           _ends_of(_replayers, "copies")),
    Family("middleware_records_given_total", "counter", _sentence(MiddlewareCounters, "given"),
           _of(_middlewares, "records", "given")),
    Family("middleware_records_total", "counter", _by("What became of them", MiddlewareCounters, _ENDS),
           _ends_of(_middlewares, "records")),
    Family("middleware_returned_total", "counter", _sentence(MiddlewareCounters, "returned"),
           _of(_middlewares, "records", "returned")),
    Family("middleware_malformed_total", "counter", _sentence(MiddlewareCounters, "malformed"),
           _of(_middlewares, "records", "malformed")),
    Family("middleware_waiting_records", "gauge", "Records that wait for it.", _of(_middlewares, "waiting")),
    Family("middleware_restarts_total", "counter", "How often it was started again.", _of(_middlewares, "restarts")),
    Family("output_received_total", "counter",
           "Copies, and answers to them, that an output of the built-in replayer received.", _of(_outputs, "received")),
    Family("output_copies_total", "counter", "What became of them: docs/counters.md has the outcomes.",
           _output_outcomes),
    Family("output_held_records", "gauge", "Received, and without an outcome yet.", _of(_outputs, "held")),
    Family("output_held_bytes", "gauge", "What an output holds.", _of(_outputs, "held_bytes")),
    Family("output_retries_total", "counter", "Sent a second time: an idle connection had just been closed.",
           _of(_outputs, "retries")),
    Family("output_responses_total", "counter", "Of what it received: answers, not requests.",
           _of(_outputs, "responses")),
    Family("output_responses_tracked_total", "counter", "Its answers that were handed on to other outputs.",
           _of(_outputs, "tracked")),
    Family("output_responses_untracked_total", "counter", "Its answers that were too large, or found no room.",
           _of(_outputs, "untracked")),
    Family("output_latency_seconds", "histogram",
           "How long answered copies took, connecting included. Near a bucket's bound it is right within 2.5 %.",
           _output_latencies),
)  # fmt: skip
