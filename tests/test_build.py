"""build.py: the same file from everywhere, made anew only when something has changed, and clear words when it can't."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from launcher.launcher_options import LauncherOptions
from launcher.options import declared
from tests.needs import PYTHONS, unavailable
from tests.pythons import need_python, supported_pythons

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("build.py", "LICENSE", "requirements.txt", "requirements-build.txt", "packaging", "launcher", "buildpack")
PRODUCT = "dist/start-traffic-duplicator.pyz"
ARCHIVE = "dist/traffic-duplicator-buildpack.tgz"
WHEELS = ROOT / ".build" / "wheels"


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


def run_build(
    folder: Path, *words: str, python: Sequence[str] = (sys.executable,), umask: int = 0o022, **environ: str
) -> str:
    """Runs build.py in `folder`, with the wheels that the real build has fetched and without a network."""
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(WHEELS)}
    result = subprocess.run(
        [*python, str(folder / "build.py"), *words],
        env={**os.environ, **offline, **environ}, umask=umask, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources in which one build has run."""
    if not WHEELS.exists():
        pytest.fail("no wheels in .build: run `python3 build.py test`")
    folder = copy_sources(tmp_path_factory.mktemp("checkout") / "a")
    run_build(folder, "buildpack", python=[supported_pythons()[0]], umask=0o022)
    return folder


def test_folder_umask_time_and_python_leave_no_trace_in_the_file(checkout: Path, tmp_path: Path) -> None:
    pythons = supported_pythons()
    if len(pythons) < 2:
        unavailable(f"this machine has only one Python from 3.10 to 3.14: {pythons[0]}", PYTHONS)
    other = tmp_path / "another, longer folder"
    for name in SOURCES:  # from the first copy: the checkout itself may be worked on meanwhile
        other.mkdir(exist_ok=True)
        (shutil.copytree if (checkout / name).is_dir() else shutil.copy)(checkout / name, other / name)
    trap = {"SOURCE_DATE_EPOCH": "1700000000", "TZ": "Asia/Kathmandu", "LC_ALL": "C"}
    run_build(other, "buildpack", python=[pythons[-1]], umask=0o077, **trap)
    for product in (PRODUCT, ARCHIVE):
        first, second = ((folder / product).read_bytes() for folder in (checkout, other))
        assert hashlib.sha256(first).hexdigest() == hashlib.sha256(second).hexdigest(), product


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


