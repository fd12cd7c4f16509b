"""A report goes where its name leads: files are replaced, links stay, devices and pipes are written to."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from launcher.written_file import write_file
from tests.replay.harness import PROGRAM, ROOT
from tests.replay.test_input_file import record, stream

LARGE = b"x" * 1024**2


def compare(folder: Path, report: Path, *words: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """A run with a report, by a real replayer; its candidate is a port where nobody listens."""
    (folder / "r.gor").write_bytes(stream(*(record(number, 0) for number in range(3))))
    words = ("--input-file", str(folder / "r.gor"), "--to", "candidate=http://127.0.0.1:1", *words)
    return subprocess.run(
        [*PROGRAM, *words, "--report-file", str(report)],
        cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip


def names(folder: Path) -> Sequence[str]:
    return sorted(path.name for path in folder.iterdir())


def is_report(text: str) -> bool:
    return "candidates" in json.loads(text)


def test_a_device_stays_one(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")
    done = compare(tmp_path, device)
    assert done.returncode == 0 and "at=report " in done.stderr, done.stderr
    assert stat.S_ISCHR(device.stat().st_mode)
    assert names(tmp_path) == ["null", "r.gor"]


def test_a_link_to_standard_output_leads_there_if_it_is_a_pipe(tmp_path: Path) -> None:
    link = tmp_path / "stdout.json"
    link.symlink_to("/proc/self/fd/1")
    done = compare(tmp_path, link)
    assert done.returncode == 0 and is_report(done.stdout), done.stderr
    assert link.is_symlink() and names(tmp_path) == ["r.gor", "stdout.json"]


def test_a_link_to_standard_output_leads_behind_what_is_there_if_it_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "stdout.json").symlink_to("/proc/self/fd/1")
    with (tmp_path / "out").open("w") as out:
        done = compare(tmp_path, tmp_path / "stdout.json", "--output-stdout", stdout=out.fileno())
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out").read_text()
    assert len(re.findall(r"^1 id\d ", text, re.MULTILINE)) == 3
    assert is_report(text.rpartition("🐵🙈🙉\n")[2])


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_to_a_file_stays_and_the_file_is_replaced(tmp_path: Path, is_there: bool) -> None:
    link, file = tmp_path / "report.json", tmp_path / "folder" / "real.json"
    file.parent.mkdir()
    link.symlink_to("folder/real.json")
    if is_there:
        file.write_text("old")
        file.chmod(0o644)
        before = file.stat().st_ino
    done = compare(tmp_path, link)
    assert done.returncode == 0, done.stderr
    assert link.is_symlink() and is_report(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert names(file.parent) == ["real.json"] and names(tmp_path) == ["folder", "r.gor", "report.json"]
    assert not is_there or file.stat().st_ino != before


def test_a_pipe_without_a_reader_is_told_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "report.json")
    done = compare(tmp_path, tmp_path / "report.json")
    assert done.returncode == 1
    assert "at=report-failed level=error file=" in done.stderr and "No such device or address" in done.stderr
    assert stat.S_ISFIFO((tmp_path / "report.json").stat().st_mode)


def test_a_pipe_whose_reader_reads_nothing_is_not_waited_for_long(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(TimeoutError, match="its reader"):
        write_file(str(tmp_path / "fifo"), LARGE, 0.2)
    os.close(reader)


def test_a_pipe_gets_all_of_it_however_slowly_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    pieces: list[bytes] = []

    def read() -> None:
        while piece := os.read(reader, 1000):
            pieces.append(piece)

    thread = threading.Thread(target=read)
    opened = os.open(tmp_path / "fifo", os.O_WRONLY)  # the pipe has no end before there is something in it
    thread.start()
    write_file(str(tmp_path / "fifo"), LARGE, None)
    os.close(opened)
    thread.join()
    os.close(reader)
    assert b"".join(pieces) == LARGE


def test_a_folder_is_told_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write_file(str(tmp_path), LARGE, 0.2)
    assert names(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("what", ["link", "fifo"])
def test_what_a_stranger_has_laid_into_a_folder_for_all_is_not_followed(tmp_path: Path, what: str) -> None:
    public, path = tmp_path / "public", tmp_path / "public" / "report.html"
    public.mkdir()
    public.chmod(0o1777)
    (tmp_path / "precious").write_text("old")
    if what == "link":
        path.symlink_to("../precious")
    else:
        os.mkfifo(path)
    os.chown(path, 65534, 65534, follow_symlinks=False)
    with pytest.raises(PermissionError, match="somebody else"):
        write_file(str(path), LARGE, 0.2)
    assert (tmp_path / "precious").read_text() == "old" and names(public) == ["report.html"]
    os.chown(path, 0, 0, follow_symlinks=False)
    if what == "link":
        write_file(str(path), LARGE, 0.2)
        assert (tmp_path / "precious").read_bytes() == LARGE
