"""The way into a replayer, with real pipes: what is written, what is known to be read, what is lost."""

from __future__ import annotations

import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from launcher import descriptor_set
from launcher.counters import FeedCounters
from launcher.feed import Encoder, Feed, frames, hex_lines
from launcher.mirror_queue import Budget, MirrorQueue
from launcher.poller import Poller


@pytest.fixture(autouse=True, params=[descriptor_set.EpollSet, descriptor_set.PollSet])
def set_kind(request, monkeypatch):
    monkeypatch.setattr(descriptor_set, "new_descriptor_set", request.param)


class Scene:
    """A feed and the reader's end of its pipe."""

    def __init__(self, poller: Poller, encoder: Encoder) -> None:
        self.budget = Budget(64 << 20)
        self.counters = FeedCounters()
        self.queue = MirrorQueue(self.budget, 64 << 20, self.counters)
        self.feed = Feed(poller, self.queue, encoder)
        self.reader = -1

    def open(self) -> None:
        self.reader, writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(writer, False)
        self.feed.open(writer)

    async def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            await trio.lowlevel.wait_readable(self.reader)
            data += os.read(self.reader, size - len(data))
        return data

    async def flushed(self) -> None:
        """Until the poller has run what was scheduled before."""
        done = trio.Event()
        self.feed._poller.call_later(0, done.set)
        await done.wait()


@asynccontextmanager
async def scene(encoder: Encoder = frames) -> AsyncIterator[Scene]:
    poller = Poller()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        s = Scene(poller, encoder)
        s.open()
        yield s
        s.feed.close()
        os.close(s.reader)
        nursery.cancel_scope.cancel()


def frame(record: bytes) -> bytes:
    return struct.pack(">I", len(record)) + record


async def test_records_are_written_as_frames_in_order():
    async with scene() as s:
        for record in (b"one", b"", b"three"):
            s.queue.offer(record)
        expected = frame(b"one") + frame(b"") + frame(b"three")
        assert await s.read(len(expected)) == expected
        assert s.feed.is_drained
        s.feed.update_counters()
        assert s.counters.taken == 3
        assert s.budget.used_bytes == 0


@pytest.mark.parametrize("size", [1, 65535, 65536, 65537, 300_000])
async def test_records_are_written_as_lines_of_hex(size):
    async with scene(hex_lines) as s:
        record = os.urandom(size)
        s.queue.offer(record)
        s.queue.offer(b"next")
        expected = record.hex().encode() + b"\n" + b"next".hex().encode() + b"\n"
        assert await s.read(len(expected)) == expected


async def test_a_pipe_that_ended_while_it_was_full_does_not_block_the_next_one():
    async with scene() as s:
        s.queue.offer(bytes(1 << 20))
        await s.flushed()
        s.feed.close()
        os.close(s.reader)
        s.open()
        s.queue.offer(b"next")
        with trio.fail_after(30):
            assert await s.read(8) == frame(b"next")


async def test_a_full_pipe_keeps_records_waiting_and_goes_on_when_it_is_read():
    async with scene() as s:
        record = os.urandom(100_000)
        for _ in range(20):
            assert s.queue.offer(record)
        await s.flushed()
        assert not s.feed.is_drained
        assert s.budget.used_bytes > 1_000_000
        assert await s.read(20 * 100_004) == frame(record) * 20
        assert s.feed.is_drained
        assert s.budget.used_bytes == 0


async def test_a_record_is_taken_when_it_was_read_wholly():
    async with scene() as s:
        s.queue.offer(b"x" * 96)
        s.queue.offer(b"x" * 96)
        await s.read(199)
        s.feed.update_counters()
        assert s.counters.taken == 1
        await s.read(1)
        s.feed.update_counters()
        assert s.counters.taken == 2


async def test_what_a_dead_reader_had_not_read_is_lost_and_the_rest_waits_for_the_next():
    async with scene() as s:
        record = b"x" * 29_996
        for _ in range(10):
            s.queue.offer(record)
        await s.read(30_000 + 5)
        os.close(s.reader)
        await s.feed.broken.wait()
        s.feed.close()
        counters = s.counters
        assert counters.taken == 1
        assert counters.lost >= 1
        waiting = s.queue.statistics().records
        assert counters.given == counters.taken + counters.lost + waiting
        assert waiting >= 1
        s.open()
        assert await s.read(30_000 * waiting) == frame(record) * waiting
        s.feed.update_counters()
        assert counters.imbalance() == 0
        assert s.budget.used_bytes == 0


async def test_a_reader_s_end_is_noticed_without_a_write():
    async with scene() as s:
        os.close(s.reader)
        await s.feed.broken.wait()
        s.feed.close()
        s.open()


async def test_without_a_pipe_records_wait():
    async with scene() as s:
        s.feed.close()
        os.close(s.reader)
        s.queue.offer(b"early")
        s.open()
        assert await s.read(9) == frame(b"early")


async def test_last_words_come_behind_the_last_record():
    async with scene() as s:
        s.queue.offer(b"record")
        assert await s.read(10) == frame(b"record")
        s.feed.write_last(b"bye")
        s.feed.close()
        assert (s.counters.taken, s.counters.lost) == (1, 0)
        assert os.read(s.reader, 10) == b"bye"
        assert os.read(s.reader, 10) == b""


async def test_thousands_of_unread_records_are_still_told_apart():
    async with scene() as s:
        for _ in range(6000):
            s.queue.offer(b"")
        await s.flushed()
        await s.read(4 * 5999)
        s.feed.update_counters()
        assert s.counters.taken == 5999
        os.close(s.reader)
        s.feed.close()
        assert s.counters.lost == 1
        s.open()


async def test_a_full_pipe_that_ends_before_the_poller_tells_of_it_does_not_block_the_next():
    async with scene() as s:
        for _ in range(10):
            s.queue.offer(b"x" * 29_996)
        await s.flushed()
        s.feed.close()
        os.close(s.reader)
        s.open()
        waiting = s.counters.given - s.counters.lost
        assert waiting >= 1
        assert await s.read(30_000 * waiting) == frame(b"x" * 29_996) * waiting


async def test_what_was_read_is_told_across_batches_and_so_is_what_was_not():
    async with scene() as s:
        for record in (b"a" * 96, b"b" * 36, b"c" * 16):
            s.queue.offer(record)
            await s.flushed()
        await s.read(100 + 40)
        s.feed.update_counters()
        assert s.counters.taken == 2
        s.feed.close()
        assert (s.counters.taken, s.counters.lost, s.counters.imbalance()) == (2, 1, 0)


async def test_what_each_of_two_readers_had_not_read_is_lost():
    async with scene() as s:
        for _ in range(2):
            s.queue.offer(b"a")
            s.queue.offer(b"b")
            await s.flushed()
            s.feed.close()
            os.close(s.reader)
            s.open()
        assert (s.counters.lost, s.counters.imbalance()) == (4, 0)


async def test_a_feed_whose_queue_has_records_is_not_drained_and_one_without_a_pipe_is_not_either():
    async with scene() as s:
        assert s.feed.is_drained
        s.queue.offer(b"a")
        assert not s.feed.is_drained
        await s.flushed()
        assert s.feed.is_drained
        s.feed.close()
        assert not s.feed.is_drained
        assert s.feed.unread_bytes() == 0
