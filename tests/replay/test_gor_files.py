"""Files and TCP between the real gors and the built-in replayer, both ways."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from launcher.gor.binary import Gor
from launcher.replay.record_format import SEPARATOR
from tests.replay.harness import LONG_SECONDS, PROGRAM, ROOT

COUNT = 200
RECORDS = [
    b"1 %024x %d -1\nPOST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    % (n, 1_700_000_000_000_000_000 + n * 5_000_000, n)
    for n in range(COUNT)
]  # fmt: skip
STREAM = b"".join(record + SEPARATOR for record in RECORDS)


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(LONG_SECONDS)


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(LONG_SECONDS):
        while not condition():
            await trio.sleep(0.02)


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def replay(*words: object) -> None:
    subprocess.run([*PROGRAM, *map(str, words)], cwd=ROOT, check=True, capture_output=True, timeout=LONG_SECONDS)


@pytest.mark.parametrize("name", ["a.gor", "a.gor.gz"])
async def test_what_gor_wrote_is_replayed(gor: Gor, tmp_path: Path, name: str) -> None:
    (tmp_path / "in.gor").write_bytes(STREAM)
    words = ["--input-file", str(tmp_path / "in.gor"), "--output-file", str(tmp_path / name)]
    with running([str(gor.path), *words, "--output-file-queue-limit", "0", "--exit-after", "3s"]) as process:
        await until(lambda: process.poll() is not None)
    (written,) = tmp_path.glob("a.gor*_0*") if name.endswith("gz") else tmp_path.glob("a_0.gor")
    replay("--input-file", written, "--output-file", tmp_path / "back.gor", "--output-file-queue-limit", 0)
    assert (tmp_path / "back_0.gor").read_bytes() == STREAM


@pytest.mark.parametrize("name", ["b.gor", "b.gor.gz"])
async def test_gor_replays_what_we_wrote(gor: Gor, tmp_path: Path, name: str) -> None:
    (tmp_path / "in.gor").write_bytes(STREAM)
    replay("--input-file", tmp_path / "in.gor", "--output-file", tmp_path / name,
           "--output-file-flush-interval", "100ms", "--output-file-queue-limit", 0)  # fmt: skip
    (written,) = tmp_path.glob("b*_0*")
    words = ["--input-file", str(written), "--output-file", str(tmp_path / "r.gor"), "--output-file-queue-limit", "0"]
    with running([str(gor.path), *words, "--exit-after", "3s"]) as process:
        await until(lambda: process.poll() is not None)
    assert (tmp_path / "r_0.gor").read_bytes() == STREAM


async def test_gor_feeds_our_tcp_input(gor: Gor, tmp_path: Path, unused_tcp_port: int) -> None:
    (tmp_path / "in.gor").write_bytes(STREAM)
    ours = ["--input-tcp", f"127.0.0.1:{unused_tcp_port}", "--output-file", str(tmp_path / "t.gor")]
    with running([*PROGRAM, *ours, "--output-file-queue-limit", "0", "--output-file-flush-interval", "10ms"]):
        theirs = ["--input-file", str(tmp_path / "in.gor"), "--output-tcp", f"127.0.0.1:{unused_tcp_port}"]
        with running([str(gor.path), *theirs]):
            await until(lambda: size(tmp_path / "t_0.gor") >= len(STREAM))
    assert sorted((tmp_path / "t_0.gor").read_bytes().split(SEPARATOR)[:-1]) == sorted(RECORDS)


async def test_several_senders_and_an_aggregator_that_is_killed_and_comes_back(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    """What the aggregator saw lies between what was acknowledged but for its unread buffers, and all that was sent."""
    (tmp_path / "in.gor").write_bytes(STREAM)
    address = f"127.0.0.1:{unused_tcp_port}"
    ours = [*PROGRAM, "--input-tcp", address, "--output-file", str(tmp_path / "s.gor")]
    ours += ["--output-file-queue-limit", "0", "--output-file-flush-interval", "10ms"]
    sender = [*PROGRAM, "--input-file", str(tmp_path / "in.gor"), "--output-tcp", address, "--stats-interval", "0"]
    senders = []
    with running(ours) as aggregator:
        senders = [
            subprocess.Popen(sender, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        await until(lambda: size(tmp_path / "s_0.gor") > len(STREAM) // 4)
        aggregator.kill()
        aggregator.wait()
    with running(ours):
        said = [await trio.to_thread.run_sync(lambda process=process: process.communicate()[1]) for process in senders]
        final = [next(line for line in text.splitlines() if "at=output" in line and "final" in line) for text in said]
        accounts = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in final]
        names = ("received", "written", "reset")
        totals = {name: sum(int(account.get(name, 0)) for account in accounts) for name in names}
        assert totals["received"] == 3 * COUNT == totals["written"] + totals["reset"]
    # The last piece of each file is none, or what the kill has cut short.
    saw = [record for path in tmp_path.glob("s_*.gor") for record in path.read_bytes().split(SEPARATOR)[:-1]]
    assert all(record in RECORDS for record in saw)
    assert len(saw) <= totals["written"] + totals["reset"]
    assert len(saw) >= totals["written"] - COUNT, "at most what one flush and the sockets held is missing"
    assert all(process.returncode == 0 for process in senders)


@pytest.fixture
def unused_tcp_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as place:
        return int(place.getsockname()[1])
