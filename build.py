#!/usr/bin/env python3
"""Builds, shows, tests and checks traffic-duplicator. Needs Python 3.10 to 3.14 and a way to the package index for pip.

The file that it builds has the same bytes from any folder, umask and Python (with the same zlib): packages come by
hash, what pip notes about the place is left out, and the archive is written anew with fixed order, dates and modes.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gzip
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent
FILE = ROOT / "dist" / "start-traffic-duplicator.pyz"
BUILDPACK = ROOT / "dist" / "traffic-duplicator-buildpack.tgz"
STAMP = ROOT / "dist" / ".inputs.json"  # what FILE was built from
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
INSTALLED = VENV / "installed.json"  # which requirements the environment holds, by their hash
WHEELS = VENV / "wheels"
BUNDLE = VENV / "bundle"  # the packages that go into FILE
BUNDLED = VENV / "bundled.json"  # what BUNDLE was fetched from

RUNTIME, BUILD, DEVELOPMENT = "requirements.txt", "requirements-build.txt", "requirements-dev.txt"
ENTRY_POINT = "launcher.cli:main"
LEFT_OUT = ("trio/_tests", "trio/_core/_tests", "trio/_tools", "sniffio/_tests", "bin")
PIP_NOTES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")  # they differ from place to place
ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
SHEBANG = re.compile(rb"#!\s*/(usr/)?bin/(env +)?(ba)?sh\b")
NOT_OURS = {".git", ".venv", "dist", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}


class BuildError(Exception):
    """What went wrong, and what to do about it."""


def main(argv: Sequence[str]) -> int:
    if sys.version_info < (3, 10):  # noqa: UP036 - said in one line, not in a traceback
        print(f"Error: build.py needs Python 3.10 or newer, this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    ours, passed_on = split_arguments(list(argv))
    arguments = argument_parser().parse_args(ours)
    try:
        status: int = arguments.run(passed_on)
        return status
    except BuildError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def split_arguments(argv: list[str]) -> tuple[list[str], list[str]]:
    """Our own words, and those that `demo` and `test` hand on as they are."""
    if argv[:1] in (["demo"], ["test"]) and argv[1:2] not in (["-h"], ["--help"]):
        return argv[:1], argv[1:]
    return argv, []


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="build.py",
        usage="build.py [-h] [COMMAND ...]",
        description=f"Builds {FILE.relative_to(ROOT)} (without a command), or runs one of the commands.",
        epilog="The first run makes .venv and installs what requirements*.txt list.",
    )
    parser.set_defaults(run=build_command)
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, run, usage, meaning in (
        ("demo", demo_command, "[--keep] [-- COMMAND...]", "run an app behind the file, send traffic, show what came"),
        ("test", test_command, "[PYTEST ARGUMENTS...]", "run the tests on the built file; GOR=path names a real gor"),
        ("lint", lint_command, "", "check with ruff, mypy --strict and, where present, shellcheck"),
        ("bench", bench_command, "", "measure the file's start against a bare Python's: bench/README.md"),
        ("buildpack", buildpack_command, "", f"make {BUILDPACK.relative_to(ROOT)}: docs/buildpack.md"),
    ):
        command = commands.add_parser(name, help=meaning, description=meaning, usage=f"build.py {name} {usage}")
        command.set_defaults(run=run)
    return parser


# ---- commands ------------------------------------------------------------------------------------------------------


def build_command(_: Sequence[str]) -> int:
    with one_at_a_time():
        if not build():
            say(f"{FILE.relative_to(ROOT)} is up to date")
    return 0


def demo_command(arguments: Sequence[str]) -> NoReturn:
    with one_at_a_time():
        build()
    become([sys.executable, str(ROOT / "demo" / "demo.py"), str(FILE), *arguments])


def test_command(arguments: Sequence[str]) -> NoReturn:
    with one_at_a_time():
        build()
        install(RUNTIME, DEVELOPMENT)
    names_a_path = any((ROOT / word.partition("::")[0]).exists() for word in arguments if not word.startswith("-"))
    os.environ["TRAFFIC_DUPLICATOR_PYZ"] = str(FILE)
    os.chdir(ROOT)
    become([str(VENV_PYTHON), "-m", "pytest", *([] if names_a_path else ["tests"]), *arguments])


def lint_command(_: Sequence[str]) -> int:
    with one_at_a_time():
        install(RUNTIME, DEVELOPMENT)
    failed = [
        words[0]
        for words in (["ruff", "check", "."], ["mypy"])
        if run_check(words[0], [str(VENV_PYTHON), "-m", *words])
    ]
    scripts = sorted(shell_scripts())
    if shutil.which("shellcheck") is None:
        say(f"shellcheck is not here (apt-get install shellcheck): {len(scripts)} shell scripts not checked")
    elif run_check("shellcheck", ["shellcheck", "--external-sources", *map(str, scripts)]):
        failed.append("shellcheck")
    say(f"lint failed: {', '.join(failed)}" if failed else "lint found nothing")
    return 1 if failed else 0


def bench_command(_: Sequence[str]) -> NoReturn:
    with one_at_a_time():
        build()
    become([sys.executable, str(ROOT / "bench" / "start.py")])


def buildpack_command(_: Sequence[str]) -> int:
    with one_at_a_time():
        build()
        write_buildpack()
    say(f"{BUILDPACK.relative_to(ROOT)}: {BUILDPACK.stat().st_size // 1000} kB, sha256 {digest(BUILDPACK)}")
    return 0


def run_check(name: str, words: Sequence[str]) -> int:
    say(name)
    return subprocess.run(words, cwd=ROOT).returncode


def shell_scripts() -> Iterator[Path]:
    """Every file of ours that ends in .sh or starts with a shell's name."""
    for path in files_below(ROOT):
        with path.open("rb") as file:
            first_line = file.readline(100)
        if path.suffix == ".sh" or SHEBANG.match(first_line):
            yield path.relative_to(ROOT)


