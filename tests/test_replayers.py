"""A replayer's end, whenever it comes."""

from __future__ import annotations

import os
import sys

import trio

from launcher.child import start
from launcher.counters import FeedCounters
from launcher.feed import Feed, frames
from launcher.mirror_queue import Budget, MirrorQueue
from launcher.poller import Poller
from launcher.replayers import Replayer, Running

LONG_SECONDS = 60  # a test that waits so long has failed


class SlowLaunch:
    """A real process that reads nothing and never ends; its start takes until it is let go."""

    final_statuses = frozenset({0})

    def __init__(self) -> None:
        self.is_starting = trio.Event()
        self.may_go_on = trio.Event()

    async def start(self, readers: trio.Nursery) -> Running:
        self.is_starting.set()
        await self.may_go_on.wait()
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        child = await start([sys.executable, "-c", "while True: input()"], os.environ, stdin=reading)
        os.close(reading)

        async def opens() -> int:
            return writing

        return Running(child, opens)

    async def finish(self, running: Running, feed: Feed, seconds: float) -> None:
        raise AssertionError("there is no process yet")

    def ended(self) -> None:
        """Nothing was said."""


async def test_an_end_that_comes_while_its_process_starts_ends_that_process_too() -> None:
    poller = Poller()
    queue = MirrorQueue(Budget(1000), 1000, FeedCounters())
    launch = SlowLaunch()
    replayer = Replayer("slow", launch, Feed(poller, queue, frames), memory_bytes=1 << 30, may_restart=lambda: True)
    with trio.fail_after(LONG_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            async with trio.open_nursery() as running:
                running.start_soon(replayer.run)
                await launch.is_starting.wait()
                queue.offer(b"record")
                await replayer.finish(5)
                launch.may_go_on.set()
            nursery.cancel_scope.cancel()
    assert replayer.pid is None and replayer.state == "ended" and replayer.restarts == 0
    assert queue.counters.dropped_shutdown == 1 and queue.counters.imbalance() == 0
