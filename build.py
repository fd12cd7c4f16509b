#!/usr/bin/env python3
"""Builds, shows, tests and checks traffic-duplicator. Needs Python 3.10 to 3.14, pip and a way to the package index.

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
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent
FILE = ROOT / "dist" / "start-traffic-duplicator.pyz"
BUILDPACK = ROOT / "dist" / "traffic-duplicator-buildpack.tgz"
STAMP = ROOT / "dist" / ".inputs.json"  # what FILE was built from
KEPT = ROOT / ".build"  # between builds
WHEELS = KEPT / "wheels"
TOOLS = KEPT / "tools"  # the packages that pack FILE
BUNDLE = KEPT / "bundle"  # the packages that go into FILE
VENV = ROOT / ".venv"  # for tests and checks
VENV_PYTHON = VENV / "bin" / "python"
INSTALLED = VENV / "installed.json"  # which requirements the environment holds, by their hash

PACKAGING = ROOT / "packaging"
ONLY_IN = {"file": "only in the slug", "slug": "only in the file"}  # a form, and the mark of the other's lines
RUNTIME, BUILD, DEVELOPMENT = "requirements.txt", "requirements-build.txt", "requirements-dev.txt"
FUZZING = "requirements-fuzz.txt"
MUTATION = "requirements-mutation.txt"
REQUIREMENTS = (RUNTIME, BUILD, DEVELOPMENT, FUZZING, MUTATION)
ENTRY_POINT = "launcher.cli:main"
LEFT_OUT = ("trio/_tests", "trio/_core/_tests", "trio/_tools", "sniffio/_tests", "bin")
SHIVS_OWN = "_bootstrap/"  # its start: packaging/boot.py is ours
PIP_NOTES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")  # they differ from place to place
ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
SHEBANG = re.compile(rb"#!\s*/(usr/)?bin/(env +)?(ba)?sh\b")
CACHES = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
NOT_OURS = {".git", ".venv", ".build", "dist", *CACHES}


class BuildError(Exception):
    """What went wrong, and what to do about it."""


def main(argv: Sequence[str]) -> int:
    if sys.version_info < (3, 10):  # noqa: UP036 - said in one line, not in a traceback
        print(f"Error: build.py needs Python 3.10 or newer, this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    ours, passed_on = split_arguments(list(argv))
    arguments = argument_parser().parse_args(ours)
    try:
        status: int = arguments.run(arguments, passed_on)
        return status
    except BuildError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def split_arguments(argv: list[str]) -> tuple[list[str], list[str]]:
    """Our own words, and those that `demo`, `test`, `fuzz`, `mutate`, `bench` and `faults` hand on as they are."""
    passing = (["demo"], ["test"], ["fuzz"], ["mutate"], ["bench"], ["faults"])
    if argv[:1] in passing and argv[1:2] not in (["-h"], ["--help"]):
        return argv[:1], argv[1:]
    return argv, []


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="build.py",
        usage="build.py [-h] [COMMAND ...]",
        description=f"Builds {FILE.relative_to(ROOT)} (without a command), or runs one of the commands.",
        epilog="What requirements*.txt list is fetched once, and kept in .build and .venv.",
    )
    parser.set_defaults(run=build_command)
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, run, usage, meaning in (
        ("demo", demo_command, "[--keep | --compare] [-- COMMAND...]",
         "run an app behind the file, send traffic, show what came"),
        ("test", test_command, "[PYTEST ARGUMENTS...]", "run the tests on the built file; GOR=path names a real gor"),
        ("lint", lint_command, "", "check with ruff, mypy --strict and, where present, shellcheck"),
        ("fuzz", fuzz_command, "[TARGET...] [--seconds N]", "look for inputs that break a promise: docs/fuzzing.md"),
        ("audit", audit_command, "", "list what the file carries, by version and hash; ask pip-audit, if it is there"),
        ("mutate", mutate_command, "[MODULE...]", "change the code, and tell what no test notices: docs/mutation.md"),
        ("bench", bench_command, "[--quick] [--write]", "measure the file against a bare Python and other proxies"),
        ("faults", faults_command, "[NAME...] [--quick] [--write]", "what clients see when things go wrong"),
        ("buildpack", buildpack_command, "[--with-gor [PATH]]", f"make {BUILDPACK.relative_to(ROOT)}"),
    ):
        command = commands.add_parser(name, help=meaning, description=meaning, usage=f"build.py {name} {usage}")
        command.set_defaults(run=run)
        if name == "buildpack":
            command.add_argument(
                "--with-gor", nargs="?", const="", metavar="PATH",
                help="put a static gor into it, with its licence: PATH and PATH.LICENSE, or built by static_gor.sh",
            )  # fmt: skip
    return parser


# ---- commands ------------------------------------------------------------------------------------------------------


def build_command(arguments: argparse.Namespace, passed_on: Sequence[str]) -> int:
    with one_at_a_time():
        if not build():
            say(f"{FILE.relative_to(ROOT)} is up to date")
    return 0


def demo_command(arguments: argparse.Namespace, passed_on: Sequence[str]) -> NoReturn:
    with one_at_a_time():
        build()
    become([sys.executable, str(ROOT / "demo" / "demo.py"), str(FILE), *passed_on])


def test_command(arguments: argparse.Namespace, passed_on: Sequence[str]) -> NoReturn:
    with one_at_a_time():
        build()
        install(RUNTIME, DEVELOPMENT)
    names_a_path = any((ROOT / word.partition("::")[0]).exists() for word in passed_on if not word.startswith("-"))
    os.environ["TRAFFIC_DUPLICATOR_PYZ"] = str(FILE)
    os.chdir(ROOT)
    become([str(VENV_PYTHON), "-m", "pytest", *([] if names_a_path else ["tests"]), *passed_on])


def lint_command(arguments: argparse.Namespace, passed_on: Sequence[str]) -> int:
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


def fuzz_command(arguments: argparse.Namespace, passed_on: Sequence[str]) -> NoReturn:
    with one_at_a_time():
        install(RUNTIME, DEVELOPMENT, FUZZING)
    os.chdir(ROOT)
    become([str(VENV_PYTHON), "-m", "fuzz", *passed_on])


def mutate_command(arguments: argparse.Namespace, passed_on: Sequence[str]) -> NoReturn:
    with one_at_a_time():
        install(RUNTIME, DEVELOPMENT, MUTATION)
    os.chdir(ROOT)
    become([str(VENV_PYTHON), "-m", "mutation", *passed_on])


def audit_command(arguments: argparse.Namespace, passed_on: Sequence[str]) -> NoReturn:
    with one_at_a_time():
        build()
    become([sys.executable, str(PACKAGING / "audit.py"), str(FILE), *(str(ROOT / name) for name in REQUIREMENTS)])


def bench_command(arguments: argparse.Namespace, passed_on: Sequence[str]) -> NoReturn:
    with one_at_a_time():
        build()
    status = subprocess.run([sys.executable, str(ROOT / "bench" / "start.py")]).returncode
    if status:
        sys.exit(status)
    become([sys.executable, str(ROOT / "bench" / "proxies.py"), *passed_on])


def faults_command(arguments: argparse.Namespace, passed_on: Sequence[str]) -> NoReturn:
    with one_at_a_time():
        build()
        install(RUNTIME, DEVELOPMENT)
    os.environ["TRAFFIC_DUPLICATOR_PYZ"] = str(FILE)
    os.chdir(ROOT)
    become([str(VENV_PYTHON), "-m", "faults", *passed_on])


def buildpack_command(arguments: argparse.Namespace, passed_on: Sequence[str]) -> int:
    with one_at_a_time():
        build()
        gor = None if arguments.with_gor is None else static_gor(arguments.with_gor)
        write_buildpack(gor)
    what = f"{BUILDPACK.relative_to(ROOT)}, {'with' if gor else 'without'} gor"
    say(f"{what}: {BUILDPACK.stat().st_size / 1000:.0f} kB, sha256 {digest(BUILDPACK)}")
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


# ---- packages ------------------------------------------------------------------------------------------------------


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
        pip_install([str(VENV_PYTHON), "-I", "-m", "pip"], name)
    if missing:
        INSTALLED.write_text(json.dumps({**held, **{name: digest(ROOT / name) for name in missing}}))


def fetch(name: str, folder: Path) -> None:
    """Makes `folder` hold the packages that a requirements file lists, unless it does."""
    note, wanted = folder.with_suffix(".json"), {name: digest(ROOT / name)}
    if read_json(note) == wanted and folder.exists():
        return
    say(f"Fetching the packages of {name}")
    note.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    KEPT.mkdir(exist_ok=True)
    (KEPT / ".gitignore").write_text("*\n")
    pip_install(any_pip(), name, "--no-compile", "--target", str(folder))
    note.write_text(json.dumps(wanted))


def any_pip() -> list[str]:
    """The words that run a pip: this Python's own, else that of .venv. A build image may have either."""
    for python in (sys.executable, str(VENV_PYTHON)):
        pip = [python, "-I", "-m", "pip"]
        if os.path.exists(python) and not subprocess.run([*pip, "--version"], capture_output=True).returncode:
            return pip
    if not can_make_venv():
        raise BuildError(
            f"{sys.executable} has neither pip nor ensurepip: apt-get install python3-pip (or python3-venv), then "
            f"again; or use the archive that `python3 build.py buildpack` makes on another machine"
        )
    make_venv()
    return pip


