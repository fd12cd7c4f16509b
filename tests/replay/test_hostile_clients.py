"""One client of `--input-http` or `--input-tcp` costs itself only, whatever it does."""

from __future__ import annotations

import resource
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from launcher.listen_address import parse_listen_address
from launcher.replay.inputs import Input, InputTally
from launcher.replay.inputs.group import InputGroup
from launcher.replay.inputs.http import MAX_CONNECTIONS, HttpInput
from launcher.replay.inputs.intake import ConnectionIntake, Intake
from launcher.replay.inputs.tcp import TcpInput
from launcher.replay.record_format import SEPARATOR
from tests.replay.by_hand import ByHand, by_hand
from tests.replay.harness import peak_memory_bytes

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: a\r\n\r\n"
RECORD = b"1 a1 1700000000000000000 -1\n" + GET + SEPARATOR
ANSWER_END = b"\r\n\r\nOK\n"


async def answered(stream: trio.SocketStream, count: int, end: bytes = ANSWER_END) -> bytes:
    """What comes, up to so many answers."""
    answer = b""
    while answer.count(end) < count and (more := await stream.receive_some()):
        answer += more
    return answer


async def open_stream(port: int) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", port)


async def ended(running: ByHand) -> None:
    running.process.send_signal(signal.SIGTERM)
    assert await running.end() == 0, running.said


