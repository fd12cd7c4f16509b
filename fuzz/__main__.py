"""`python3 build.py fuzz`: runs targets under atheris, one after the other, a line for each: docs/fuzzing.md.

A target is a module here with `WORDS`, `seeds()` and `check(data)`, which raises AssertionError for a broken promise.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from fuzz.runs import append, read, run_of, table

ROOT = Path(__file__).resolve().parent.parent
SEEDS = ROOT / "fuzz" / "seeds"
WORK = ROOT / ".build" / "fuzz"  # a folder a target: its corpus grows from run to run
RUNS = WORK / "runs.jsonl"
TARGETS = (
    "framer", "tap", "gor_options", "app_command", "responses", "frames", "records", "record_files", "hex_lines",
    "modifiers", "control", "bodies", "headers", "endpoints", "comparison",
)  # fmt: skip
LONGEST_BYTES = 1500  # of an input: what matters fits, and short ones are tried more often
LIMITS = ("-timeout=60", "-rss_limit_mb=2048")  # seconds and memory for one input; one takes milliseconds
FOUND, NOT_HERE = 1, 3  # exit statuses


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="build.py fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all, unless named")
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="for each target (default: 60)")
    parser.add_argument("--input", type=Path, metavar="FILE", help="only this one, without atheris: what was found")
    parser.add_argument("--report", action="store_true", help="only the table of all runs so far")
    parser.add_argument("--write-seeds", action="store_true", help="make fuzz/seeds anew from the tests' tables")
    arguments = parser.parse_args(argv)
    targets = arguments.targets or list(TARGETS)
    unknown = [name for name in targets if name not in TARGETS]
    if unknown or arguments.seconds < 1 or (arguments.input and len(arguments.targets) != 1):
        parser.error(
            f"there is no target {unknown[0]}" if unknown
            else "--input needs the one TARGET that it is for" if arguments.input
            else "--seconds must be 1 or more"
        )  # fmt: skip
    if arguments.write_seeds:
        write_seeds(targets)
        return 0
    if arguments.report:
        print(table(read(RUNS), targets), end="")
        return 0
    if arguments.input:
        importlib.import_module(f"fuzz.{targets[0]}").check(arguments.input.read_bytes())
        print(f"-----> fuzz {targets[0]}: {arguments.input} breaks no promise")
        return 0
    if importlib.util.find_spec("atheris") is None:
        python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
        print(f"Error: atheris has no wheel for {python}: requirements-fuzz.txt says which", file=sys.stderr)
        return NOT_HERE
    return FOUND if sum(not fuzz(name, arguments.seconds) for name in targets) else 0


# ---- seeds ---------------------------------------------------------------------------------------------------------


def seed_files(name: str) -> dict[str, bytes]:
    """File names and contents of a target's seeds."""
    target = importlib.import_module(f"fuzz.{name}")
    return {re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-"): data for title, data in target.seeds().items()}


def write_seeds(targets: Sequence[str]) -> None:
    for name in targets:
        shutil.rmtree(SEEDS / name, ignore_errors=True)
        (SEEDS / name).mkdir(parents=True)
        for file, data in seed_files(name).items():
            (SEEDS / name / file).write_bytes(data)


# ---- a run ---------------------------------------------------------------------------------------------------------


def fuzz(name: str, seconds: int) -> bool:
    """True if nothing was found."""
    folder = WORK / name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in (SEEDS / name).iterdir():
        shutil.copy(seed, corpus)
    words = folder / "words"
    words.write_text(dictionary(importlib.import_module(f"fuzz.{name}").WORDS))
    before = set(findings(folder))
    command = [sys.executable, "-m", "fuzz.once", name, str(corpus), f"-dict={words}", f"-artifact_prefix={folder}/"]
    command += [f"-max_len={LONGEST_BYTES}", f"-max_total_time={seconds}", "-print_final_stats=1", *LIMITS]
    log = folder / "log"
    began = time.monotonic()
    with log.open("wb") as file:
        status = subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT).returncode
    text = log.read_text(errors="replace")
    new = sorted(set(findings(folder)) - before)
    ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    run = run_of(name, text, ended=ended, seconds=round(time.monotonic() - began, 1), found=len(new))
    append(RUNS, run)
    say(f"fuzz {name}: {run}: {'nothing found' if not status else f'FOUND SOMETHING (status {status})'}")
    if status:
        print(text[-3000:] if "Traceback" not in text else text[text.rindex("Traceback") :][:3000])
    for path in new:
        shown = os.path.relpath(path, ROOT)
        say(f"the input is {shown}; again: python3 build.py fuzz {name} --input {shown}")
    return not status


def findings(folder: Path) -> Iterator[Path]:
    return (path for kind in ("crash", "timeout", "oom", "leak") for path in folder.glob(f"{kind}-*"))


def dictionary(words: Sequence[bytes]) -> str:
    """In libFuzzer's form: one quoted word a line, all but plain characters as \\xAB."""
    escaped = (re.sub(rb"[^A-Za-z0-9 :/.*=;,-]", lambda match: b"\\x%02x" % ord(match[0]), word) for word in words)
    return "".join(f'"{word.decode()}"\n' for word in escaped)


def say(text: str) -> None:
    print(f"-----> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