def can_make_venv() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip"))


def make_venv() -> None:
    if not can_make_venv():
        raise BuildError(f"{sys.executable} can't make a virtual environment: apt-get install python3-venv, then again")
    say(f"Making .venv with Python {sys.version.split()[0]}")
    shutil.rmtree(VENV, ignore_errors=True)
    if subprocess.run([sys.executable, "-I", "-m", "venv", VENV]).returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        raise BuildError(f"{sys.executable} could not make .venv; on Debian: apt-get install python3-venv, then again")


def pip_install(pip: Sequence[str], name: str, *options: str) -> None:
    """Fetches the wheels into WHEELS and installs from there: what was fetched once serves later, without a network."""
    rules = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(ROOT / name)]
    fetch = ["download", "--dest", str(WHEELS)]
    put = ["install", "--no-index", "--find-links", str(WHEELS), *options]
    environment = {"PIP_ROOT_USER_ACTION": "ignore", **os.environ}  # else it warns root of what --target can't do
    for words in (fetch, put):
        command = [*pip, "--quiet", "--disable-pip-version-check", *words, *rules]
        if subprocess.run(command, env=environment).returncode:
            raise BuildError(f"pip could not {words[0]} what {name} lists: its own words are above")


# ---- the file ------------------------------------------------------------------------------------------------------


