"""The live figures for people: lines of 80 columns, colour only where it is asked for, counters of 0 left out.

What is shown comes from another process, and parts of it from its configuration: nothing of it reaches a terminal
unescaped. Pure: the dict of snapshot.py in, lines out.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

WIDTH = 80
_LABEL_WIDTH = 13
_NAME_WIDTH = 20
_COUNT_WIDTH = 15
_BAR_WIDTH = 20
# Control characters, line separators, and what makes text run the other way.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_GOOD_OUTCOMES = ("1xx", "2xx", "3xx", "written", "filtered", "limited")
_COLOURS = {"good": "32", "warning": "33", "bad": "31", "label": "1"}
_STATE_STYLES = {"mirroring": "good", "ended": "bad"}  # all others: warning

Span = tuple[str, str]  # text, and a key of _COLOURS or nothing
Line = list[Span]


def status_lines(figures: Mapping[str, Any]) -> list[Line]:
    """What `--status` prints. Raises KeyError, TypeError... for a dict that is not of snapshot.py's making."""
    lines = [*_head(figures), *_requests(figures)]
    for replayer in figures["replayers"]:
        lines += [[], *_replayer(replayer)]
        lines += [line for each in figures["middlewares"] if each["replayer"] == replayer["name"]
                  for line in _middleware(each)]  # fmt: skip
        lines += [line for each in figures["outputs"] if each["replayer"] == replayer["name"]
                  for line in ([], *_output(each))]  # fmt: skip
    return lines


def rendered(line: Line, *, colour: bool, width: int | None = None) -> str:
    """The line as text, cut to `width` columns."""
    parts = []
    for text, style in line:
        shown = escaped(text)
        if width is not None:
            shown = shown[: max(width, 0)]
            width -= len(shown)
        parts.append(f"\x1b[{_COLOURS[style]}m{shown}\x1b[0m" if colour and style and shown else shown)
    return "".join(parts).rstrip()


def escaped(text: str) -> str:
    """The text with nothing in it that a terminal would obey."""
    return _UNPRINTABLE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


# ---- the parts -----------------------------------------------------------------------------------------------------


def _head(figures: Mapping[str, Any]) -> Iterator[Line]:
    launcher, app, connections = figures["launcher"], figures["app"], figures["connections"]
    yield _labelled(
        "launcher",
        f"traffic-duplicator {launcher['version']}, pid {launcher['pid']}, up {duration(launcher['uptime_seconds'])}, "
        f"{_size(launcher['memory_bytes'])}",
    )
    state = str(figures["state"])
    line = _labelled("state", "")
    line.append((state, _STATE_STYLES.get(state, "warning")))
    yield line
    if figures["reason"]:
        yield from _wrapped("  because", str(figures["reason"]))
    more = [f"{_count(connections[name])} {name}" for name in ("app_refused", "failed") if connections[name]]
    yield _labelled(
        "clients",
        ", ".join([
            f"port {launcher['port']}", f"{_count(connections['open'])} connected",
            f"{_count(connections['connections'])} since the start", *more,
        ]),
    )  # fmt: skip
    where = app["socket"] or f"port {app['port']}"
    yield _labelled("app", f"{app['program']}, pid {app['pid']}, {where}")


def _requests(figures: Mapping[str, Any]) -> Iterator[Line]:
    requests, rates, buffer = figures["requests"], figures["rates"], figures["buffer"]
    yield []
    yield _labelled(
        "requests", f"{rates['requests_per_second']:,.1f} a second, {rates['copies_per_second']:,.1f} of them copied"
    )
    yield _counted("seen", requests["seen"])
    for name, value in requests.items():
        if name not in ("seen", "half_read") and value:
            style = "warning" if name.startswith(("dropped", "failed")) else ""
            yield _counted(name, value, of=requests["seen"], style=style)
    if requests["half_read"]:
        yield _counted("half read now", requests["half_read"])
    yield from _wrapped("copies", _controls(figures))
    yield _labelled("buffer", _filled(buffer))


