"""`python3 build.py faults`: what clients see while something goes wrong, against the same run without the launcher.

Scenario after scenario, in alternating pairs of halves; the table goes to docs/reliability.md with --write.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from faults.groups import all_scenarios
from faults.halves import QUICK_RATE, built_file, capacity, new_product, run_half, run_halves
from faults.reliability import write
from faults.results import HEADING, Result
from faults.scenario import Scenario, Seen
from faults.soak import Soak
from tests.system.launched import Product

_CAPACITY_SECONDS = 2.0
_SHARE = 1 / 4  # of what the unmirrored run carries

Load = tuple[str, int, int]  # the app, connections, bytes of a body


def main(argv: Sequence[str]) -> int:
    scenarios = all_scenarios()
    parser = argparse.ArgumentParser(prog="build.py faults", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios, or groups; all, unless named")
    parser.add_argument("--quick", action="store_true", help="once each, at a low rate: what happens, not how fast")
    parser.add_argument("--pairs", type=int, default=3, metavar="N", help="of halves, for each (default: 3)")
    parser.add_argument("--hours", type=float, metavar="N", help="how long `soak` lasts (default: a minute)")
    parser.add_argument("--write", action="store_true", help="put the rows into docs/reliability.md")
    parser.add_argument("--list", action="store_true", help="the scenarios' names")
    arguments = parser.parse_args(argv)
    chosen = [scenario for name, scenario in scenarios.items() if _is_chosen(arguments.names, name, scenario)]
    unknown = [word for word in arguments.names if not any(_is_chosen([word], *item) for item in scenarios.items())]
    if unknown or arguments.pairs < 1 or (arguments.write and arguments.quick):
        parser.error(
            f"there is no scenario {unknown[0]}; --list names them" if unknown
            else "--pairs must be 1 or more" if arguments.pairs < 1
            else "--quick measures nothing to --write"
        )  # fmt: skip
    if arguments.hours:
        Soak.seconds = Soak.quick_seconds = arguments.hours * 3600
    if arguments.list:
        print("\n".join(f"{scenario.group:12} {name:28} {scenario.says}" for name, scenario in scenarios.items()))
        return 0
    with tempfile.TemporaryDirectory(prefix="faults-home-") as home:
        product = new_product(built_file(), Path(home))
        results, skipped = run_all(product, chosen, pairs=arguments.pairs, is_quick=arguments.quick)
    if arguments.write:
        write(results, skipped, arguments.pairs, anew=not arguments.names)
    return 1 if any(result.missed(with_latency=not arguments.quick) for result in results) else 0


def _is_chosen(words: Sequence[str], name: str, scenario: type[Scenario]) -> bool:
    return not words or name in words or scenario.group.lower() in words


def run_all(
    product: Product, chosen: Sequence[type[Scenario]], *, pairs: int, is_quick: bool
) -> tuple[list[Result], list[tuple[type[Scenario], str]]]:
    """What came of each, printed as well; and what can't be run here, with the reason."""
    print(HEADING, flush=True)
    rates: dict[Load, float] = {}
    results: list[Result] = []
    skipped: list[tuple[type[Scenario], str]] = []
    for scenario in chosen:
        reason = scenario().missing()
        if reason:
            skipped.append((scenario, reason))
            print(f"| {scenario.says} | not here: {reason} |", flush=True)
            continue
        own_pairs = 1 if is_quick or not scenario.judges_latency else scenario.pairs or pairs
        result = run_pairs(product, scenario, rates, pairs=own_pairs, is_quick=is_quick)
        results.append(result)
        print(result.row(with_latency=not is_quick), flush=True)
        for seen in result.mirrored:
            if seen.told:
                print(f"-----> {scenario.name}: {seen.told}", flush=True)
        for what in result.missed(with_latency=not is_quick):
            print(f"-----> {scenario.name}: {what}", file=sys.stderr, flush=True)
    return results, skipped


def run_pairs(
    product: Product, scenario: type[Scenario], rates: dict[Load, float], *, pairs: int, is_quick: bool
) -> Result:
    """Alternating halves, so that what else the machine does falls on both alike."""
    key = (scenario.name if scenario.has_own_app else "", scenario.connections, scenario.body_bytes)
    if not is_quick and not scenario.rate and key not in rates:
        rates[key] = capacity(product, scenario(), _CAPACITY_SECONDS) * _SHARE
    seen: dict[bool, list[Seen]] = {True: [], False: []}
    for number in range(pairs):
        for is_mirrored in (number % 2 == 0, number % 2 == 1):
            rate = QUICK_RATE if is_quick else rates.get(key, 0.0)
            half = run_half(scenario(), product, is_mirrored=is_mirrored, rate=rate, is_quick=is_quick)
            seen[is_mirrored].append(half)
    more = (scenario.quick_times if is_quick else scenario.times) - len(seen[True])
    return Result(scenario, [*seen[True], *run_halves(scenario, product, max(more, 0))], seen[False])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