def build() -> bool:
    """Builds FILE unless it is there and was built from the same inputs. True if it built."""
    inputs = inputs_digest()
    if FILE.exists() and read_json(STAMP) == {"inputs": inputs, "file": digest(FILE)}:
        return False
    fetch(BUILD, TOOLS)
    fetch(RUNTIME, BUNDLE)
    say(f"Building {FILE.relative_to(ROOT)}")
    FILE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        stage, archive = Path(folder, "stage"), Path(folder, "shiv.pyz")
        shutil.copytree(BUNDLE, stage)
        trim(stage)
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
    paths += [PACKAGING / name for name in ("boot.py", "stub.sh", "unpacking.py")]
    paths += launcher_sources()
    lines = [f"{digest(path)} {path.relative_to(ROOT)}\n" for path in sorted(paths)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def trim(packages: Path) -> None:
    """Takes out what the file must not carry. Raises BuildError if that includes something that it needs."""
    for name in LEFT_OUT:
        shutil.rmtree(packages / name, ignore_errors=True)
    for path in list(files_below(packages)):
        if path.parent.suffix == ".dist-info" and path.name in PIP_NOTES:
            path.unlink()
        elif path.suffix in (".so", ".pyd", ".dylib"):
            raise BuildError(f"{path.relative_to(packages)} is machine code; the file must run on every machine")


def launcher_sources() -> Iterator[Path]:
    return (path for path in files_below(ROOT / "launcher") if path.suffix == ".py")


def run_shiv(stage: Path, archive: Path) -> None:
    """shiv's archive: packages, bootstrap, and an identity by contents that names the folder it is unpacked to."""
    program = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); from shiv.cli import main; main()"
    words = [sys.executable, "-I", "-c", program, "--reproducible", "--entry-point", ENTRY_POINT]
    words += ["--site-packages", str(stage), "--output-file", str(archive)]
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    if subprocess.run(words, env=environment).returncode:
        raise BuildError("shiv could not pack the file: its own words are above")


