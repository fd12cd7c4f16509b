"""bin/detect, bin/compile and bin/release as a platform calls them: whole outputs, and what the slug then holds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ENVIRON = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_DIR": ".", "PYTHONHOME": "/nonexistent"}


@pytest.fixture(scope="module")
def archive():
    """What `python3 build.py buildpack` makes."""
    subprocess.run([sys.executable, ROOT / "build.py", "buildpack"], check=True, capture_output=True)
    return ROOT / "dist" / "traffic-duplicator-buildpack.tgz"


@pytest.fixture
def buildpack(tmp_path, archive):
    """The buildpack as a platform unpacks it."""
    folder = tmp_path / "buildpack"
    shutil.unpack_archive(archive, folder)
    return folder


@pytest.fixture
def app(tmp_path):
    folder = tmp_path / "build"
    folder.mkdir()
    return folder


def run(buildpack: Path, name: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [buildpack / "bin" / name, *arguments], env=ENVIRON, capture_output=True, text=True, timeout=120, check=False
    )


def compile_app(buildpack: Path, app: Path) -> subprocess.CompletedProcess[str]:
    return run(buildpack, "compile", app, app.parent / "cache", app.parent / "env")


def version(pyz: str) -> str:
    return subprocess.run([pyz, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def test_the_archive_is_the_same_when_it_is_made_again(archive):
    before = archive.read_bytes()
    os.utime(ROOT / "buildpack" / "bin" / "compile")
    subprocess.run([sys.executable, ROOT / "build.py", "buildpack"], check=True, capture_output=True)
    assert archive.read_bytes() == before


def test_detect_says_yes_to_any_app(buildpack, app):
    done = run(buildpack, "detect", app)
    assert (done.returncode, done.stdout, done.stderr) == (0, "traffic-duplicator\n", "")


def test_release_changes_no_process_types(buildpack, app):
    done = run(buildpack, "release", app)
    assert (done.returncode, done.stdout, done.stderr) == (0, "--- {}\n", "")


def test_compile_installs_the_word_and_says_what_to_do(buildpack, app, pyz):
    done = compile_app(buildpack, app)
    assert done.stderr == ""
    assert done.stdout == (
        "-----> Installing traffic-duplicator\n"
        f"       {version(pyz)}\n"
        "       Put the word into your Procfile: web: start-traffic-duplicator COMMAND...\n"
    )
    assert done.returncode == 0


def test_the_slug_works_where_it_is_moved_to(buildpack, app, tmp_path, pyz):
    (app / "Procfile").write_text("web: start-traffic-duplicator ./app -p $PORT\n")
    done = compile_app(buildpack, app)
    assert done.stdout.endswith("       Your Procfile uses it\n")
    home = app.rename(tmp_path / "app")
    for word in ("start-traffic-duplicator", "bin/start-traffic-duplicator"):
        command = f'for script in "$HOME"/.profile.d/*.sh; do . "$script"; done; {word} --version'
        ran = subprocess.run(
            ["bash", "-c", command], cwd=home, env={"PATH": os.environ["PATH"], "HOME": str(home)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert ran.stdout.strip() == version(pyz)


def test_an_app_s_own_file_of_that_name_is_left_alone(buildpack, app):
    (app / "bin").mkdir()
    (app / "bin" / "start-traffic-duplicator").write_text("mine")
    assert compile_app(buildpack, app).returncode == 0
    assert (app / "bin" / "start-traffic-duplicator").read_text() == "mine"


def test_a_second_compile_gives_the_same_slug(buildpack, app):
    def tree() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in app.rglob("*") if path.is_file()}

    compile_app(buildpack, app)
    before = tree()
    compile_app(buildpack, app)
    assert tree() == before


def test_a_file_that_does_not_run_fails_the_build_and_says_why(buildpack, app):
    (buildpack / "start-traffic-duplicator.pyz").write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    done = compile_app(buildpack, app)
    assert done.returncode == 1
    assert done.stderr == (
        " !     start-traffic-duplicator does not run in this image:\n"
        " !     broken\n"
        " !     It needs Python 3.10 or newer, in the image or from a buildpack before this one.\n"
    )
