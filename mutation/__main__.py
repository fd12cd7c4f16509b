"""`python3 build.py mutate`: changes the code in one place at a time, and tells which changes no test notices.

mutmut makes the changes in a copy below .build, and mutation/trials.py runs the tests on each. What survives must be
explained in mutation/explained.txt: docs/mutation.md. Exit status 1 if something that survives is not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutation.changes import Change, change_module, copy_code

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".build" / "mutation"
RESULTS = WORK / "results"
EXPLAINED = ROOT / "mutation" / "explained.txt"
MODULES = (
    *("framing", "http_grammar", "mirror_queue", "copied_head", "mirror", "selector", "sampling", "rate_limit"),
    *("brakes", "controls", "records"),
)
TESTS = (
    *("tests/test_framing.py", "tests/test_mirror_queue.py", "tests/test_mirror.py", "tests/test_sampling.py"),
    *("tests/test_controls.py", "tests/test_brakes.py", "tests/test_records.py"),
)
COPIED = ("launcher", "tests", "fuzz", "mutation", "README.md", "pyproject.toml")
# Those that take seconds: what they find by random streams and by timing, the tables find at once, or not at all.
TOO_SLOW = ("h11", "llhttp_does_not", "any_bytes", "sound_requests", "sixteen", "slow_takes", "is_busy", "that_fills")
NOTICED = ("noticed", "ran out of time", "died")
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Trial:
    """A change, and what came of it: one of `NOTICED`, or `survived`; and which test has failed."""

    change: Change
    kind: str
    test: str | None


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="build.py mutate", description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(MODULES)}; all, unless named")
    parser.add_argument("--function", default="", metavar="NAME", help="only what is in a function with this name")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="at a time")
    parser.add_argument("--killers", action="store_true", help="print for each change which test notices it")
    arguments = parser.parse_args(argv)
    modules = arguments.modules or list(MODULES)
    unknown = [name for name in modules if name not in MODULES]
    if unknown or arguments.processes < 1:
        parser.error(f"there is no module {unknown[0]} to mutate" if unknown else "--processes must be 1 or more")
    copy_code(ROOT, WORK, COPIED)
    changes = [change for module in modules for change in change_module(WORK, module)]
    changes = [change for change in changes if not arguments.function or change.place.endswith(arguments.function)]
    trials = try_changes(changes, arguments.processes)
    if arguments.killers:
        for trial in trials:
            print(f"       {trial.kind}: {trial.change} [{trial.test}]")
    return report(changes, trials, is_all=not (arguments.modules or arguments.function))


def try_changes(changes: Sequence[Change], processes: int) -> list[Trial]:
    """Runs the tests on each; says now and then how far it is."""
    by_function: dict[str, list[str]] = {}
    for change in changes:
        by_function.setdefault(change.function_name, []).append(change.name)
    functions = WORK / "functions.json"
    functions.write_text(json.dumps(by_function))
    words = [
        *(sys.executable, "-m", "pytest", "-q", "-s", "--tb=native", "--assert=plain", "--hypothesis-seed=1"),
        *("-p", "mutation.trials", "-p", "no:cacheprovider"),
        *("-k", " and ".join(f"not {name}" for name in TOO_SLOW), *TESTS),
    ]
    environment = {
        **os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TRIALS_FUNCTIONS": str(functions),
        "TRIALS_RESULTS": str(RESULTS), "TRIALS_PROCESSES": str(processes),
    }  # fmt: skip
    with (WORK / "log").open("wb") as log:
        process = subprocess.Popen(words, cwd=WORK, env=environment, stdout=log, stderr=subprocess.STDOUT)
        begun = said = time.monotonic()
        while process.poll() is None:
            time.sleep(LOOK_SECONDS)
            if time.monotonic() - said >= 60:
                said = time.monotonic()
                print(f"       {len(results())} of {len(changes)} after {said - begun:.0f} s", flush=True)
    by_name = {change.name: change for change in changes}
    return [Trial(by_name[each["name"]], each["kind"], each["test"]) for each in results() if "name" in each]


def results() -> list[dict[str, str]]:
    lines = RESULTS.read_text().split("\n")[:-1] if RESULTS.exists() else []
    return [json.loads(line) for line in lines]


def report(changes: Sequence[Change], trials: Sequence[Trial], *, is_all: bool) -> int:
    survivors = [trial.change for trial in trials if trial.kind not in NOTICED]
    reasons = explained()
    told = {each: next((why for why, pattern in reasons if pattern.search(str(each))), None) for each in survivors}
    for each, reason in sorted(told.items(), key=lambda item: (item[1] is not None, str(item[0]))):
        print(f"       {'explained' if reason else 'SURVIVED '} {each}")
    unused = [reason for reason, pattern in reasons if not any(pattern.search(str(each)) for each in survivors)]
    if unused and is_all:
        print(f"       explained, but noticed: {unused}")
    for module in dict.fromkeys(change.module for change in changes):
        print(score(module, [trial for trial in trials if trial.change.module == module], told))
    print(score("together", trials, told))
    if len(trials) < len(changes) or not changes:
        print((WORK / "log").read_text(errors="replace")[-2000:], *(each for each in results() if "failed" in each))
        print(f"Error: {len(trials)} of {len(changes)} changes were tried; the last words are above", file=sys.stderr)
        return 1
    return 1 if None in told.values() else 0


def score(name: str, trials: Sequence[Trial], told: dict[Change, str | None]) -> str:
    """A line of the table in docs/mutation.md."""
    kinds = Counter(trial.kind for trial in trials)
    noticed, late = sum(kinds[kind] for kind in NOTICED), kinds["ran out of time"]
    unexplained = sum(trial.change in told and told[trial.change] is None for trial in trials)
    share = f"{noticed / len(trials):.1%}" if trials else "-"
    return (
        f"-----> {name}: {len(trials)} changes: {noticed} noticed ({share}), {late} of them by a loop without end; "
        f"{len(trials) - noticed - unexplained} not and explained, {unexplained} not and unexplained"
    )


def explained() -> list[tuple[str, re.Pattern[str]]]:
    """Reasons, and the texts of `Change`s that each of them explains, as regular expressions."""
    return list(_explained(EXPLAINED.read_text().splitlines()))


def _explained(lines: Sequence[str]) -> Iterator[tuple[str, re.Pattern[str]]]:
    reason = ""
    for line in lines:
        if line.startswith("# "):
            reason = line[2:]
        elif line.strip():
            yield reason, re.compile(line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
