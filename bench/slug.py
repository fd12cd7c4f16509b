"""What the buildpack costs: the slug's size, the time of a build, and what the word adds to a boot.

    python3 bench/slug.py [ROUNDS] [--gor FILE] [--in-roots]

Builds a slug twice with dist/traffic-duplicator-buildpack.tgz and this machine's /usr/bin/python3, in a temporary
folder: once with nothing in the cache, once with what the first has left there. Then it starts, in turns, a bare Python
(the one that the slug uses), the wrapper with `--version`, the wrapper before a command that it mirrors, the same with
the library in one zip file, and with the kill switch. A boot's time is up to the command's own first deed. The ratios
are of the medians; the times themselves mean little on a busy machine. Prints tables for a page in Markdown.

`--gor FILE` puts a (static) gor into the archive. `--in-roots` does it all with the Pythons of Debian's suites, in the
root file systems of tests/roots; that needs root.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARCHIVE = ROOT / "dist" / "traffic-duplicator-buildpack.tgz"
PARTS = ("packages", "python", "gor")  # of the slug's folder
BARE = "bare Python"
ZIPPED = "mirrored, library in one zip"
GOAL = 15  # × a bare Python: what the word may add to a boot
MOST_MB, MOST_COMPRESSED_MB = 36, 12
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOWHERE = "http://127.0.0.1:9"  # a destination that refuses: nothing is sent in a boot


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures what the buildpack costs.")
    parser.add_argument("rounds", nargs="?", type=int, default=15)
    parser.add_argument("--gor", type=Path, help="a gor to put into the archive")
    parser.add_argument("--in-roots", action="store_true", help="with the Pythons of tests/roots")
    arguments = parser.parse_args()
    if not ARCHIVE.exists():
        print(f"Error: {ARCHIVE.name} is missing: run python3 build.py buildpack", file=sys.stderr)
        return 1
    if arguments.in_roots:
        return measure_in_roots(arguments.rounds)
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), arguments.rounds, arguments.gor)
    return 0


def measure(folder: Path, rounds: int, gor: Path | None) -> None:
    shutil.unpack_archive(ARCHIVE, folder / "buildpack")
    if gor is not None:
        (folder / "buildpack" / "gor").mkdir(exist_ok=True)
        shutil.copy(gor, folder / "buildpack" / "gor" / "goreplay")
        (folder / "buildpack" / "gor" / "LICENSE").touch()
    builds = [compile_slug(folder) for _ in range(2)]
    slug = folder / "app" / ".traffic-duplicator"
    python = python_of(slug)
    version = subprocess.run([python, "-I", "-S", "-c", "import sys; print(*sys.version_info[:3], sep='.')"],
                             capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    print(f"\n| Python {version} | | goal | |\n| --- | --- | --- | --- |")
    print(row("first build", f"{builds[0]:.1f} s"))
    print(row("build from the cache", f"{builds[1]:.1f} s"))
    zipped = with_zipped_library(slug, folder / "zipped") if python != "/usr/bin/python3" else None
    for line in (*sizes(slug, zipped, folder), *starts(slug, zipped, rounds)):
        print(line)


def measure_in_roots(rounds: int) -> int:
    """The same in each root, by this very file: a Python copied there runs on that root's libraries alone."""
    sys.path.insert(0, str(ROOT))
    from tests.roots.chroot import Bound, Chroot
    from tests.roots.debian import BUILD, SID, TRIXIE, CannotMake, provide

    for recipe in (BUILD, TRIXIE, SID):
        with tempfile.TemporaryDirectory() as layer:
            try:
                root = Chroot(provide(recipe), Path(layer))
            except CannotMake as error:
                print(f"Error: no root {recipe.name}: {error}", file=sys.stderr)
                return 1
            bound = [Bound(ROOT / name, f"/repository/{name}") for name in ("bench", "dist")]
            words = [*root.prefix(*bound), "python3", "/repository/bench/slug.py", str(rounds)]
            if subprocess.run(words, env={"PATH": SYSTEM_PATH}, check=False).returncode:
                return 1
    return 0


def row(what: str, measured: str, goal: str = "", verdict: str = "") -> str:
    return f"| {what} | {measured} | {goal} | {verdict} |"


def verdict(value: float, most: float) -> str:
    return "holds" if value <= most else "is missed"


def python_of(slug: Path) -> str:
    own = slug / "python" / "bin" / "python3"
    return str(own if own.exists() else "/usr/bin/python3")


def with_zipped_library(slug: Path, target: Path) -> Path:
    """A copy of the slug whose Python has its library, but for what the system must load, in one zip of bytecode."""
    shutil.copytree(slug, target, symlinks=True)
    (library,) = (target / "python" / "lib").glob("python3.*")
    name = library.name.replace(".", "") + ".zip"  # python311.zip, which is on every Python's sys.path
    with zipfile.ZipFile(library.parent / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(library.rglob("*")):
            if path.is_file() and path.suffix != ".so" and path != library / "os.pyc":  # by os.pyc it finds itself
                archive.write(path, path.relative_to(library))
                path.unlink()
    return target


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


def sizes(slug: Path, zipped: Path | None, folder: Path) -> Iterator[str]:
    for part in PARTS:
        if (slug / part).exists():
            yield row(f"`{part}`", f"{megabytes(slug / part):.1f} MB")
    for shown, tree in (("slug", slug), ("the same, library in one zip", zipped)):
        if tree is None:
            continue
        packed = folder / "slug.tgz"
        with tarfile.open(packed, "w:gz") as archive:
            archive.add(tree, "slug")
        for path, most, how in ((tree, MOST_MB, ""), (packed, MOST_COMPRESSED_MB, ", compressed")):
            size = megabytes(path)
            yield row(f"{shown}{how}", f"{size:.1f} MB", f"at most {most} MB", verdict(size, most))


def megabytes(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
    return sum(file.stat().st_size for file in files) / 1e6


def starts(slug: Path, zipped: Path | None, rounds: int) -> Iterator[str]:
    """One line a contestant, and what the word adds to a boot, in bare Pythons."""
    word = "bin/start-traffic-duplicator"
    python = python_of(slug)
    say_time = ["date", "+%s%N"]
    mirrored = ["--to", NOWHERE, *say_time]
    contestants: dict[str, Callable[[], float]] = {
        BARE: lambda: until_exit([python, "-I", "-S", "-c", ""]),
        "wrapper `--version`": lambda: until_exit([str(slug / word), "--version"]),
        "command, bare": lambda: until_said(say_time),
        "command, mirrored": lambda: until_said([str(slug / word), *mirrored]),
        "command, kill switch": lambda: until_said([str(slug / word), *say_time], TRAFFIC_DUPLICATOR_ENABLED="false"),
    }
    if zipped is not None:
        contestants[ZIPPED] = lambda: until_said([str(zipped / word), *mirrored])
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, measure_one in contestants.items():
            duration = measure_one()
            if number:  # the first is for the disk's sake
                taken[name].append(duration)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    for name, times in taken.items():
        times_told = f"{medians[name] * 1000:.0f} ms ({min(times) * 1000:.0f} to {max(times) * 1000:.0f})"
        yield row(name, f"{times_told}, {medians[name] / medians[BARE]:.1f} × a bare Python")
    for name, shown in (("command, mirrored", "the word adds"), (ZIPPED, "with the zip it adds")):
        if name in medians:
            added = (medians[name] - medians["command, bare"]) / medians[BARE]
            yield row(shown, f"{added:.1f} × a bare Python", f"at most {GOAL} ×", verdict(added, GOAL))


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
