"""Pitfalls of the data plane that the other tests don't show: nothing spins, batches and slices are bounded."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import trio
import trio.testing

from launcher import descriptor_set
from launcher.feed import hex_lines
from launcher.poller import WRITABLE, Poller
from launcher.splicing import PIPE_BYTES, Pipe
from tests.test_relay import LARGE, Stage, read_all, read_exactly, reset, stage, until

IDLE_SECONDS = 0.1
FEW_TURNS = 6  # one that spins takes thousands
SHORTAGES = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]


class Turns:
    """How often the poller asked what is ready, and how much it got at most."""

    def __init__(self) -> None:
        self.count = 0
        self.most_events = 0

    async def while_idle(self) -> int:
        before = self.count
        await trio.sleep(IDLE_SECONDS)
        return self.count - before


@pytest.fixture(params=[descriptor_set.EpollSet, descriptor_set.PollSet])
def turns(request, monkeypatch) -> Iterator[Turns]:
    counted = Turns()

    class Counting(request.param):
        def __init__(self) -> None:
            super().__init__()
            poll = self.poll

            def count(timeout: float, most: int) -> list[tuple[int, int]]:
                counted.count += 1
                events = poll(timeout, most)
                counted.most_events = max(counted.most_events, len(events))
                return events

            self.poll = count

    monkeypatch.setattr(descriptor_set, "new_descriptor_set", Counting)
    return counted


async def fill(stream: trio.SocketStream) -> None:
    """Sends until nothing is taken any more, because the other end does not read."""
    with trio.move_on_after(0.3):
        await stream.send_all(LARGE * 16)
        pytest.fail("64 MiB went into a connection that nobody reads")


@pytest.mark.parametrize("end", [reset, lambda stream: stream.socket.close()], ids=["reset", "close"])
async def test_a_paused_peer_that_has_hung_up_costs_no_turns(turns, end):
    async with stage() as s:
        client, app = await s.pair()
        await fill(app)
        end(app)  # paused, it is not read: a descriptor that was only masked would tell of this for ever
        assert await turns.while_idle() <= FEW_TURNS
        await client.aclose()
        await until(lambda: s.relay.open_connections == 0)


async def test_a_client_that_has_hung_up_before_a_full_app_costs_no_turns(turns):
    async with stage() as s:
        client, _app = await s.pair()
        await fill(client)
        reset(client)
        assert await turns.while_idle() <= FEW_TURNS


async def test_a_half_finished_connection_costs_no_turns(turns):
    async with stage() as s:
        client, app = await s.pair()
        await client.send_eof()
        assert await read_all(app) == b""
        assert await turns.while_idle() <= FEW_TURNS
        await app.send_all(b"answer")
        assert await read_exactly(client, 6) == b"answer"


class ShortListener:
    """A listener whose system has run out of something."""

    def __init__(self, listener: socket.socket, code: int) -> None:
        self.listener = listener
        self.code: int | None = code
        self.refusals = 0

    def accept(self) -> tuple[socket.socket, object]:
        if self.code is not None:
            self.refusals += 1
            raise OSError(self.code, os.strerror(self.code))
        return self.listener.accept()

    def __getattr__(self, name: str) -> object:
        return getattr(self.listener, name)


async def serves(s: Stage, client: trio.SocketStream, app: trio.SocketStream) -> None:
    await client.send_all(b"x")
    assert await read_exactly(app, 1) == b"x"


@pytest.mark.parametrize("code", SHORTAGES, ids=errno.errorcode.get)
async def test_a_shortage_at_accept_pauses_accepting_without_a_spin_and_ends(turns, code):
    async with stage() as s:
        client, app = await s.pair()
        assert s.relay._listener is not None
        s.relay._listener = short = ShortListener(s.relay._listener, code)  # type: ignore[assignment]
        waiting = await s.connect()
        await until(lambda: short.refusals > 0)
        before = short.refusals
        assert await turns.while_idle() <= FEW_TURNS
        assert short.refusals - before <= 2  # tried again every 100 ms
        await serves(s, client, app)
        short.code = None
        await serves(s, waiting, await s.accept())


@pytest.mark.parametrize("code", SHORTAGES, ids=errno.errorcode.get)
async def test_a_shortage_of_sockets_to_the_app_pauses_accepting_without_a_spin_and_ends(turns, code, monkeypatch):
    async with stage() as s:
        client, app = await s.pair()
        refusals = 0

        def refuse() -> socket.socket:
            nonlocal refusals
            refusals += 1
            raise OSError(code, os.strerror(code))

        if s.relay._next_app_socket is not None:
            s.relay._next_app_socket.close()
            s.relay._next_app_socket = None
        with monkeypatch.context() as patched:
            patched.setattr(s.relay, "_new_app_socket", refuse)
            waiting = await s.connect()
            await until(lambda: refusals > 0)
            before = refusals
            assert await turns.while_idle() <= FEW_TURNS
            assert refusals - before <= 2
            await serves(s, client, app)
        await serves(s, waiting, await s.accept())


async def test_a_batch_accepts_at_most_64_clients(monkeypatch):
    async with stage() as s:
        await trio.testing.wait_all_tasks_blocked()
        opened: list[int] = []
        accept_batch = s.relay._accept_batch

        def counted() -> None:
            before = s.relay.open_connections
            accept_batch()
            opened.append(s.relay.open_connections - before)

        monkeypatch.setattr(s.relay, "_accept_batch", counted)
        with ExitStack() as stack:
            for _ in range(100):
                client = stack.enter_context(socket.socket())
                client.connect(("127.0.0.1", s.port))  # by the kernel: the relay gets no turn meanwhile
            await until(lambda: sum(opened) == 100)
        assert max(opened) == 64


@pytest.mark.parametrize("turns", [descriptor_set.EpollSet], indirect=True)  # poll(2) tells of all: its order is fixed
async def test_a_batch_serves_at_most_256_descriptors_and_all_get_their_turn(turns):
    poller = Poller()
    served: set[int] = set()
    with ExitStack() as stack:
        for _ in range(300):
            ours, _ = map(stack.enter_context, socket.socketpair())
            fd = ours.fileno()
            poller.register(fd, WRITABLE, lambda _, fd=fd: served.add(fd))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            await until(lambda: len(served) == 300)
            nursery.cancel_scope.cancel()
    assert turns.most_events == 256


def test_a_pipe_has_256_kib_where_that_is_allowed_and_is_filled_only_when_it_is_empty():
    pipe = Pipe()
    try:
        assert fcntl.fcntl(pipe._writer, fcntl.F_GETPIPE_SZ) == pipe._size
        with open("/proc/sys/fs/pipe-max-size") as file:
            if int(file.read()) >= PIPE_BYTES:
                assert pipe._size == PIPE_BYTES
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.send(b"abc")
            assert pipe.fill(ours.fileno(), 2) == 2
            with pytest.raises(AssertionError, match="when it is empty"):
                pipe.fill(ours.fileno(), 1)
    finally:
        pipe.close()


@pytest.mark.parametrize("size", [0, 1, 1 << 16, (1 << 16) + 1, 5 << 20])
def test_hex_is_made_in_slices_of_at_most_64_kib(size):
    record = os.urandom(size)
    pieces = list(hex_lines(record))
    assert b"".join(pieces) == record.hex().encode() + b"\n"
    assert max(map(len, pieces)) <= 2 * (1 << 16)
