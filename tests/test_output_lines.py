"""A child's output, line by line."""

from __future__ import annotations

import os

import pytest
import trio
from trio.testing import MockClock

from launcher.output_lines import _BURST_BYTES, _BYTES_A_SECOND, read_lines
from tests.linear import assert_linear


class Endless(trio.abc.ReceiveStream):
    """As fast as it is read, and for ever."""

    def __init__(self):
        self.read_bytes = 0

    async def receive_some(self, max_bytes=None):
        await trio.lowlevel.checkpoint()
        self.read_bytes += 4096
        return (b"x" * 127 + b"\n") * 32

    async def aclose(self):
        pass


async def lines_of(data):
    """What is read of a pipe that holds this and has ended."""
    read_end, write_end = os.pipe()
    os.write(write_end, data)
    os.close(write_end)
    return [line async for line in read_lines(trio.lowlevel.FdStream(read_end))]


async def test_lines_come_without_their_ends_and_the_last_one_needs_none():
    assert await lines_of(b"one\n\ntwo\xff\nthree") == ["one", "", "two\\xff", "three"]


async def test_of_a_line_without_end_only_the_beginning_is_told(monkeypatch):
    monkeypatch.setattr("launcher.output_lines._LONGEST_LINE_BYTES", 10)
    assert await lines_of(b"x" * 30 + b"\nnext\n") in (["x" * 30, "next"], ["x" * 11, "next"])


class Pieces(trio.abc.ReceiveStream):
    """A few bytes at a time."""

    def __init__(self, data, size):
        self._pieces = iter([data[start : start + size] for start in range(0, len(data), size)])

    async def receive_some(self, max_bytes=None):
        return next(self._pieces, b"")

    async def aclose(self):
        pass


@pytest.mark.parametrize(("size", "cut_at"), [(1, 4001), (3, 4003), (1000, 4995), (1 << 20, 9000)])
async def test_lines_are_the_same_however_they_come(size, cut_at, autojump_clock: MockClock):
    data = b"\none\n" + b"x" * 9000 + b"\n\nlast\xff"
    found = [line async for line in read_lines(Pieces(data, size), longest_bytes=10_000)]
    assert found == ["", "one", "x" * 9000, "", "last\\xff"]
    cut = [line async for line in read_lines(Pieces(data, size), longest_bytes=4000)]
    assert cut == ["", "one", "x" * cut_at, "", "last\\xff"]


def test_a_long_line_in_small_pieces_takes_linear_time():
    """Joined with each piece anew, 64 KB of a line took a second of the relay's processor."""

    def work(data):
        async def read():
            async for _ in read_lines(Pieces(data, 1), longest_bytes=1 << 20):
                pass

        trio.run(read, clock=MockClock(autojump_threshold=0))

    assert_linear(bytes, work, 160_000)


async def test_a_child_that_writes_without_end_is_read_no_faster_than_the_bound(autojump_clock: MockClock):
    stream = Endless()
    with trio.move_on_after(10):
        async for _ in read_lines(stream):
            pass
    assert 9 * _BYTES_A_SECOND < stream.read_bytes < 10 * _BYTES_A_SECOND + 2 * _BURST_BYTES


async def test_a_burst_that_a_pipe_holds_is_read_at_once(autojump_clock: MockClock):
    before = trio.current_time()
    assert len(await lines_of(b"12345678\n" * 7000)) == 7000
    assert trio.current_time() == before
