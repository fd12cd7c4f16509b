from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from launcher.gor.folder import install_helper, make_private_folder

PACKAGE = Path(__file__).parent.parent.parent / "launcher"


def test_the_folder_is_new_and_nobody_else_s(tmp_path: Path) -> None:
    first, second = make_private_folder([str(tmp_path)]), make_private_folder([str(tmp_path)])
    assert first != second
    assert first.parent == second.parent == tmp_path
    assert stat.S_IMODE(first.stat().st_mode) == 0o700
    assert list(first.iterdir()) == []


def test_by_default_it_is_somewhere_without_a_space() -> None:
    folder = make_private_folder()
    shutil.rmtree(folder)
    assert " " not in str(folder)


def test_a_temporary_folder_with_a_space_is_passed_over(tmp_path: Path) -> None:
    spaced, good = tmp_path / "with space", tmp_path / "good"
    spaced.mkdir()
    good.mkdir()
    assert make_private_folder([str(spaced), str(tmp_path / "missing"), str(good)]).parent == good


def test_without_any_place_the_error_names_each_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="set TMPDIR") as caught:
        make_private_folder([f"{tmp_path}/a b", f"{tmp_path}/missing"])
    assert f"{tmp_path}/a b: has a space in its path" in str(caught.value)
    assert f"{tmp_path}/missing: No such file or directory" in str(caught.value)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that has no pipes")
def test_a_place_that_can_hold_no_pipe_is_named() -> None:
    with pytest.raises(OSError, match="/proc/self: "):
        make_private_folder(["/proc/self"])


def runs(command: list[str]) -> bool:
    """Whether the helper starts: without a pipe's path it says so, with one line, and ends what started it."""
    script = 'import subprocess, sys; subprocess.run(sys.argv[1:], stdin=subprocess.PIPE, stderr=2)'
    words = [sys.executable, "-c", script, *command, "/no/such/pipe"]
    result = subprocess.run(words, capture_output=True, text=True)
    return result.stderr.startswith("[GOR-HELPER] FileNotFoundError") and result.stderr.count("\n") == 1


def test_the_helper_runs_from_the_private_folder(tmp_path: Path) -> None:
    command = install_helper(tmp_path)
    assert command == [sys.executable, "-I", "-S", "-u", str(tmp_path / "gor_helper.py")]
    assert (tmp_path / "gor_helper.py").read_bytes() == (PACKAGE / "gor" / "helper.py").read_bytes()
    assert runs(command)


def test_a_python_whose_path_has_a_space_gets_a_name_without_one(tmp_path: Path) -> None:
    spaced = tmp_path / "my python"
    spaced.symlink_to(sys.executable)
    private = tmp_path / "private"
    private.mkdir()
    command = install_helper(private, python=str(spaced))
    assert not any(" " in word for word in command)
    assert runs(command)


def test_the_helper_comes_out_of_a_zip_too(tmp_path: Path) -> None:
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for name in ("__init__.py", "gor/__init__.py", "gor/folder.py", "gor/helper.py"):
            file.write(PACKAGE / name, f"launcher/{name}")
    private = tmp_path / "private"
    private.mkdir()
    script = "import sys, pathlib, launcher.gor.folder as f; f.install_helper(pathlib.Path(sys.argv[1]))"
    environ = {**os.environ, "PYTHONPATH": str(packed)}
    subprocess.run([sys.executable, "-c", script, str(private)], env=environ, cwd=tmp_path, check=True)
    assert (private / "gor_helper.py").read_bytes() == (PACKAGE / "gor" / "helper.py").read_bytes()
