from __future__ import annotations

import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from launcher.gor.folder import helper_program, make_place

PACKAGE = Path(__file__).parent.parent.parent / "launcher"
PROGRAM = (PACKAGE / "gor" / "helper.py").read_bytes()


def test_the_folder_is_new_and_nobody_else_s(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        first, second = make_place(PROGRAM, [str(tmp_path)]), make_place(PROGRAM, [str(tmp_path)])
    finally:
        os.umask(mask)
    assert first.folder != second.folder
    assert first.folder.parent == second.folder.parent == tmp_path
    assert stat.S_IMODE(first.folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in first.folder.iterdir()} == {
        "pipe": 0o600, "gor_helper.py": 0o600,
    }  # fmt: skip
    assert first.fifo.is_fifo()


def test_nothing_of_it_is_left_once_it_is_removed(tmp_path: Path) -> None:
    place = make_place(PROGRAM, [str(tmp_path)], python=spaced_python(tmp_path))
    place.remove()
    place.remove()  # somebody may have been quicker
    assert [path.name for path in tmp_path.iterdir()] == ["my python"]


def test_by_default_it_is_somewhere_without_a_space() -> None:
    place = make_place(PROGRAM)
    place.remove()
    assert " " not in str(place.folder)


def test_a_temporary_folder_with_a_space_is_passed_over(tmp_path: Path) -> None:
    spaced, good = tmp_path / "with space", tmp_path / "good"
    spaced.mkdir()
    good.mkdir()
    assert make_place(PROGRAM, [str(spaced), str(tmp_path / "missing"), str(good)]).folder.parent == good


def test_without_any_place_the_error_names_each_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="set TMPDIR") as caught:
        make_place(PROGRAM, [f"{tmp_path}/a b", f"{tmp_path}/missing"])
    assert f"{tmp_path}/a b: has a space in its path" in str(caught.value)
    assert f"{tmp_path}/missing: No such file or directory" in str(caught.value)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that has no pipes")
def test_a_place_that_can_hold_no_pipe_is_named() -> None:
    with pytest.raises(OSError, match="/proc/self: "):
        make_place(PROGRAM, ["/proc/self"])


def spaced_python(folder: Path) -> str:
    path = folder / "my python"
    path.symlink_to(sys.executable)
    return str(path)


def runs(command: tuple[str, ...]) -> bool:
    """Whether the helper starts: without its pipe it says so, with one line, and ends what started it."""
    script = "import subprocess, sys; subprocess.run(sys.argv[1:], stdin=subprocess.PIPE, stderr=2)"
    words = [sys.executable, "-c", script, *command[:-1], "/no/such/pipe"]
    result = subprocess.run(words, capture_output=True, text=True)
    return result.stderr.startswith("[GOR-HELPER] FileNotFoundError") and result.stderr.count("\n") == 1


def test_the_helper_runs_from_the_private_folder(tmp_path: Path) -> None:
    place = make_place(PROGRAM, [str(tmp_path)])
    helper = place.folder / "gor_helper.py"
    assert place.helper == (sys.executable, "-I", "-S", "-u", str(helper), str(place.fifo))
    assert helper.read_bytes() == PROGRAM
    assert runs(place.helper)


def test_a_python_whose_path_has_a_space_gets_a_name_without_one(tmp_path: Path) -> None:
    place = make_place(PROGRAM, [str(tmp_path)], python=spaced_python(tmp_path))
    assert not any(" " in word for word in place.helper)
    assert runs(place.helper)


def test_the_helper_comes_out_of_a_zip_too(tmp_path: Path) -> None:
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for name in ("__init__.py", "leftovers.py", "gor/__init__.py", "gor/folder.py", "gor/helper.py"):
            file.write(PACKAGE / name, f"launcher/{name}")
    script = "import sys, launcher.gor.folder as f; sys.stdout.buffer.write(f.helper_program())"
    environ = {**os.environ, "PYTHONPATH": str(packed)}
    done = subprocess.run([sys.executable, "-c", script], env=environ, cwd=tmp_path, check=True, capture_output=True)
    assert done.stdout == PROGRAM == helper_program()
