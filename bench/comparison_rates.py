"""How often a comparison finds what is planted, and how often it finds what isn't there: simulated, without sockets.

    .venv/bin/python bench/comparison_rates.py [--write] [SEEDS]

Twelve kinds of differences are planted in a version whose answers are never twice the same, all twelve in one run, each
in so many of the answers; the run is looked at again and again, and what counts is after how many requests a kind is
among the findings in nineteen of twenty runs. Slow answers come on top of the latencies of instances on shared machines
(load that comes and goes, bursts, pauses, neighbours, a heavy tail): tests/comparison/versions.py. Versions that are
the same are run in the same way, each with seeds of its own. `--write` puts the tables into docs/comparison.md.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from launcher.comparison.verdict import Verdict  # noqa: E402
from tests.comparison.answers import ROLES, Version, looked_at, only, run  # noqa: E402
from tests.comparison.versions import (  # noqa: E402
    COMES_ALONG,
    REGRESSIONS,
    Weather,
    noisy,
    planted_all,
    without,
)

PAGE = ROOT / "docs" / "comparison.md"
FIGURES = re.compile(r"(<!-- rates\b[^>]*-->\n)(.*?)(<!-- /rates -->)", re.DOTALL)
RATES = {  # how often each kind is planted -> after how many requests it is looked at
    0.05: range(100, 1601, 100), 0.01: range(500, 5001, 500), 0.001: range(5000, 35_001, 2500),
}  # fmt: skip
SURE = 0.95  # of the runs
APART_SECONDS = 0.01
TWO = ("baseline", "candidate")
SLOWER: dict[str, Callable[[int, random.Random], float]] = {  # on one of three endpoints: times as long
    "25 % longer": lambda number, draw: 1.25,
    "twice as long": lambda number, draw: 2,
    "5 times as long, 5 % of its answers": lambda number, draw: 5 if draw.random() < 0.05 else 1,
    "5 times as long, 2 % of its answers": lambda number, draw: 5 if draw.random() < 0.02 else 1,
}
SLOWER_COUNTS = (1500, 3000, 6000, 9000, 12_000)
SLOW = "GET /orders/{id}"


def plain(number: int, draw: random.Random) -> dict[str, Any]:
    """An answer whose latency is all that matters."""
    return {"body": b"the same"}


def of_one_endpoint(factor: Callable[[int, random.Random], float]) -> Callable[[int, random.Random], float]:
    return lambda number, draw: factor(number, draw) if number % 3 == 1 else 1.0


def instances(seed: int, roles: Sequence[str], count: int, of: Version, **slower: Any) -> list[Version]:
    """Of one version, each on a machine of its own."""
    weather = Weather(seed, len(roles), count, APART_SECONDS)
    return [weather.version(place, of, slower.get(role)) for place, role in enumerate(roles)]


# ---- what is planted


def found_rows(seeds: int) -> Iterator[str]:
    """After how many requests each kind is found, and how many findings were not planted."""
    needed: dict[str, list[str]] = {name: [] for name in REGRESSIONS}
    wrong = 0
    for rate, counts in RATES.items():
        seen = {name: dict.fromkeys(counts, 0) for name in REGRESSIONS}
        for seed in range(seeds):
            versions = [noisy, noisy, planted_all(noisy, rate)]
            for count, verdict in looked_at(versions, counts, seed=seed, path=lambda number: "/a"):
                found = {(finding.where, finding.how) for finding in only(verdict).findings}
                for name, (_, expected) in REGRESSIONS.items():
                    seen[name][count] += expected in found
            wrong += len(found - COMES_ALONG - {expected for _, expected in REGRESSIONS.values()})
        for name, times in seen.items():
            needed[name].append(_least(times, seeds))
    yield f"| planted | {' | '.join(f'in {rate:.1%}'.replace('.0', '') for rate in RATES)} |"
    yield f"| --- |{' ---: |' * len(RATES)}"
    for name, cells in needed.items():
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
    yield f"Findings that were not planted, in these {seeds * len(RATES)} runs: {wrong}."


def slower_rows(seeds: int) -> Iterator[str]:
    """The same of an endpoint that is slower."""
    yield "| one of three endpoints takes | with `baseline2` | without |"
    yield "| --- | ---: | ---: |"
    for name, factor in SLOWER.items():
        cells = []
        for roles in (ROLES, TWO):
            seen = dict.fromkeys(SLOWER_COUNTS, 0)
            for seed in range(seeds):
                versions = instances(seed, roles, SLOWER_COUNTS[-1], plain, candidate=of_one_endpoint(factor))
                looks = looked_at(versions, SLOWER_COUNTS, seed=seed, roles=roles, apart_seconds=APART_SECONDS)
                for count, verdict in looks:
                    seen[count] += SLOW in {each.endpoint for each in only(verdict).slower}
            cells.append(_least(seen, seeds))
        yield f"| {name} | {' | '.join(cells)} |"


def _least(times: dict[int, int], seeds: int) -> str:
    for count, found in times.items():
        if found >= SURE * seeds:
            return f"{count:,}"
    count, found = list(times.items())[-1]
    return f"more than {count:,} ({found} of {seeds})"


# ---- what is the same


def same_rows(seeds: int) -> Iterator[str]:
    """Versions that are the same, and in how many runs anything at all was said of them."""

    def new(number: int, draw: random.Random) -> dict[str, Any]:
        return without({**noisy(number, draw), "status": 200}, "sequence")

    kinds: dict[str, tuple[Sequence[str], Version, int]] = {
        "noisy answers, with `baseline2`": (ROLES, noisy, 6000),
        "ids, times and tokens in each, without `baseline2`": (TWO, new, 6000),
        "answers that are the same, with `baseline2`": (ROLES, plain, 12_000),
        "answers that are the same, without `baseline2`": (TWO, plain, 12_000),
    }
    yield "| identical versions | requests | runs | findings | called slower | any other word than `same` |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, (roles, version, count) in kinds.items():
        verdicts = [_of_the_same(seed, roles, version, count) for seed in range(seeds)]
        findings = sum(len(only(each).findings) for each in verdicts)
        slower = sum(bool(only(each).slower) for each in verdicts)
        others = sum(only(each).word != "same" for each in verdicts)
        yield f"| {name} | {count:,} | {seeds} | {findings} | {slower} | {others} |"


def _of_the_same(seed: int, roles: Sequence[str], version: Version, count: int) -> Verdict:
    return run(
        instances(seed, roles, count, version), count, seed=seed, roles=roles, apart_seconds=APART_SECONDS
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="put the tables into docs/comparison.md")
    parser.add_argument("seeds", nargs="?", type=int, default=20)
    options = parser.parse_args()
    lines: list[str] = []
    for rows in (same_rows, found_rows, slower_rows):
        for line in rows(options.seeds):
            print(line, flush=True)
            lines.append(line)
        print()
        lines.append("")
    if options.write:
        figures = "\n".join(lines)
        text = FIGURES.sub(lambda match: f"{match[1]}\n{figures}{match[3]}", PAGE.read_text(encoding="utf-8"))
        PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
