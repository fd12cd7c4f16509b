"""Large transfers inside the kernel: when, by which pipes, and what becomes of them."""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import suppress

import pytest
import trio

from launcher import pair, splicing
from launcher.splicing import PIPE_BYTES, Pipe, PipePool
from tests.test_relay import LARGE, RecordingTap, read_exactly, reset, stage

MEGABYTE = 1 << 20


@pytest.fixture
def fills(monkeypatch):
    """The sizes of what went into pipes."""
    sizes: list[int] = []

    class Watched(Pipe):
        __slots__ = ()

        def fill(self, source: int, most_bytes: int) -> int:
            moved = super().fill(source, most_bytes)
            sizes.append(moved)
            return moved

    monkeypatch.setattr(splicing, "Pipe", Watched)
    return sizes


class IndifferentTap(RecordingTap):
    """Sees the first `seen` bytes of the client's, and needs no more."""

    def __init__(self, seen: int, unseen: int) -> None:
        super().__init__()
        self.seen = seen
        self.left = unseen

    def indifferent_bytes(self) -> int:
        return self.left if len(self.client) >= self.seen else 0

    def client_sent_unseen(self, nbytes: int) -> None:
        assert nbytes <= self.left
        self.left -= nbytes


async def send_and_read(source: trio.SocketStream, sink: trio.SocketStream, data: bytes) -> bytes:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.send_all, data)
        return await read_exactly(sink, len(data))


async def test_a_large_download_is_spliced(fills):
    async with stage(new_tap=lambda _peer: RecordingTap()) as scene:
        client, app = await scene.pair()
        await download_until_spliced(app, client, fills)


async def test_small_answers_are_not_spliced(fills):
    async with stage(new_tap=lambda _peer: RecordingTap()) as scene:
        client, app = await scene.pair()
        for _ in range(50):
            assert await send_and_read(app, client, b"x" * 8000) == b"x" * 8000
        assert fills == []


async def download_until_spliced(app: trio.SocketStream, client: trio.SocketStream, fills: list[int]) -> None:
    """On a busy machine reads may find little, and then a transfer is not taken for a large one."""
    before = len(fills)
    while len(fills) == before:
        assert await send_and_read(app, client, LARGE) == LARGE


async def test_a_download_that_calms_down_is_copied_again_and_its_pipe_serves_the_next(fills, monkeypatch):
    made = []
    monkeypatch.setattr(splicing, "Pipe", lambda new=splicing.Pipe: made.append(new()) or made[-1])
    async with stage() as scene:
        client, app = await scene.pair()
        await download_until_spliced(app, client, fills)
        for _ in range(20):
            await send_and_read(app, client, b"x")
        assert scene.relay.pipes.free_pipes == 1
        before = len(fills)
        await send_and_read(app, client, b"x")
        assert len(fills) == before
        await download_until_spliced(app, client, fills)
        assert len(made) == 1


async def test_an_answer_that_the_tap_wants_is_not_spliced(fills):
    tap = RecordingTap()
    tap.wants_app = True
    async with stage(new_tap=lambda _peer: tap) as scene:
        client, app = await scene.pair()
        await send_and_read(app, client, LARGE)
        assert fills == []
        assert tap.app == LARGE


async def test_an_upload_is_spliced_as_far_as_the_tap_is_indifferent_to_it(fills):
    tap = IndifferentTap(MEGABYTE, 2 * MEGABYTE)
    async with stage(new_tap=lambda _peer: tap) as scene:
        client, app = await scene.pair()
        assert await send_and_read(client, app, LARGE) == LARGE
        assert tap.left == 0
        assert sum(fills) == 2 * MEGABYTE
        seen = len(tap.client)
        assert seen == len(LARGE) - 2 * MEGABYTE
        start = tap.client.rindex(LARGE[-MEGABYTE:])
        assert tap.client[:start] + tap.client[start:] == LARGE[:start] + LARGE[-(seen - start) :]


async def test_a_reset_in_the_middle_closes_the_pipe_with_what_is_left_in_it():
    async with stage() as scene:
        client, app = await scene.pair()
        with trio.move_on_after(0.3), suppress(trio.BrokenResourceError):
            await app.send_all(LARGE * 4)  # more than anybody takes
        before = len(os.listdir("/proc/self/fd"))
        reset(client)
        with trio.fail_after(10):
            while scene.relay.open_connections:
                await trio.sleep(0.01)
        assert scene.relay.pipes.free_pipes == 0
        assert len(os.listdir("/proc/self/fd")) <= before - 3  # both sockets of the relay's, and its pipe's two ends


async def test_where_no_pipe_can_be_had_bytes_are_copied(monkeypatch):
    def no_more(flags):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(splicing.os, "pipe2", no_more)
    async with stage() as scene:
        client, app = await scene.pair()
        assert await send_and_read(app, client, LARGE) == LARGE


