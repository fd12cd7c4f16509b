"""`--input-file` of what can be read only once: pipes, named or not, and devices."""

from __future__ import annotations

import gzip
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.replay.by_hand import by_hand
from tests.replay.harness import PROGRAM, ROOT
from tests.replay.test_input_file import record, stream

COUNT = 1000
RECORDS = stream(*(record(n, n / 10_000) for n in range(COUNT)))


def run(*words: str, stdin: bytes | int = b"", pass_fds: tuple[int, ...] = ()) -> subprocess.CompletedProcess[bytes]:
    given = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
    return subprocess.run(
        [*PROGRAM, *words], cwd=ROOT, capture_output=True, timeout=60, check=False, pass_fds=pass_fds, **given
    )  # type: ignore[call-overload]


def counts(said: str) -> dict[str, int]:
    """The input's account."""
    line = next(line for line in said.splitlines() if " at=input " in line and line.endswith(" final=true"))
    return {name: int(count) for name, count in re.findall(r" (\w+)=(\d+)", line)}


def write_slowly(fd: int, data: bytes) -> threading.Thread:
    """Writes into a pipe: the first bytes one by one."""

    def write() -> None:
        with open(fd, "wb", buffering=0) as pipe:
            for position in range(4):
                pipe.write(data[position : position + 1])
            pipe.write(data[4:])

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def test_every_record_of_standard_input_is_replayed() -> None:
    done = run("--input-file", "/dev/stdin", "--output-null", stdin=RECORDS)
    assert done.returncode == 0, done.stderr
    assert counts(done.stderr.decode()) == {"received": COUNT}


@pytest.mark.parametrize("packed", [lambda data: data, gzip.compress])
def test_a_pipe_that_a_shell_has_made_is_read_however_its_bytes_come(packed: Callable[[bytes], bytes]) -> None:
    out, into = os.pipe()
    writer = write_slowly(into, packed(RECORDS))
    done = run("--input-file", f"/dev/fd/{out}", "--output-null", pass_fds=(out,))
    os.close(out)
    writer.join()
    assert done.returncode == 0, done.stderr
    assert counts(done.stderr.decode()) == {"received": COUNT}


async def test_a_named_pipe_is_waited_for_and_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r.gor")
    async with by_hand("--input-file", str(tmp_path / "*.gor"), "--output-null") as running:
        await running.until("at=replaying")
        writer = write_slowly(os.open(tmp_path / "r.gor", os.O_WRONLY), RECORDS)
        assert await running.end() == 0
    writer.join()
    assert counts(running.said) == {"received": COUNT}


async def test_a_named_pipe_that_nobody_writes_to_is_left_at_sigterm(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r.gor")
    async with by_hand("--input-file", str(tmp_path / "r.gor"), "--output-null") as running:
        await running.until("at=replaying")
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == 0
    assert counts(running.said) == {"received": 0}


def test_pipes_and_files_are_merged_by_time(tmp_path: Path) -> None:
    (tmp_path / "b.gor").write_bytes(stream(record(1, 0.1), record(4, 0.4)))
    pipes = [os.pipe() for _ in range(2)]
    for (_, into), numbers in zip(pipes, [(2, 3), (0, 5)], strict=True):
        write_slowly(into, stream(*(record(n, n / 10) for n in numbers))).join()
    words = [word for out, _ in pipes for word in ("--input-file", f"/dev/fd/{out}")]
    done = run(
        *words, "--input-file", str(tmp_path / "b.gor"), "--output-stdout", pass_fds=(pipes[0][0], pipes[1][0])
    )
    for out, _ in pipes:
        os.close(out)
    assert re.findall(rb" id(\d) ", done.stdout) == [b"0", b"1", b"2", b"3", b"4", b"5"]


def test_a_dry_run_reads_all_of_a_pipe() -> None:
    done = run("--input-file", "/dev/stdin", "--input-file-dry-run", "--output-null", stdin=RECORDS)
    assert b"requests: 1000\n" in done.stdout and b"damaged: 0" in done.stdout


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["/dev/stdin", "--input-file-loop"], "a pipe or device is read only once: not with --input-file-loop"),
        (["/dev/stdin", "--input-file", "/proc/self/fd/0"], "a pipe or device is read only once: it is given twice"),
        (["/dev/stdin", "--input-file", "/dev/stdin|200%"], "a pipe or device is read only once: it is given twice"),
        (["/dev"], "is a directory"),
    ],
)
def test_what_would_have_to_be_read_twice_is_refused(words: list[str], why: str) -> None:
    done = run("--input-file", *words, "--output-null", stdin=RECORDS)
    culprit = words[-1].partition("|")[0] if len(words) == 3 else words[0]
    assert (done.returncode, done.stderr.decode()) == (1, f"Error: --input-file {culprit}: {why}\n")


def test_a_socket_is_refused() -> None:
    ours, its = socket.socketpair()
    with ours, its:
        done = run("--input-file", "/dev/stdin", "--output-null", stdin=its.fileno())
    assert done.returncode == 1
    assert done.stderr == b"Error: --input-file /dev/stdin: a socket can't be opened as a file\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_pipe_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r.gor", 0o200)
    done = run("--input-file", str(tmp_path / "r.gor"), "--output-null")
    assert (done.returncode, done.stderr.decode()) == (1, f"Error: --input-file {tmp_path}/r.gor: permission denied\n")