def reset(port: int) -> None:
    """A client that comes and goes at once."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


async def test_any_number_of_pipelined_upgrades_are_declined_and_taken() -> None:
    async with by_hand("--input-http", "127.0.0.1:0", "--output-null") as running:
        async with await trio.open_tcp_stream("127.0.0.1", await running.port()) as stream:
            await stream.send_all(UPGRADE * 1500 + GET)
            assert (await answered(stream, 1501)).count(b"HTTP/1.1 200 OK") == 1501
        await ended(running)
        assert running.final("input", "received") == running.final("output", "written") == 1501


def test_what_is_pipelined_behind_an_upgrade_is_taken_when_the_input_stops() -> None:
    taken: list[bytes] = []
    intake = Intake(InputTally("--input-http"), taken.append, None, 1024**2, 1024**2)
    intake.is_stopping = True
    connection = ConnectionIntake(intake)
    answer = connection.receive(UPGRADE * 10 + GET + b"GET / HT")
    assert (len(taken), answer.count(b"HTTP/1.1 200 OK"), answer.count(b"Connection: close")) == (11, 11, 1)
    assert connection.is_done


PIECES = [
    GET, UPGRADE, GET[:-2], b"\r\n", b"\x00", b"\n", b"GET / HTTP/1.0\r\nConnection: close\r\n\r\n",
    b"POST / HTTP/1.1\r\nUpgrade: b\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", b"abc",
    b"POST / HTTP/1.1\r\nUpgrade: b\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nabcde\r\n", b"0\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nX-Traffic-Duplicator: 1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 3000\r\n\r\n", b"x" * 2000,
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join), st.integers(1, 9))
def test_what_is_taken_does_not_depend_on_how_it_comes(stream: bytes, step: int) -> None:
    def take(*pieces: bytes) -> tuple[dict[str, int], list[bytes]]:
        taken: list[bytes] = []
        intake = Intake(InputTally("--input-http"), taken.append, None, 2500, 1024**2)
        connection = ConnectionIntake(intake)
        for piece in pieces:
            if not connection.is_done:
                connection.receive(piece)
        connection.closed()
        assert intake.held_bytes == 0
        return intake.tally.counts, [record.partition(b"\n")[2] for record in taken]

    assert take(*(stream[start : start + step] for start in range(0, len(stream), step))) == take(stream)


async def test_whoever_is_connected_when_it_stops_is_still_served() -> None:
    async with by_hand("--input-http", "127.0.0.1:0", "--output-null") as running, AsyncExitStack() as stack:
        port = await running.port()
        running.process.send_signal(signal.SIGSTOP)
        for _ in range(300):
            stream = await stack.enter_async_context(await open_stream(port))
            await stream.send_all(GET)
        running.process.send_signal(signal.SIGTERM)
        running.process.send_signal(signal.SIGCONT)
        assert await running.end() == 0
        assert running.final("input", "received") == 300


@pytest.fixture(autouse=True, scope="module")
def descriptors() -> Iterator[None]:
    """Enough of them for as many clients as an input takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4 * MAX_CONNECTIONS:
        pytest.skip("this machine allows too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4 * MAX_CONNECTIONS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@asynccontextmanager
async def all_places_taken(port: int) -> AsyncIterator[None]:
    """As many connections as there may be, each with a request half read."""
    async with AsyncExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            stream = await stack.enter_async_context(await open_stream(port))
            await stream.send_all(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 100 ")
        yield


async def test_a_client_that_is_gone_before_it_is_refused_is_counted_and_ends_nothing() -> None:
    async with by_hand("--input-http", "127.0.0.1:0", "--output-null") as running:
        port = await running.port()
        async with all_places_taken(port):
            running.process.send_signal(signal.SIGSTOP)
            reset(port)
            running.process.send_signal(signal.SIGCONT)
            async with await open_stream(port) as stream:
                assert (await answered(stream, 1, b"\r\n\r\n")).startswith(b"HTTP/1.1 503 ")
        await ended(running)
        assert running.final("input", "refused") == 2
        assert running.final("input", "incomplete") == MAX_CONNECTIONS


@pytest.mark.parametrize("make", [
    lambda address: HttpInput(address, 1024**2), lambda address: TcpInput(address),
])  # fmt: skip
async def test_a_defect_costs_one_request_is_counted_and_told(make: type[TcpInput]) -> None:
    source: Input = make(parse_listen_address("127.0.0.1:0"))
    source.open()
    port = int(source.tally.shown.rpartition(":")[2])
    what = GET if isinstance(source, HttpInput) else RECORD
    taken: list[bytes] = []

    def receive(record: bytes) -> None:
        taken.append(record)
        if len(taken) == 2:
            raise KeyError("secret")

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(source.run, receive)
            for _ in range(2):
                async with await open_stream(port) as stream:
                    await stream.send_all(what * 2)
                    await stream.send_eof()
                    while await stream.receive_some():
                        pass
            source.stop()
    counts = {name: count for name, count in source.tally.counts.items() if count}
    assert (counts, len(taken)) == ({"received": 3, "failed": 1}, 4)
    ((kind, error, _),) = source.tally.failures.take_news()
    assert kind == "failed" and "KeyError" in error and "secret" not in error


async def test_an_input_that_a_defect_ends_is_told_and_the_others_go_on() -> None:
    class Broken(TcpInput):
        async def run(self, receive: object) -> None:
            assert self._listener is not None
            with self._listener:
                await trio.lowlevel.checkpoint()
                raise ValueError("secret")

    broken, sound = Broken(parse_listen_address("127.0.0.1:0")), TcpInput(parse_listen_address("127.0.0.1:0"))
    group = InputGroup([broken, sound])
    group.open()
    taken: list[bytes] = []
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(group.read, taken.append)
            async with await trio.open_tcp_stream("127.0.0.1", sound.port) as stream:
                await stream.send_all(RECORD)
                await stream.send_eof()
                assert await stream.receive_some() == b""
            group.stop()
    assert len(taken) == 1 and group.has_failed
    ((kind, error, _),) = broken.tally.failures.take_news()
    assert kind == "failed" and "ValueError" in error and "secret" not in error


async def test_an_idle_connection_with_a_request_on_its_way_makes_no_room_for_another() -> None:
    async with by_hand("--input-http", "127.0.0.1:0", "--output-null") as running, AsyncExitStack() as stack:
        port = await running.port()
        streams = []
        for _ in range(MAX_CONNECTIONS):
            streams.append(await stack.enter_async_context(await open_stream(port)))
            await streams[-1].send_all(GET)
            await answered(streams[-1], 1)
        running.process.send_signal(signal.SIGSTOP)
        for stream in streams[:20]:
            await stream.send_all(GET)
        new = [await stack.enter_async_context(await open_stream(port)) for _ in range(20)]
        for stream in new:
            await stream.send_all(GET)
        running.process.send_signal(signal.SIGCONT)
        for stream in (*new, *streams[:20]):
            assert await answered(stream, 1)
        await ended(running)
        assert running.final("input", "received") == MAX_CONNECTIONS + 40


async def test_a_client_that_pipelines_for_long_is_not_taken_for_one_that_never_ends_a_request(
    mock_clock: trio.testing.MockClock,
) -> None:
    source = HttpInput(parse_listen_address("127.0.0.1:0"), 1024**2)
    source.open()
    port = int(source.tally.shown.rpartition(":")[2])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.run, lambda record: None)
        async with await open_stream(port) as stream:
            await stream.send_all(GET[:9])
            for _ in range(4):
                mock_clock.jump(40)
                await stream.send_all(GET[9:] + GET[:9])
                assert await answered(stream, 1)
        nursery.cancel_scope.cancel()


async def test_answers_that_nobody_reads_take_little_memory() -> None:
    """64 KiB of the smallest requests have half a megabyte of answers."""
    async with by_hand("--input-http", "127.0.0.1:0", "--output-null") as running, AsyncExitStack() as stack:
        port = await running.port()
        probe = await stack.enter_async_context(await open_stream(port))
        before = peak_memory_bytes(running.process.pid)
        running.process.send_signal(signal.SIGSTOP)
        for _ in range(60):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            client.setblocking(False)
            client.send(b"GET / HTTP/1.1\r\n\r\n" * 3600)
        running.process.send_signal(signal.SIGCONT)
        for _ in range(20):  # meanwhile all others have their turns
            await probe.send_all(GET)
            await answered(probe, 1)
        assert peak_memory_bytes(running.process.pid) - before < 60 * 200_000