def test_a_changed_list_of_requirements_is_fetched_anew(checkout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    shutil.copytree(checkout, folder, symlinks=True)
    with (folder / "requirements-build.txt").open("a") as file:
        file.write("# one more line\n")
    assert run_build(folder).startswith("-----> Fetching the packages of requirements-build.txt\n-----> Building")


# ---- where pip comes from ------------------------------------------------------------------------------------------

NO_ENSUREPIP = (
    "import runpy, sys; sys.modules['ensurepip'] = None; del sys.argv[0]; "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


@pytest.fixture
def no_pip(tmp_path: Path) -> str:
    """A Python that has no pip of its own."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "no-pip"], check=True)
    return str(tmp_path / "no-pip" / "bin" / "python")


def test_a_python_with_pip_and_without_ensurepip_builds(tmp_path: Path) -> None:
    """As on Heroku's build images, whose python3 can't make a virtual environment."""
    folder = copy_sources(tmp_path / "d")
    run_build(folder, python=[sys.executable, "-c", NO_ENSUREPIP])
    assert (folder / PRODUCT).exists()
    assert not (folder / ".venv").exists()


def test_a_python_with_ensurepip_and_without_pip_builds(tmp_path: Path, no_pip: str) -> None:
    folder = copy_sources(tmp_path / "d")
    assert "Making .venv" in run_build(folder, python=[no_pip])
    assert (folder / PRODUCT).exists()


def test_a_python_without_either_is_told_what_to_install_or_to_use_instead(tmp_path: Path, no_pip: str) -> None:
    folder = copy_sources(tmp_path / "d")
    words = [no_pip, "-c", NO_ENSUREPIP, str(folder / "build.py")]
    result = subprocess.run(words, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == (
        f"Error: {no_pip} has neither pip nor ensurepip: apt-get install python3-pip (or python3-venv), then again; or "
        "use the archive that `python3 build.py buildpack` makes on another machine\n"
    )
    assert not (folder / ".venv").exists()


@pytest.mark.parametrize("release", ["3.7", "3.8", "3.9"])
def test_an_older_python_gets_one_line(release: str) -> None:
    result = subprocess.run([need_python(release), str(ROOT / "build.py")], capture_output=True, text=True)
    assert result.returncode == 2
    assert re.fullmatch(rf"Error: build.py needs Python 3.10 or newer, this is {release}\.\d+\n", result.stderr)


@pytest.mark.parametrize("command", ["", "demo", "test", "lint", "audit", "bench", "buildpack"])
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
    assert {"__main__.py", "unpacking.py", "LICENSE", "site-packages/launcher/cli.py"} <= set(names)
    assert {"slug/boot.py", "slug/start-traffic-duplicator"} <= set(names)
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


def launching_texts(built: Path) -> dict[str, str]:
    """What starts the launcher, and must find COMMAND without it."""
    content = built.read_bytes()
    with zipfile.ZipFile(built) as archive:
        return {
            "the sh lines": content[: content.index(b"PK\3\4")].decode(),
            "the wrapper": archive.read("slug/start-traffic-duplicator").decode(),
            "__main__": archive.read("__main__.py").decode(),
            "boot.py": archive.read("slug/boot.py").decode(),
        }


def test_what_starts_the_launcher_knows_its_options(built: Path) -> None:
    every = declared(LauncherOptions).values()
    options = [option for option in every if option.flag and not option.starts_nothing]
    with_value = " ".join(option.flag for option in options if option.takes_value)
    switches = " ".join(option.flag for option in options if not option.takes_value)
    for name, text in launching_texts(built).items():
        assert re.findall(r"(?i)value_flags ?= ?['\"](--[^'\"]*)", text) == [with_value], name
        assert re.findall(r"(?i)switches ?= ?['\"](--[^'\"]*)", text) == [switches], name
        assert not re.search(r"@[A-Z_]+@|only in the", text), name


def test_one_text_makes_both_forms(built: Path) -> None:
    texts = launching_texts(built)
    assert texts["__main__"] == texts["boot.py"]
    lines, wrapper = (set(texts[name].splitlines()) for name in ("the sh lines", "the wrapper"))
    assert len(lines & wrapper) > 100
    assert not [line for line in lines if "boot.py" in line and not line.startswith("#")]
    assert not [line for line in wrapper if "zipimport" in line or "python3.14" in line]
    subprocess.run(["sh", "-n"], input=texts["the wrapper"], text=True, check=True)


# ---- the buildpack's archive ---------------------------------------------------------------------------------------


def members(archive: Path) -> dict[str, int]:
    with tarfile.open(archive) as tar:
        return {member.name: member.mode for member in tar.getmembers()}


def test_the_archive_holds_the_buildpack_and_the_file_and_says_its_size_and_sum(checkout: Path) -> None:
    found = members(checkout / ARCHIVE)
    programs = {name for name in found if name.startswith("bin/")} | {Path(PRODUCT).name}
    assert {"bin/detect", "bin/compile", "bin/release", "lib/output.sh"} <= set(found)
    assert {name for name, mode in found.items() if mode == 0o755} == programs
    assert {found[name] for name in set(found) - programs} == {0o644}
    said = run_build(checkout, "buildpack")
    digest = hashlib.sha256((checkout / ARCHIVE).read_bytes()).hexdigest()
    assert re.fullmatch(rf"-----> {ARCHIVE}, without gor: \d+ kB, sha256 {digest}\n", said)


def test_a_given_gor_goes_into_the_archive_with_its_licence(checkout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    shutil.copytree(checkout, folder, symlinks=True)
    gor = tmp_path / "some gor"
    gor.write_text("a program")
    words = [sys.executable, str(folder / "build.py"), "buildpack", "--with-gor", str(gor)]
    refused = subprocess.run(words, capture_output=True, text=True)
    assert (refused.returncode, refused.stderr) == (1, f"Error: --with-gor: {gor}.LICENSE is missing\n")
    (tmp_path / "some gor.LICENSE").write_text("a licence")
    assert f"-----> {ARCHIVE}, with gor: " in run_build(folder, "buildpack", "--with-gor", str(gor))
    found = members(folder / ARCHIVE)
    assert (found["gor/goreplay"], found["gor/LICENSE"]) == (0o755, 0o644)
