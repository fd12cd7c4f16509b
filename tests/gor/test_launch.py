"""A gor that takes its time until it reads, by faults/programs/gor.py: it gets its chance, and nobody waits for it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from faults.replayer import install_gor
from faults.scenario import MIB
from launcher.counters import FeedCounters
from launcher.feed import Feed, hex_lines
from launcher.gor import launch as gor_launch
from launcher.gor.binary import Gor
from launcher.gor.flags import Word, parse_flags
from launcher.gor.folder import helper_program
from launcher.gor.launch import GorLaunch
from launcher.gor.processes import plan_processes
from launcher.mirror_queue import Budget, MirrorQueue
from launcher.poller import Poller
from launcher.replayers import Replayer
from tests.system.machine import proc

LONG_SECONDS = 60  # a test that waits so long has failed
COPY = b"1 id 0 0\nGET / HTTP/1.1\r\n\r\n"

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where gor's folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@asynccontextmanager
async def replayer(folder: Path, mode: str, *, memory_bytes: int = 256 * MIB) -> AsyncIterator[Replayer]:
    """One behind a queue that holds a copy."""
    options, _ = parse_flags([Word(word, word, "file:1") for word in ("--output-http", "http://a")])
    gor = Gor(install_gor(folder, mode), (1, 2, 0), "1.2.0")
    [process] = plan_processes(options, gor)
    launch = GorLaunch(gor, process, helper_program(), {"PATH": "/usr/bin:/bin"}, memory_bytes)
    poller = Poller()
    feed = Feed(poller, MirrorQueue(Budget(10_000), 10_000, FeedCounters()), hex_lines, batch_seconds=0.005)
    each = Replayer("a", launch, feed, memory_bytes=memory_bytes, may_restart=lambda: True)
    feed.queue.offer(COPY)
    with trio.fail_after(LONG_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            nursery.start_soon(each.run)
            yield each
            nursery.cancel_scope.cancel()


async def until(is_so: Callable[[], object]) -> None:
    while not is_so():
        await trio.sleep(0.01)


async def test_a_gor_that_comes_to_read_late_gets_what_has_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gor_launch, "_SLOW_SECONDS", 0.05)
    async with replayer(tmp_path, "late 0.5") as each:
        await until(lambda: each.pid)
        assert each.state == "waiting"
        await until(lambda: each.feed.is_drained and not each.feed.unread_bytes())
        assert each.state == "running" and each.restarts == 0
        await each.finish(5)
    assert each.feed.queue.counters.taken == 1
    [line] = [line for line in capfd.readouterr().err.splitlines() if "at=replayer-slow" in line]
    assert "replayer=http://a" in line and "at_most_seconds=120" in line
    assert not list(tmp_path.glob("*-*")), "the pipe's folder has gone"


async def test_a_gor_that_never_reads_is_followed_by_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gor_launch, "_READER_SECONDS", 0.3)
    async with replayer(tmp_path, "never") as each:
        await until(lambda: each.restarts == 2 and each.pid)
        await each.finish(5)
    assert each.feed.queue.counters.dropped_shutdown == 1 and not each.feed.queue.counters.imbalance()
    told = capfd.readouterr().err
    assert told.count("at=replayer-start-failed") == told.count("gor did not start to read within 0.3 s") == 2
    assert told.count("at=replayer-restart") == 2
    assert not list(tmp_path.glob("*-*")), "each pipe's folder has gone"


async def test_an_end_that_comes_while_gor_is_awaited_is_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with replayer(tmp_path, "never") as each:
        await until(lambda: each.pid)
        pid = each.pid
        assert pid
        await each.finish(LONG_SECONDS * 2)  # it would fail, were that waited for
        assert each.state == "ended" and not proc(pid, "cmdline")
    assert each.feed.queue.counters.dropped_shutdown == 1 and not each.feed.queue.counters.imbalance()
    assert not capfd.readouterr().err


async def test_the_memory_of_a_gor_that_does_not_read_yet_is_watched(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with replayer(tmp_path, "never", memory_bytes=MIB) as each:
        await until(lambda: each.restarts)
    told = capfd.readouterr().err
    assert "at=replayer-memory" in told and "gor did not start to read (status 137)" in told
