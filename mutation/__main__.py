"""`python3 build.py mutate`: changes the code in one place at a time, and tells which changes no test notices.

mutmut makes the changes in a copy below .build, and runs the tests in processes of their own. What survives must be
explained in mutation/explained.txt: docs/mutation.md. Exit status 1 if something that survives is not.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".build" / "mutation"
EXPLAINED = ROOT / "mutation" / "explained.txt"
MODULES = ("framing", "http_grammar", "mirror_queue", "copied_head")
TESTS = ("tests/test_framing.py", "tests/test_mirror_queue.py", "tests/test_mirror.py")
COPIED = ("launcher", "tests", "fuzz", "README.md", "pyproject.toml")
# Those that take seconds: what they find by random streams and by timing, the tables find at once, or not at all.
TOO_SLOW = ("h11", "llhttp_does_not", "any_bytes", "sound_requests", "sixteen", "slow_takes")
KILLED = ("killed", "timeout", "segfault")  # a loop without end is noticed, too


@dataclass(frozen=True)
class Survivor:
    """A change that no test has noticed."""

    module: str
    function: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.module}.{self.function}: {self.old} -> {self.new}"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="build.py mutate", description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(MODULES)}; all, unless named")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="at a time")
    arguments = parser.parse_args(argv)
    modules = arguments.modules or list(MODULES)
    unknown = [name for name in modules if name not in MODULES]
    if unknown or arguments.processes < 1:
        parser.error(f"there is no module {unknown[0]} to mutate" if unknown else "--processes must be 1 or more")
    make_copy(modules)
    with (WORK / "log").open("wb") as log:
        words = ["run", "--max-children", str(arguments.processes)]
        status = mutmut(*words, stdout=log, stderr=subprocess.STDOUT).returncode
    results = results_by_name()
    if not results:
        print((WORK / "log").read_text(errors="replace")[-2000:])
        print(f"Error: mutmut has changed nothing (status {status}); its last words are above", file=sys.stderr)
        return 1
    return report(results)


def make_copy(modules: Sequence[str]) -> None:
    """What mutmut works on: it writes beside the code."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, WORK / name, ignore=shutil.ignore_patterns("__pycache__", "seeds"))
        else:
            shutil.copy(source, WORK / name)
    lines = [
        "[tool.mutmut]", 'source_paths = ["launcher"]',
        f"only_mutate = {[f'launcher/{name}.py' for name in modules]}",
        f"also_copy = {list(COPIED[1:])}",
        f"pytest_add_cli_args = {['-p', 'no:cacheprovider', '-k', ' and '.join(f'not {name}' for name in TOO_SLOW)]}",
        f"pytest_add_cli_args_test_selection = {list(TESTS)}",
    ]  # fmt: skip
    with (WORK / "pyproject.toml").open("a") as file:
        file.write("\n" + "\n".join(lines) + "\n")


def mutmut(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "mutmut", *words], cwd=WORK, text=True, **more)


def results_by_name() -> dict[str, str]:
    """Every change by mutmut's name for it, and what became of it."""
    text = mutmut("results", "--all", "true", capture_output=True).stdout
    return dict(re.findall(r"^\s+(\S+): ([a-z ]+)$", text, re.MULTILINE))


def report(results: dict[str, str]) -> int:
    counts = Counter(results.values())
    killed = sum(counts[kind] for kind in KILLED)
    survivors = [survivor(name) for name, kind in results.items() if kind not in KILLED]
    reasons = explained()
    told = {each: next((why for why, pattern in reasons if pattern.search(str(each))), None) for each in survivors}
    for each, reason in sorted(told.items(), key=lambda item: (item[1] is not None, str(item[0]))):
        print(f"       {'explained' if reason else 'SURVIVED '} {each}")
    unexplained = [each for each in survivors if told[each] is None]
    by_module = Counter(name.split(".")[1] for name in results)
    print(f"-----> {', '.join(f'{name} {count}' for name, count in by_module.items())}")
    print(
        f"-----> {len(results)} changes: {killed} noticed ({killed / len(results):.1%}), "
        f"{len(survivors) - len(unexplained)} not and explained, {len(unexplained)} not and unexplained"
    )
    unused = [reason for reason, pattern in reasons if not any(pattern.search(str(each)) for each in survivors)]
    if unused and set(by_module) == set(MODULES):
        print(f"       explained, but noticed: {unused}")
    return 1 if unexplained else 0


def survivor(name: str) -> Survivor:
    diff = mutmut("show", name, capture_output=True).stdout.splitlines()
    old, new = (
        " ".join(line[1:].strip() for line in diff if line.startswith(sign) and not line.startswith(sign * 3))
        for sign in "-+"
    )
    place = re.sub(r"__mutmut_[0-9]+$", "", name).split(".")
    return Survivor(place[1], re.sub(r"^x(_|ǁ)", "", place[-1]).replace("ǁ", "."), old, new)


def explained() -> list[tuple[str, re.Pattern[str]]]:
    """Reasons, and the texts of `Survivor`s that each of them explains, as regular expressions."""
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