async def test_a_kernel_that_does_not_splice_these_sockets_is_asked_once(monkeypatch):
    asked = []

    def refuses(*args, **kwargs):
        asked.append(args)
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(splicing.os, "splice", refuses)
    async with stage() as scene:
        for _ in range(2):
            client, app = await scene.pair()
            assert await send_and_read(app, client, LARGE) == LARGE
    assert len(asked) == 1


def test_the_pool_keeps_a_few_empty_pipes_and_closes_one_with_bytes_left():
    pool = PipePool()
    pipes = [pool.take() for _ in range(20)]
    before = len(os.listdir("/proc/self/fd"))
    for pipe in pipes:
        assert pipe is not None
        pool.give_back(pipe)
    assert pool.free_pipes == 16
    assert len(os.listdir("/proc/self/fd")) == before - 8
    left, right = socket.socketpair()
    with left, right:
        left.send(b"left over")
        pipe = pool.take()
        assert pipe is not None
        assert pipe.fill(right.fileno(), PIPE_BYTES) == 9
        pool.give_back(pipe)
        assert pool.free_pipes == 15
    pool.close()
    assert len(os.listdir("/proc/self/fd")) == before - 40


def test_a_pipe_takes_and_gives_what_there_is():
    (source, into), (sink, out) = socket.socketpair(), socket.socketpair()
    pipe = Pipe()
    with source, into, sink, out:
        source.setblocking(False)
        sink.setblocking(False)
        with pytest.raises(BlockingIOError):
            pipe.fill(source.fileno(), PIPE_BYTES)
        into.send(b"abcdef")
        assert pipe.fill(source.fileno(), 4) == 4
        assert pipe.drain(sink.fileno()) == 4
        assert (out.recv(10), pipe.held_bytes) == (b"abcd", 0)
        into.close()
        assert (pipe.fill(source.fileno(), 9), pipe.drain(sink.fileno())) == (2, 2)
        assert pipe.fill(source.fileno(), 9) == 0
    pipe.close()


class ResettingTap(RecordingTap):
    """Has somebody reset at the third read, and needs no more then."""

    def __init__(self, *, wants_app: bool) -> None:
        super().__init__()
        self.wants_app = wants_app
        self.reads = 0
        self.who: trio.SocketStream | None = None

    def client_sent(self, data: bytes) -> None:
        self.reads += 1
        if self.reads == 3 and self.who is not None:
            self.wants_app = False
            reset(self.who)

    app_sent = client_sent

    def indifferent_bytes(self) -> int:
        return sys.maxsize


@pytest.mark.parametrize("is_download", [True, False])
async def test_no_pipe_is_taken_for_a_transfer_that_ends_at_the_read_that_makes_it_large(monkeypatch, is_download):
    """That read's bytes meet a reset. A pipe for what has ended nobody would give back."""
    made: list[Pipe] = []
    ended: list[OSError] = []
    sink_is_gone = pair.Pair._sink_is_gone

    def watch(self: pair.Pair, flow: pair.Flow, error: OSError) -> None:
        ended.append(error)
        sink_is_gone(self, flow, error)

    monkeypatch.setattr(splicing, "Pipe", lambda new=splicing.Pipe: made.append(new()) or made[-1])
    monkeypatch.setattr(pair.Pair, "_sink_is_gone", watch)
    monkeypatch.setattr(pair, "_SHORT_RECEIVE_BYTES", 1000)  # so that one packet fills many reads
    monkeypatch.setattr(pair, "_RECEIVE_BYTES", 1000)
    tap = ResettingTap(wants_app=is_download)
    async with stage(new_tap=lambda _peer: tap) as scene:
        client, app = await scene.pair()
        source, tap.who = (app, client) if is_download else (client, app)
        await source.send_all(bytes(20_000))
        with trio.fail_after(10):
            while scene.relay.open_connections:
                await trio.sleep(0.01)
        assert len(ended) == 1
        assert made == []
        assert scene.relay.pipes.free_pipes == 0


def test_transfers_have_no_more_than_a_quarter_of_the_pipes_that_a_user_may_have():
    pool = PipePool()
    pipes = [pool.take() for _ in range(65)]
    assert [pipe is None for pipe in pipes] == [False] * 64 + [True]
    for pipe in pipes[:-1]:
        assert pipe is not None
        pool.give_back(pipe)
    assert pool.free_pipes == 16
    again = [pool.take() for _ in range(65)]
    assert again.count(None) == 1
    for pipe in again[:-1]:
        assert pipe is not None
        pool.give_back(pipe)
    pool.close()


async def test_a_transfer_that_gets_no_pipe_is_copied(monkeypatch, fills):
    monkeypatch.setattr(splicing, "_MOST_PIPES", 0)
    async with stage() as s:
        client, app = await s.pair()
        assert await send_and_read(app, client, LARGE) == LARGE
    assert not fills