# ---- the virtual environment ---------------------------------------------------------------------------------------


def install(*wanted: str) -> None:
    """Makes .venv hold what these requirements files list. Anew if a file that it holds has changed since."""
    held = read_json(INSTALLED)
    if any(not (ROOT / name).exists() or digest(ROOT / name) != value for name, value in held.items()):
        say("requirements have changed")
        held = {}
    if not held or subprocess.run([VENV_PYTHON, "-I", "-c", ""], stderr=subprocess.DEVNULL).returncode:
        make_venv()
        held = {}
    missing = [name for name in wanted if name not in held]
    for name in missing:
        say(f"Installing {name}")
        pip_install(name)
    if missing:
        INSTALLED.write_text(json.dumps({**held, **{name: digest(ROOT / name) for name in missing}}))


def make_venv() -> None:
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise BuildError(f"{sys.executable} can't make a virtual environment: apt-get install python3-venv, then again")
    say(f"Making .venv with Python {sys.version.split()[0]}")
    shutil.rmtree(VENV, ignore_errors=True)
    if subprocess.run([sys.executable, "-I", "-m", "venv", VENV]).returncode:
        raise BuildError(f"{sys.executable} could not make .venv; on Debian: apt-get install python3-venv, then again")


def pip_install(name: str, *options: str) -> None:
    """Fetches the wheels into WHEELS and installs from there: what was fetched once serves later, without a network."""
    pip = [str(VENV_PYTHON), "-I", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    rules = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(ROOT / name)]
    fetch = ["download", "--dest", str(WHEELS)]
    put = ["install", "--no-index", "--find-links", str(WHEELS), *options]
    for words in (fetch, put):
        if subprocess.run([*pip, *words, *rules]).returncode:
            raise BuildError(f"pip could not {words[0]} what {name} lists: its own words are above")


# ---- the file ------------------------------------------------------------------------------------------------------


def build() -> bool:
    """Builds FILE unless it is there and was built from the same inputs. True if it built."""
    inputs = inputs_digest()
    if FILE.exists() and read_json(STAMP) == {"inputs": inputs, "file": digest(FILE)}:
        return False
    install(BUILD)
    bundle_packages()
    say(f"Building {FILE.relative_to(ROOT)}")
    FILE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        stage, archive = Path(folder, "stage"), Path(folder, "shiv.pyz")
        shutil.copytree(BUNDLE, stage)
        for path in launcher_sources():
            copy = stage / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        run_shiv(stage, archive)
        write_file(archive)
    STAMP.write_text(json.dumps({"inputs": inputs, "file": digest(FILE)}))
    say(f"{FILE.relative_to(ROOT)}: {FILE.stat().st_size / 1000:.0f} kB, sha256 {digest(FILE)}")
    return True