def _controls(figures: Mapping[str, Any]) -> str:
    """What is copied, and what was configured if that is something else."""
    controls, configured = figures["controls"], figures["configured"]
    text = str(controls["selected"])
    if controls["selected"] != configured["selected"]:
        text += f" (configured: {configured['selected']})"
    return text if controls["on"] else f"off; when on: {text}"


def _replayer(replayer: Mapping[str, Any]) -> Iterator[Line]:
    name = replayer["kind"] if replayer["name"] == replayer["kind"] else f"{replayer['kind']} for {replayer['name']}"
    facts = [str(name)]
    if replayer["pid"] is not None:
        used, limit = _size(replayer["memory_bytes"]), _size(replayer["memory_limit_bytes"])
        facts += [f"pid {replayer['pid']}", f"{used} of {limit}"]
    else:
        facts.append(str(replayer["state"]))
    line = _labelled("replayer", ", ".join(facts))
    if replayer["restarts"]:
        line.append((f", {_count(replayer['restarts'])} restarts", "warning"))
    yield line
    copies, queue = replayer["copies"], replayer["queue"]
    for counter, value in copies.items():
        if value or counter == "given":
            style = "warning" if counter.startswith(("dropped", "lost")) else ""
            yield _counted(counter, value, of=copies["given"] if counter != "given" else None, style=style)
    yield _labelled("  queue", f"{_filled(queue)}, {_count(queue['records'])} copies")


def _middleware(middleware: Mapping[str, Any]) -> Iterator[Line]:
    facts = [str(middleware["program"])]
    facts += [f"{_count(middleware[name])} {name}" for name in ("waiting", "restarts") if middleware[name]]
    yield _labelled("middleware", ", ".join(facts))
    for name, value in middleware["records"].items():
        if value:
            yield _counted(name, value)


def _output(output: Mapping[str, Any]) -> Iterator[Line]:
    pause = ", paused: it only fails" if output["is_paused"] else ""
    yield _labelled("destination", f"{output['destination']}{pause}")
    yield _counted("received", output["received"])
    for outcome, value in output["outcomes"].items():
        if value:
            style = "good" if outcome in _GOOD_OUTCOMES else "bad"
            yield _counted(outcome, value, of=output["received"], style=style)
    if output["held"]:
        yield _counted("held now", output["held"], of=output["received"])
    for name in ("retries", "responses", "tracked", "untracked"):
        if output[name]:
            yield _counted(name, output[name])
    latency = output["latency"]
    if latency["count"]:
        names = ("p50", "p90", "p95", "p99", "max")
        times = (f"{name} {milliseconds(latency[f'{name}_seconds'])}" for name in names)
        yield _labelled("  latency", "  ".join(times))


# ---- words and numbers ---------------------------------------------------------------------------------------------


def _labelled(label: str, text: str) -> Line:
    return [(f"{label:<{_LABEL_WIDTH}}", "label"), (text, "")]


def _wrapped(label: str, text: str) -> Iterator[Line]:
    lines = textwrap.wrap(text, WIDTH - _LABEL_WIDTH, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines or [""]):
        yield _labelled("" if number else label, line)


def _counted(name: str, value: int, *, of: int | None = None, style: str = "") -> Line:
    share = f"   {100 * value / of:5.1f} %" if of else ""
    return [(f"  {name:<{_NAME_WIDTH}}", ""), (f"{_count(value):>{_COUNT_WIDTH}}", style), (share, "")]


def _filled(held: Mapping[str, Any]) -> str:
    used, limit = held["used_bytes"], held["limit_bytes"]
    filled = min(_BAR_WIDTH, -(-_BAR_WIDTH * used // limit)) if limit else 0
    return f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {_size(used)} of {_size(limit)}"


def _count(value: int) -> str:
    return f"{value:,}"


def _size(nbytes: int) -> str:
    for unit, exponent in (("GiB", 3), ("MiB", 2), ("KiB", 1)):
        if nbytes >= 1024**exponent:
            return f"{nbytes / 1024**exponent:.1f} {unit}"
    return f"{nbytes} B"


def milliseconds(seconds: float) -> str:
    """Three digits or so, such as `0.52 ms`, `12.3 ms`, `1230 ms`."""
    value = seconds * 1000
    return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def duration(seconds: float) -> str:
    """The two largest units, such as `2 h 13 min`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
