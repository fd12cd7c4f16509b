"""Writes docs/reliability.md: a table a group, and what could not be reached."""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from faults.results import HEADING, RATIO, SPARE_MS, Result
from faults.scenario import BUFFER_BYTES, MIB, SPARE_BYTES, WORK_US, Scenario

FILE = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"
_START, _END = "<!-- faults: `python3 build.py faults --write` writes this part -->", "<!-- /faults -->"


def write(results: Sequence[Result], skipped: Sequence[tuple[type[Scenario], str]], pairs: int) -> None:
    """Puts the tables into the file, and leaves what else it says as it is."""
    before, _, rest = FILE.read_text().partition(_START)
    after = rest.partition(_END)[2]
    FILE.write_text("\n".join([f"{before}{_START}", *_part(results, skipped, pairs), f"{_END}{after}"]))


def _part(results: Sequence[Result], skipped: Sequence[tuple[type[Scenario], str]], pairs: int) -> Iterator[str]:
    yield ""
    yield from _explanation(pairs)
    for group in dict.fromkeys(result.scenario.group for result in results):
        yield f"\n## {group}\n\n{HEADING}"
        yield from (result.row() for result in results if result.scenario.group == group)
    if skipped:
        yield "\n## Not reached\n\n| what | why |\n| --- | --- |"
        yield from (f"| {scenario.group}: {scenario.says} | {reason} |" for scenario, reason in skipped)
    yield ""


def _explanation(pairs: int) -> Iterator[str]:
    machine = f"{os.cpu_count()} processors ({platform.machine()}), Python {platform.python_version()}"
    load_bound, buffer, spare = (size // MIB for size in (BUFFER_BYTES + SPARE_BYTES, BUFFER_BYTES, SPARE_BYTES))
    yield from textwrap.wrap(
        f"On {machine}: {pairs} alternating pairs of halves a row, medians. One half runs the built file, the other "
        f"the same with TRAFFIC_DUPLICATOR_ENABLED=false. An open-loop client sends POSTs of 8 KB over 32 connections, "
        f"a quarter of what the app carries unmirrored; the app takes {WORK_US} µs of processor for each. Times are in "
        f"milliseconds from when a request was due, mirrored / unmirrored. *Memory* is by how many MiB the launcher "
        f"grew under load, at most {load_bound} (`--buffer {buffer}MiB`, and {spare}); *processor* its microseconds "
        f"for each request; *end* the seconds from SIGTERM to its end. A row *holds* if clients met no errors but the "
        f"app's own, p99 is at most {RATIO:g} × the unmirrored one + {SPARE_MS:g} ms, memory and end are within their "
        f"bounds, the balance is exact, and no process is left.",
        width=120, break_on_hyphens=False,
    )  # fmt: skip