def inputs_digest() -> str:
    """One hash of all that FILE is made from."""
    paths = [ROOT / name for name in ("build.py", "LICENSE", RUNTIME, BUILD)]
    paths += [*files_below(ROOT / "packaging"), *launcher_sources()]
    lines = [f"{digest(path)} {path.relative_to(ROOT)}\n" for path in sorted(paths)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def bundle_packages() -> None:
    """The packages of requirements.txt, trimmed, in BUNDLE: kept for the next build."""
    wanted = {RUNTIME: digest(ROOT / RUNTIME), "left out": list(LEFT_OUT)}
    if read_json(BUNDLED) == wanted:
        return
    say(f"Fetching the packages of {RUNTIME}")
    shutil.rmtree(BUNDLE, ignore_errors=True)
    pip_install(RUNTIME, "--no-compile", "--target", str(BUNDLE))
    for name in LEFT_OUT:
        shutil.rmtree(BUNDLE / name, ignore_errors=True)
    for path in list(files_below(BUNDLE)):
        if path.parent.suffix == ".dist-info" and path.name in PIP_NOTES:
            path.unlink()
        elif path.suffix in (".so", ".pyd", ".dylib"):
            raise BuildError(f"{path.relative_to(BUNDLE)} is machine code; the file must run on every machine")
    BUNDLED.write_text(json.dumps(wanted))


def launcher_sources() -> Iterator[Path]:
    return (path for path in files_below(ROOT / "launcher") if path.suffix == ".py")


def run_shiv(stage: Path, archive: Path) -> None:
    """shiv's archive: packages, bootstrap, and an identity by contents that names the folder it is unpacked to."""
    words = [str(VENV_PYTHON), "-I", "-m", "shiv", "--reproducible", "--entry-point", ENTRY_POINT]
    words += ["--site-packages", str(stage), "--output-file", str(archive)]
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    if subprocess.run(words, env=environment).returncode:
        raise BuildError("shiv could not pack the file: its own words are above")


def write_file(archive: Path) -> None:
    """FILE: the sh lines, then shiv's archive written anew with our own __main__."""
    with zipfile.ZipFile(archive) as source:
        members = {name: source.read(name) for name in source.namelist()}
    members["__main__.py"] = (ROOT / "packaging" / "zip_main.py").read_bytes()
    members["LICENSE"] = (ROOT / "LICENSE").read_bytes()
    unfinished = FILE.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        file.write((ROOT / "packaging" / "stub.sh").read_bytes())
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
            for name, content in sorted(members.items()):
                entry = zipfile.ZipInfo(name, ZIP_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.create_system = 3  # Unix, which external_attr is about
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                target.writestr(entry, content)
    unfinished.chmod(0o755)
    unfinished.replace(FILE)


# ---- small things --------------------------------------------------------------------------------------------------


def write_buildpack() -> None:
    """What a platform unpacks: the buildpack, and the built file beside its bin. The same bytes everywhere."""
    folder = ROOT / "buildpack"
    files = {str(path.relative_to(folder)): path for path in files_below(folder)} | {FILE.name: FILE}
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, path in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            entry.mode = 0o644 if path.suffix == ".sh" else 0o755
            with path.open("rb") as file:
                archive.addfile(entry, file)
    # not gzip.compress: what it notes as the system differs between Pythons
    with BUILDPACK.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        packed.write(tar.getvalue())


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two runs in one checkout build and install one after the other."""
    descriptor = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another build.py in this folder")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def become(words: list[str]) -> NoReturn:
    """Ends this process in favour of another: its signals and its exit status are then its own."""
    sys.stdout.flush()
    os.execv(words[0], words)


def files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - NOT_OURS)
        yield from (Path(parent, name) for name in sorted(names))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """What a note of ours says; nothing if it is not there or was not wholly written."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def say(text: str) -> None:
    print(f"-----> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
