"""build.py: the same file from everywhere, made anew only when something has changed, and clear words when it can't."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from launcher.launcher_options import LauncherOptions
from launcher.options import declared
from tests.needs import PYTHONS, unavailable
from tests.pythons import need_python, supported_pythons

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("build.py", "LICENSE", "requirements.txt", "requirements-build.txt", "packaging", "launcher")
PRODUCT = "dist/start-traffic-duplicator.pyz"
WHEELS = ROOT / ".venv" / "wheels"


@pytest.fixture(scope="module")
def built() -> Path:
    path = Path(os.environ.get("TRAFFIC_DUPLICATOR_PYZ", ROOT / PRODUCT))
    assert path.exists(), "python3 build.py makes the file that these tests are about"
    return path


def copy_sources(folder: Path) -> Path:
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def run_build(folder: Path, *, python: str = sys.executable, umask: int = 0o022, **environ: str) -> str:
    """Runs build.py in `folder`, with the wheels that the real build has fetched and without a network."""
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(WHEELS)}
    result = subprocess.run(
        [python, str(folder / "build.py")],
        env={**os.environ, **offline, **environ}, umask=umask, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources in which one build has run."""
    if not WHEELS.exists():
        pytest.fail("no wheels in .venv: run `python3 build.py test`")
    folder = copy_sources(tmp_path_factory.mktemp("checkout") / "a")
    run_build(folder, python=supported_pythons()[0], umask=0o022)
    return folder


def test_folder_umask_time_and_python_leave_no_trace_in_the_file(checkout: Path, tmp_path: Path) -> None:
    pythons = supported_pythons()
    if len(pythons) < 2:
        unavailable(f"this machine has only one Python from 3.10 to 3.14: {pythons[0]}", PYTHONS)
    other = tmp_path / "another, longer folder"
    for name in SOURCES:  # from the first copy: the checkout itself may be worked on meanwhile
        other.mkdir(exist_ok=True)
        (shutil.copytree if (checkout / name).is_dir() else shutil.copy)(checkout / name, other / name)
    run_build(other, python=pythons[-1], umask=0o077, SOURCE_DATE_EPOCH="1700000000", TZ="Asia/Kathmandu", LC_ALL="C")
    first, second = ((folder / PRODUCT).read_bytes() for folder in (checkout, other))
    assert hashlib.sha256(first).hexdigest() == hashlib.sha256(second).hexdigest()


def test_the_second_build_touches_nothing(checkout: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in checkout.rglob("*")}
    assert run_build(checkout) == f"-----> {PRODUCT} is up to date\n"
    assert {path: path.stat().st_mtime_ns for path in checkout.rglob("*")} == before


def test_a_changed_source_and_a_damaged_file_are_built_anew(checkout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    shutil.copytree(checkout, folder, symlinks=True)
    good = (folder / PRODUCT).read_bytes()
    (folder / PRODUCT).write_bytes(good[:1000])
    assert "Building" in run_build(folder)
    assert (folder / PRODUCT).read_bytes() == good
    (folder / "launcher" / "__init__.py").write_text('__version__ = "0.1.1"\n')
    assert "Building" in run_build(folder)
    assert (folder / PRODUCT).read_bytes() != good


def test_a_changed_list_of_requirements_makes_the_environment_anew(checkout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    shutil.copytree(checkout, folder, symlinks=True)
    with (folder / "requirements-build.txt").open("a") as file:
        file.write("# one more line\n")
    assert "requirements have changed\n-----> Making .venv" in run_build(folder)


def test_a_python_without_ensurepip_is_told_which_package_to_install(tmp_path: Path) -> None:
    folder = copy_sources(tmp_path / "d")
    program = "import runpy, sys; sys.modules['ensurepip'] = None; sys.argv = ['build.py']; "
    program += f"runpy.run_path({str(folder / 'build.py')!r}, run_name='__main__')"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: ")
    assert "apt-get install python3-venv" in result.stderr
    assert not (folder / ".venv").exists()


@pytest.mark.parametrize("release", ["3.7", "3.8", "3.9"])
def test_an_older_python_gets_one_line(release: str) -> None:
    result = subprocess.run([need_python(release), str(ROOT / "build.py")], capture_output=True, text=True)
    assert result.returncode == 2
    assert re.fullmatch(rf"Error: build.py needs Python 3.10 or newer, this is {release}\.\d+\n", result.stderr)


@pytest.mark.parametrize("command", ["", "demo", "test", "lint"])
def test_each_command_explains_itself(command: str) -> None:
    words = [sys.executable, str(ROOT / "build.py"), *command.split(), "--help"]
    result = subprocess.run(words, capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stdout.startswith(f"usage: build.py {command or '[-h]'}")


def test_every_requirement_is_pinned_with_hashes() -> None:
    for path in ROOT.glob("requirements*.txt"):
        text = path.read_text()
        pinned = re.findall(r"^[a-z0-9-]+==[\w.]+(?: ; .+)? \\\n    --hash=sha256:[0-9a-f]{64}\b", text, re.MULTILINE)
        assert len(pinned) == len(re.findall(r"^[^#\s]", text, re.MULTILINE)) > 0, path.name


def test_what_the_file_carries_is_judged_by_no_marker() -> None:
    text = (ROOT / "requirements.txt").read_text()
    assert " ; " not in text
    assert {"trio", "exceptiongroup", "typing-extensions"} <= set(re.findall(r"^([a-z-]+)==", text, re.MULTILINE))


def test_the_file_carries_what_is_listed_without_tests_and_machine_code(built: Path) -> None:
    with zipfile.ZipFile(built) as archive:
        names = archive.namelist()
        identity = json.loads(archive.read("environment.json"))
    listed = re.findall(r"^([a-z-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    for name, version in listed:
        assert f"site-packages/{name.replace('-', '_')}-{version}.dist-info/METADATA" in names
    assert {"__main__.py", "LICENSE", "_bootstrap/__init__.py", "site-packages/launcher/cli.py"} <= set(names)
    assert identity["entry_point"] == "launcher.cli:main"
    unwanted = re.compile(r"/(_tests|_tools|bin|__pycache__)/|\.(so|py[cd]|dylib)$|/(RECORD|INSTALLER|direct_url\W.*)$")
    assert [name for name in names if unwanted.search(name)] == []


def test_the_archive_has_one_order_one_date_and_one_mode(built: Path) -> None:
    with zipfile.ZipFile(built) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
    assert built.stat().st_mode & 0o777 == 0o755


def test_the_sh_lines_know_every_option_that_takes_no_value() -> None:
    """Where there is no Python they must find COMMAND behind the options: see packaging/stub.sh."""
    stub = (ROOT / "packaging" / "stub.sh").read_text()
    known = re.search(r"^ *(--strict \| .*)\) td_say", stub, re.MULTILINE)
    assert known
    switches = {option.flag for option in declared(LauncherOptions).values() if not option.takes_value}
    assert switches <= set(known[1].split(" | "))
