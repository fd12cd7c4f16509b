"""The data plane with real sockets: what one side sends is what the other side gets, and how ends are passed on."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import resource
import socket
import struct
import termios
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest
import trio

from launcher import addresses, descriptor_set, splicing
from launcher.poller import Poller
from launcher.relay import AppAddress, NewTap, Relay
from launcher.sockets import open_listener

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
LARGE = os.urandom(1 << 16) * 64  # 4 MiB: more than the socket buffers of both connections hold


@pytest.fixture(autouse=True, params=["splice", "copy", "copy-without-epoll"])
def way(request, monkeypatch):
    """Everything holds with and without splice(2), and without epoll(7)."""
    monkeypatch.setattr(splicing, "IS_POSSIBLE", request.param == "splice" and splicing.IS_POSSIBLE)
    if request.param == "copy-without-epoll":
        monkeypatch.setattr(descriptor_set, "new_descriptor_set", descriptor_set.PollSet)
    return request.param


class RecordingTap:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.client = b""
        self.app = b""
        self.events: list[str] = []
        self.wants_app = False
        self.app_has_spoken = False
        self.largest = 0

    def client_sent(self, data: bytes) -> None:
        self.client += data
        self.largest = max(self.largest, len(data))

    def indifferent_bytes(self) -> int:
        return 0

    def client_sent_unseen(self, nbytes: int) -> None:
        raise AssertionError("every byte was wanted")

    def app_sent(self, data: bytes) -> None:
        self.app += data

    def closed(self) -> None:
        self.events.append("closed")

    def abandon(self) -> None:
        self.events.append("abandoned")


class FailingTap(RecordingTap):
    def client_sent(self, data: bytes) -> None:
        raise RuntimeError("a defect of the mirror")


class Stage:
    """A relay between a listener, which plays the app, and clients."""

    def __init__(self, relay: Relay, app: socket.socket, port: int) -> None:
        self.relay = relay
        self.app = trio.SocketListener(trio.socket.from_stdlib_socket(app))
        self.port = port
        self.streams: list[trio.SocketStream] = []

    async def connect(self) -> trio.SocketStream:
        self.streams.append(await trio.open_tcp_stream("127.0.0.1", self.port))
        return self.streams[-1]

    async def accept(self) -> trio.SocketStream:
        self.streams.append(await self.app.accept())
        return self.streams[-1]

    async def pair(self) -> tuple[trio.SocketStream, trio.SocketStream]:
        """A client's stream, and the app's end of it."""
        return await self.connect(), await self.accept()


@asynccontextmanager
async def stage(
    *,
    new_tap: NewTap | None = None,
    app_socket: str | None = None,
    refused: Callable[[], None] | None = None,
) -> AsyncIterator[Stage]:
    poller = Poller()
    if app_socket is None:
        app = open_listener("127.0.0.1", 0)
        address = AppAddress(socket.AF_INET, app.getsockname()[:2])
    else:
        app = socket.socket(socket.AF_UNIX)
        app.bind(app_socket)
        app.listen()
        address = AppAddress(socket.AF_UNIX, app_socket)
    relay = Relay(poller, address, new_tap=new_tap, app_refused=refused or (lambda: None))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        relay.listen("127.0.0.1", 0)
        with app:
            scene = Stage(relay, app, relay.port)
            yield scene
            for stream in scene.streams:
                stream.socket.close()
        relay.close()
        nursery.cancel_scope.cancel()


async def read_all(stream: trio.SocketStream) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def read_exactly(stream: trio.SocketStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = await stream.receive_some(size - len(data))
        assert chunk, f"the stream ended after {len(data)} of {size} bytes"
        data += chunk
    return data


def reset(stream: trio.SocketStream) -> None:
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    stream.socket.close()


async def expect_reset(stream: trio.SocketStream) -> None:
    with pytest.raises(trio.BrokenResourceError) as caught:
        while await stream.receive_some():
            pass
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ECONNRESET


async def expect_no_bytes(stream: trio.SocketStream) -> None:
    assert await stream.receive_some() == b""


async def test_bytes_go_both_ways_and_the_tap_sees_the_client_s():
    tap = RecordingTap()
    async with stage(new_tap=lambda _peer: tap) as s:
        client, app = await s.pair()
        await client.send_all(b"question")
        assert await read_exactly(app, 8) == b"question"
        await app.send_all(b"answer")
        assert await read_exactly(client, 6) == b"answer"
        assert (tap.client, tap.app) == (b"question", b"")


async def test_a_tap_sees_a_large_body_in_small_pieces_and_nobody_waits_long_for_it():
    tap = RecordingTap()
    async with stage(new_tap=lambda _peer: tap) as s, trio.open_nursery() as nursery:
        client, app = await s.pair()
        nursery.start_soon(client.send_all, bytes(2_000_000))
        assert await read_exactly(app, 2_000_000) == bytes(2_000_000)
        assert tap.client == bytes(2_000_000)
        assert tap.largest == 16 * 1024


async def test_a_tap_is_told_that_the_app_has_spoken():
    tap = RecordingTap()
    async with stage(new_tap=lambda _peer: tap) as s:
        client, app = await s.pair()
        await client.send_all(b"question")
        assert await read_exactly(app, 8) == b"question"
        assert not tap.app_has_spoken
        await app.send_all(b"answer")
        assert await read_exactly(client, 6) == b"answer"
        assert tap.app_has_spoken


async def test_a_tap_that_wants_the_app_s_bytes_gets_them():
    tap = RecordingTap()
    tap.wants_app = True
    async with stage(new_tap=lambda _peer: tap) as s:
        client, app = await s.pair()
        await app.send_all(b"answer")
        assert await read_exactly(client, 6) == b"answer"
        assert tap.app == b"answer"


async def test_large_transfers_arrive_whole_in_both_directions_at_once():
    async with stage() as s:
        client, app = await s.pair()
        async with trio.open_nursery() as nursery:

            async def send(stream: trio.SocketStream) -> None:
                await stream.send_all(LARGE)
                await stream.send_eof()

            async def check(stream: trio.SocketStream) -> None:
                assert await read_all(stream) == LARGE

            for stream in (client, app):
                nursery.start_soon(send, stream)
                nursery.start_soon(check, stream)


async def test_a_full_socket_stops_the_reading_of_its_peer_and_nothing_is_lost():
    async with stage() as s:
        _client, app = await s.pair()
        other_client, other_app = await s.pair()
        with trio.move_on_after(0.3):  # the client doesn't read: this can't end
            await app.send_all(LARGE * 16)
            pytest.fail("64 MiB went into a connection that nobody reads")
        await other_client.send_all(b"still served")
        assert await read_exactly(other_app, 12) == b"still served"


async def test_a_half_close_is_passed_on_and_the_answer_still_comes():
    async with stage() as s:
        client, app = await s.pair()
        await client.send_all(b"all")
        await client.send_eof()
        assert await read_all(app) == b"all"
        await app.send_all(b"answer")
        await app.aclose()
        assert await read_all(client) == b"answer"
        await until(lambda: s.relay.open_connections == 0)


async def test_a_client_s_reset_is_the_app_s_reset():
    async with stage() as s:
        client, app = await s.pair()
        await client.send_all(b"x")
        assert await read_exactly(app, 1) == b"x"
        reset(client)
        await expect_reset(app)
        assert s.relay.open_connections == 0


async def test_an_app_s_reset_is_the_client_s_reset():
    async with stage() as s:
        client, app = await s.pair()
        await app.send_all(b"x")
        assert await read_exactly(client, 1) == b"x"
        reset(app)
        await expect_reset(client)


def send_now(stream: trio.SocketStream, data: bytes) -> None:
    """Without giving the relay a turn: what is done next is ready for it in the same batch, behind this."""
    assert stream.socket._sock.send(data) == len(data)


def unread_bytes(sock: socket.socket) -> int:
    nbytes = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.FIONREAD, nbytes)
    return nbytes[0]


async def test_an_app_s_reset_is_the_client_s_reset_also_when_a_send_meets_it_first():
    """The error is told once: what is read afterwards looks like the end of a complete answer."""
    async with stage() as s:
        client, app = await s.pair()
        await app.send_all(b"HTTP/1.1 200 OK\r\n\r\nhalf of")
        assert await read_exactly(client, 26) == b"HTTP/1.1 200 OK\r\n\r\nhalf of"
        send_now(client, b"x")
        reset(app)
        await expect_reset(client)
        await until(lambda: s.relay.open_connections == 0)


async def test_an_app_s_reset_is_the_client_s_reset_also_when_bytes_wait_for_the_app():
    async with stage() as s:
        client, app = await s.pair()
        (pair,) = s.relay._pairs
        pair.app.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        app.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        while pair._upward.pending is None:  # nobody reads it there
            send_now(client, b"x" * 10_000)
            await until(lambda: not unread_bytes(pair.client.sock))
        reset(app)
        await expect_reset(client)


@pytest.mark.parametrize("more", [b"", b"more"])
async def test_the_last_words_before_an_app_s_reset_reach_the_client(more):
    """An app that answers early and closes leaves bytes unread: its kernel sends a reset behind the answer."""
    async with stage() as s:
        client, app = await s.pair()
        await client.send_all(b"x" * 1000)
        await trio.lowlevel.wait_readable(app.socket)
        if more:
            send_now(client, more)
        send_now(app, b"413 too large")
        app.socket.close()
        assert await read_exactly(client, 13) == b"413 too large"
        await expect_reset(client)


async def test_the_last_words_before_an_app_s_reset_reach_a_client_that_half_closes_meanwhile():
    async with stage() as s:
        client, app = await s.pair()
        await client.send_all(b"x" * 1000)
        await trio.lowlevel.wait_readable(app.socket)
        client.socket.shutdown(socket.SHUT_WR)
        send_now(app, b"413 too large")
        app.socket.close()
        assert await read_exactly(client, 13) == b"413 too large"
        await expect_reset(client)


async def test_an_answer_that_ended_well_ends_well_though_the_client_sends_on():
    async with stage() as s:
        client, app = await s.pair()
        await app.send_all(b"answer")
        app.socket.close()
        send_now(client, b"x")
        send_now(client, b"y")
        assert await read_all(client) == b"answer"


async def test_an_early_answer_reaches_a_client_that_is_still_sending():
    async with stage() as s:
        client, app = await s.pair()
        await client.send_all(b"x" * 1000)
        await app.send_all(b"413 too large")
        await app.aclose()
        assert await read_exactly(client, 13) == b"413 too large"


async def test_a_failing_tap_is_detached_and_the_bytes_flow_on():
    tap = FailingTap()
    async with stage(new_tap=lambda _peer: tap) as s:
        client, app = await s.pair()
        for _ in range(2):
            await client.send_all(b"x")
            assert await read_exactly(app, 1) == b"x"
        assert tap.events == ["abandoned"]
        await client.aclose()
        assert await read_all(app) == b""
        assert s.relay.counters.failed == 0


async def test_the_tap_is_told_of_the_end_once():
    tap = RecordingTap()
    async with stage(new_tap=lambda _peer: tap) as s:
        client, app = await s.pair()
        await client.aclose()
        assert await read_all(app) == b""
        await app.aclose()
        await until(lambda: s.relay.open_connections == 0)
        assert tap.events == ["closed"]


async def test_a_refused_connection_is_a_reset_for_the_client_and_is_told():
    refused = trio.Event()
    async with stage(refused=refused.set) as s:
        s.app.socket.close()
        with pytest.raises((OSError, trio.BrokenResourceError)):  # the reset may be there before connect looks
            await expect_no_bytes(await s.connect())
        await refused.wait()
        assert s.relay.counters.app_refused == 1
        assert s.relay.open_connections == 0


async def test_a_listener_that_was_closed_refuses_and_connections_live_on():
    async with stage() as s:
        client, app = await s.pair()
        s.relay.stop_listening()
        with pytest.raises(OSError, match="all attempts to connect"):
            while True:  # a thread in poll(2) holds the closed listener open until it has been woken
                await s.connect()
        await client.send_all(b"x")
        assert await read_exactly(app, 1) == b"x"


async def test_at_the_app_s_end_what_it_has_sent_reaches_a_slow_client():
    async with stage() as s:
        client, app = await s.pair()
        idle, idle_app = await s.pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app.send_all, LARGE)
            received = await read_exactly(client, 1000)
            async with trio.open_nursery() as ending:
                ending.start_soon(s.relay.drained)
                received += await read_exactly(client, len(LARGE) - 1000)
                await app.aclose()
                await idle_app.aclose()
        assert received == LARGE
        assert s.relay.open_connections == 0
        assert await read_all(idle) == b""


async def test_an_app_on_a_unix_socket_is_served(tmp_path):
    async with stage(app_socket=str(tmp_path / "app.sock")) as s:
        client, app = await s.pair()
        await client.send_all(b"x")
        assert await read_exactly(app, 1) == b"x"
        await app.aclose()
        assert await read_all(client) == b""


async def test_a_unix_socket_s_full_backlog_only_makes_clients_wait(tmp_path):
    async with stage(app_socket=str(tmp_path / "app.sock")) as s:
        s.app.socket._sock.listen(1)
        clients = [await s.connect() for _ in range(10)]
        for number, client in enumerate(clients):
            await client.send_all(b"%d" % number)
        seen = {await read_exactly(await s.accept(), 1) for _ in clients}
        assert seen == {b"%d" % number for number in range(10)}


async def test_the_relay_connects_from_the_source_it_was_given():
    async with stage() as s:
        s.relay._app = AppAddress(s.relay._app.family, s.relay._app.address, "127.0.0.9")
        _, app = await s.pair()
        assert app.socket.getpeername()[0] == "127.0.0.9"


async def test_a_source_that_the_machine_has_lost_is_replaced_by_one_that_it_has():
    async with stage() as s:
        s.relay._app = AppAddress(s.relay._app.family, s.relay._app.address, "192.0.2.1")
        _, app = await s.pair()
        assert app.socket.getpeername()[0] == (addresses.private_address(socket.AF_INET) or "127.0.0.1")


async def test_accepting_goes_on_after_descriptors_ran_out():
    async with stage() as s:
        client, app = await s.pair()
        waiting = socket.socket()
        with no_descriptors_left():
            await trio.to_thread.run_sync(waiting.connect, ("127.0.0.1", s.port))
            await client.send_all(b"x")
            assert await read_exactly(app, 1) == b"x"
        client = trio.SocketStream(trio.socket.from_stdlib_socket(waiting))
        s.streams.append(client)
        app = await s.accept()
        await client.send_all(b"y")
        assert await read_exactly(app, 1) == b"y"


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Lowers this process's limit to what it has, and fills the gaps."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, limits[1]))
        with suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in fillers:
            os.close(fd)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what other tasks are about to do; the test's own time-out is the bound."""
    while not condition():
        await trio.sleep(0.001)


def test_the_listener_takes_both_families():
    with open_listener("::", 0) as listener:
        port = listener.getsockname()[1]
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as client:
                client.connect((host, port))
