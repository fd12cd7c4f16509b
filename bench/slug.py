"""What the buildpack costs: the slug's size, the time of a build, and what the word adds to a boot.

    python3 bench/slug.py [ROUNDS]

Builds a slug twice with dist/traffic-duplicator-buildpack.tgz and this machine's /usr/bin/python3, in a temporary
folder: once with nothing in the cache, once with what the first has left there. Then it starts, in turns, a bare Python
(the one that the slug uses), the wrapper with `--version`, the wrapper before a command that it mirrors, and the same
with the kill switch. A boot's time is up to the command's own first deed. The ratios are of the medians; the times
themselves mean little on a busy machine.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ARCHIVE = Path(__file__).resolve().parent.parent / "dist" / "traffic-duplicator-buildpack.tgz"
PARTS = ("packages", "python", "gor")  # of the slug's folder
BARE = "bare python"
GOAL = 15  # × a bare Python: what the word may add to a boot
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOWHERE = "http://127.0.0.1:9"  # a destination that refuses: nothing is sent in a boot


def main() -> int:
    if not ARCHIVE.exists():
        print(f"Error: {ARCHIVE.name} is missing: run python3 build.py buildpack", file=sys.stderr)
        return 1
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.unpack_archive(ARCHIVE, folder / "buildpack")
        for what in ("first build", "build from the cache"):
            taken = compile_slug(folder)
            print(f"{what:<24}{taken:8.1f} s")
        slug = folder / "app" / ".traffic-duplicator"
        print_sizes(slug, folder)
        print_starts(slug, rounds)
    return 0


def compile_slug(folder: Path) -> float:
    """Seconds of one bin/compile into an empty app."""
    shutil.rmtree(folder / "app", ignore_errors=True)
    (folder / "app").mkdir()
    words = [folder / "buildpack" / "bin" / "compile", *(folder / name for name in ("app", "cache", "env"))]
    started_at = time.perf_counter()
    done = subprocess.run(words, env={"PATH": SYSTEM_PATH, "HOME": str(folder)}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bin/compile failed:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started_at


def print_sizes(slug: Path, folder: Path) -> None:
    packed = folder / "slug.tgz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(slug, "slug")
    for part in PARTS:
        if (slug / part).exists():
            print(f"{part:<24}{megabytes(slug / part):8.1f} MB")
    print(f"{'slug':<24}{megabytes(slug):8.1f} MB, compressed {megabytes(packed):.1f} MB")


def megabytes(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
    return sum(file.stat().st_size for file in files) / 1e6


def print_starts(slug: Path, rounds: int) -> None:
    wrapper = str(slug / "bin" / "start-traffic-duplicator")
    own_python = slug / "python" / "bin" / "python3"
    python = str(own_python if own_python.exists() else "/usr/bin/python3")
    say_time = ["date", "+%s%N"]
    contestants: dict[str, Callable[[], float]] = {
        BARE: lambda: until_exit([python, "-I", "-S", "-c", ""]),
        "wrapper --version": lambda: until_exit([wrapper, "--version"]),
        "command, bare": lambda: until_said(say_time),
        "command, mirrored": lambda: until_said([wrapper, "--to", NOWHERE, *say_time]),
        "command, kill switch": lambda: until_said([wrapper, *say_time], TRAFFIC_DUPLICATOR_ENABLED="false"),
    }
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, measure in contestants.items():
            duration = measure()
            if number:  # the first is for the disk's sake
                taken[name].append(duration)
    for line in table(taken):
        print(line)


def table(taken: dict[str, list[float]]) -> Iterator[str]:
    """One line a contestant, and what the word adds to a boot, in bare Pythons."""
    medians = {name: statistics.median(times) for name, times in taken.items()}
    for name, times in taken.items():
        ratio = medians[name] / medians[BARE]
        spread = f"{min(times) * 1000:.0f} to {max(times) * 1000:.0f}"
        yield f"{name:<24}{medians[name] * 1000:8.1f} ms, {spread:<12} {ratio:6.1f} x a bare Python"
    added = (medians["command, mirrored"] - medians["command, bare"]) / medians[BARE]
    verdict = "holds" if added <= GOAL else "is missed"
    yield f"{'the word adds':<24}{added:8.1f} x a bare Python; the goal, at most {GOAL}, {verdict}"


def until_exit(words: list[str]) -> float:
    started_at = time.perf_counter()
    subprocess.run(words, env=environ(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started_at


def until_said(words: list[str], **variables: str) -> float:
    """Seconds until the command says what time it is."""
    started_at = time.time_ns()
    done = subprocess.run(words, env=environ(**variables), capture_output=True, text=True, check=True)
    return (int(done.stdout) - started_at) / 1e9


def environ(**variables: str) -> dict[str, str]:
    return {"PATH": SYSTEM_PATH, "HOME": os.devnull, "PORT": str(free_port()), **variables}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
