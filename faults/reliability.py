"""Writes docs/reliability.md: a table a group, and what could not be reached."""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from faults.results import DETAIL, HEADING, RATIO, SPARE_MS, Result
from faults.scenario import BUFFER_BYTES, MIB, SPARE_BYTES, WORK_US, Scenario

FILE = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"
_START, _END = "<!-- faults: `python3 build.py faults --write` writes this part -->", "<!-- /faults -->"
_NOT_REACHED = "Not reached"


def write(
    results: Sequence[Result], skipped: Sequence[tuple[type[Scenario], str]], pairs: int, *, anew: bool
) -> None:
    """Puts the rows into the file's tables, which begin `anew` or keep the rows of other scenarios; what else the file
    says stays as it is."""
    before, _, rest = FILE.read_text().partition(_START)
    part, _, after = rest.partition(_END)
    rows = {} if anew else _rows_of(part)
    for result in results:
        _put(rows.setdefault(result.scenario.group, {}), result.scenario.says, result.row())
    for scenario, reason in skipped:
        _put(rows.setdefault(_NOT_REACHED, {}), f"{scenario.group}: {scenario.says}", reason)
    FILE.write_text("\n".join([f"{before}{_START}", *_part(rows, pairs), f"{_END}{after}"]))


def _rows_of(part: str) -> dict[str, dict[str, str]]:
    """What the tables have: by group and by what was done, whole lines."""
    rows: dict[str, dict[str, str]] = {}
    group = ""
    for line in part.splitlines():
        if line.startswith("## "):
            group = line.removeprefix("## ")
        elif group and line.startswith("| ") and not line.startswith(("| what", "| ---")):
            rows.setdefault(group, {})[line.split(" | ")[0].removeprefix("| ")] = line
    return rows


def _put(rows: dict[str, str], says: str, row: str) -> None:
    """In its old place, if it has one."""
    key = next((key for key in rows if key == says or key.startswith(f"{says}{DETAIL}")), says)
    rows[key] = row if row.startswith("| ") else f"| {says} | {row} |"


def _part(rows: Mapping[str, Mapping[str, str]], pairs: int) -> Iterator[str]:
    yield ""
    yield from _explanation(pairs)
    for group in (*(name for name in rows if name != _NOT_REACHED), _NOT_REACHED):
        if group in rows:
            heading = "| what | why |\n| --- | --- |" if group == _NOT_REACHED else HEADING
            yield f"\n## {group}\n\n{heading}"
            yield from rows[group].values()
    yield ""


def _explanation(pairs: int) -> Iterator[str]:
    machine = f"{os.cpu_count()} processors ({platform.machine()}), Python {platform.python_version()}"
    load_bound, buffer, spare = (size // MIB for size in (BUFFER_BYTES + SPARE_BYTES, BUFFER_BYTES, SPARE_BYTES))
    yield from textwrap.wrap(
        f"On {machine}: at least {pairs} alternating pairs of halves a row, medians; one pair where p99 has no bound, "
        f"because app, launcher or load are stopped or ended on purpose. One half runs the built file, the other the "
        f"same with TRAFFIC_DUPLICATOR_ENABLED=false. An open-loop client sends POSTs of 8 KB over 32 connections, a "
        f"quarter of what the app carries unmirrored (some rows have a lower rate of their own); the app takes "
        f"{WORK_US} µs of processor for each. Destinations stand for other machines: they take the processor that "
        f"others leave. The first second, in which the replayer starts, does not count. Times are in milliseconds from "
        f"when a request was due, mirrored / unmirrored. *Memory* is by how many MiB the launcher grew under load, at "
        f"most {load_bound} (`--buffer {buffer}MiB`, and {spare}); *processor* its microseconds for each request; "
        f"*end* the seconds from SIGTERM to its end. A dash stands where there was nothing to measure. A row *holds* "
        f"if clients met no errors but the app's own (where it ends under load, give or take one a connection), p99 is "
        f"at most {RATIO:g} × the unmirrored one + {SPARE_MS:g} ms, memory and end are within their bounds, the "
        f"balance is exact and agrees with what clients and destinations have counted themselves, and no process is "
        f"left. Rows without a balance say why. Who comes beside the load comes equally often in both halves.",
        width=120, break_on_hyphens=False,
    )  # fmt: skip
