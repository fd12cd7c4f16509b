"""What each run of a target came to, one JSON object a line of `.build/fuzz/runs.jsonl`; and the table of them all.

Runs of one target go on where the last one ended, on the same corpus: executions and time are added up, coverage and
corpus are those of the last run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One run of one target."""

    target: str
    ended: str  # UTC
    seconds: float  # by the clock, from start to end: the machine may have had other things to do
    executions: int
    coverage: int  # places in the code, and outcomes, that the corpus reaches
    corpus: int  # inputs that are worth keeping
    found: int  # inputs that broke a promise

    def __str__(self) -> str:
        return f"{self.executions:,} executions, coverage {self.coverage}, corpus {self.corpus}"


def run_of(target: str, log: str, *, ended: str = "", seconds: float = 0.0, found: int = 0) -> Run:
    """What libFuzzer says of a run at its end."""
    executions = re.search(r"stat::number_of_executed_units:\s*(\d+)", log)
    progress = re.findall(r"#(\d+)\s.*\bcov: (\d+).*\bcorp: (\d+)", log)
    last, coverage, corpus = progress[-1] if progress else ("0", "0", "0")
    return Run(target, ended, seconds, int(executions[1] if executions else last), int(coverage), int(corpus), found)


def append(file: Path, run: Run) -> None:
    with file.open("a") as lines:
        lines.write(json.dumps(asdict(run)) + "\n")


def read(file: Path) -> list[Run]:
    """None if there is no file."""
    return [Run(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def table(runs: Sequence[Run], targets: Iterable[str]) -> str:
    """In Markdown, a row a target, with a sentence on them all."""
    rows = [f"{row}\n" for row in _rows(runs, targets)]
    findings = sum(run.found for run in runs)
    executions, hours = sum(run.executions for run in runs), sum(run.seconds for run in runs) / 3600
    found = f"{findings or 'no'} input{'s' * (findings > 1)} broke a promise"
    return f"{''.join(rows)}\nIn all: {executions:,} executions in {hours:.1f} hours; {found}.\n"


def _rows(runs: Sequence[Run], targets: Iterable[str]) -> Iterator[str]:
    yield "| target | executions | minutes | coverage | corpus |"
    yield "| --- | --- | --- | --- | --- |"
    for target in targets:
        if of_target := [run for run in runs if run.target == target]:
            executions, seconds = sum(run.executions for run in of_target), sum(run.seconds for run in of_target)
            last = of_target[-1]
            yield f"| `{target}` | {executions:,} | {seconds / 60:.0f} | {last.coverage} | {last.corpus} |"