def write_file(archive: Path) -> None:
    """FILE: the sh lines, then shiv's archive written anew with our own __main__, and what a slug needs beside it."""
    with zipfile.ZipFile(archive) as source:
        members = {name: source.read(name) for name in source.namelist() if not name.startswith(SHIVS_OWN)}
    values = launcher_values()
    boot = filled_in("boot.py", values)
    unpacking = (PACKAGING / "unpacking.py").read_bytes()
    members["__main__.py"] = members["slug/boot.py"] = boot
    members["unpacking.py"] = unpacking
    members["slug/start-traffic-duplicator"] = start_lines("slug", values, checked=boot)
    members["LICENSE"] = (ROOT / "LICENSE").read_bytes()
    unfinished = FILE.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        file.write(start_lines("file", values, checked=boot + unpacking))
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
            for name, content in sorted(members.items()):
                entry = zipfile.ZipInfo(name, ZIP_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.create_system = 3  # Unix, which external_attr is about
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                target.writestr(entry, content)
    unfinished.chmod(0o755)
    unfinished.replace(FILE)


def start_lines(form: str, values: Mapping[str, str], *, checked: bytes) -> bytes:
    """packaging/stub.sh as it stands before the archive (form "file") or in a slug. `checked` is what it runs."""
    text = filled_in("stub.sh", {**values, "CHECKSUM": str(zlib.crc32(checked))}).decode()
    other = f" # {ONLY_IN[form]}"
    lines = [line for line in text.splitlines() if not line.endswith(other)]
    own = [f" # {mark}" for mark in ONLY_IN.values()]
    return "".join(f"{line.removesuffix(own[0]).removesuffix(own[1])}\n" for line in lines).encode()


def filled_in(name: str, values: Mapping[str, str]) -> bytes:
    """A text of packaging/, with each @NAME@ replaced by its value."""
    text = (PACKAGING / name).read_text(encoding="utf-8")
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], text).encode()


def launcher_values() -> dict[str, str]:
    """What boot.py and the sh lines know of the launcher's options, to find COMMAND where the launcher can't."""
    sys.dont_write_bytecode = True  # the sources stay as they are
    sys.path.insert(0, str(ROOT))
    from launcher import launcher_options as own
    from launcher.options import declared

    with_value = own.value_flags()
    flags = [option.flag for option in declared(own.LauncherOptions).values() if option.flag]
    switches = [flag for flag in flags if flag not in (*with_value, *own.flags_that_start_nothing())]
    return {
        "VALUE_FLAGS": " ".join(with_value),
        "SWITCHES": " ".join(switches),
        "DEFAULT_PORT": str(own.DEFAULT_PORT),
    }


# ---- the buildpack -------------------------------------------------------------------------------------------------


def static_gor(path: str) -> Path:
    """A static gor with its licence in PATH.LICENSE: the one at `path`, or if that is empty one built by our script."""
    if path:
        file = Path(path)
    else:
        file = KEPT / "gor"
        say("Building a static gor (minutes, the first time)")
        KEPT.mkdir(exist_ok=True)
        if subprocess.run(["bash", PACKAGING / "static_gor.sh", file]).returncode:
            raise BuildError("there is no static gor: the reason is above; without --with-gor the archive has none")
    for needed in (file, licence_of(file)):
        if not needed.is_file():
            raise BuildError(f"--with-gor: {needed} is missing")
    return file


def licence_of(gor: Path) -> Path:
    return gor.with_name(f"{gor.name}.LICENSE")


def write_buildpack(gor: Path | None) -> None:
    """What a platform unpacks: the buildpack, the built file beside its bin, and a gor. The same bytes everywhere."""
    folder = ROOT / "buildpack"
    files = {str(path.relative_to(folder)): path for path in files_below(folder)} | {FILE.name: FILE}
    if gor is not None:
        files |= {"gor/goreplay": gor, "gor/LICENSE": licence_of(gor)}
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, path in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            is_program = name.startswith("bin/") or path in (FILE, gor)
            entry.mode = 0o755 if is_program else 0o644
            with path.open("rb") as file:
                archive.addfile(entry, file)
    # not gzip.compress: what it notes as the system differs between Pythons
    with BUILDPACK.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        packed.write(tar.getvalue())


# ---- small things --------------------------------------------------------------------------------------------------


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
