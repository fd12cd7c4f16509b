"""`--output-tcp`: what an aggregator gets, and what is said of it when it goes away."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from launcher.replay.record_format import SEPARATOR, Record, RecordReader
from launcher.replay_protocol import Account
from tests.replay.harness import get, outcomes_are, post, received, replayer


@dataclass
class Aggregator:
    """A listener that keeps what it reads; each connection is read up to `appetite` bytes, and then no more."""

    port: int = 0
    appetite: float = float("inf")
    records: list[bytes] = field(default_factory=list)
    damaged: int = 0
    connections: list[trio.SocketStream] = field(default_factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections.append(stream)
        reader = RecordReader()
        left = self.appetite
        try:
            while left > 0 and (data := await stream.receive_some(int(min(left, 65536)))):
                left -= len(data)
                events = reader.receive(data)
                self.records += [event.data for event in events if isinstance(event, Record)]
                self.damaged += sum(not isinstance(event, Record) for event in events)
            if left <= 0:
                await trio.sleep_forever()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    def reset(self) -> None:
        """Ends all connections with an RST."""
        for stream in self.connections:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.socket.close()
        self.connections.clear()


@asynccontextmanager
async def aggregator(port: int = 0, appetite: float = float("inf")) -> AsyncIterator[Aggregator]:
    (listener,) = await trio.open_tcp_listeners(port, host="127.0.0.1")
    served = Aggregator(listener.socket.getsockname()[1], appetite)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, served.serve, [listener])
        yield served
        nursery.cancel_scope.cancel()


def target(port: int) -> tuple[str, str]:
    return ("output-tcp", f"127.0.0.1:{port}")


async def test_every_record_arrives_once_over_kept_connections() -> None:
    records = [post(f"/{number}", b"x" * (number % 3000)) for number in range(3000)]
    async with aggregator() as served, replayer([target(served.port), ("output-tcp-workers", "4")]) as replaying:
        await replaying.replay(*records)
        assert await replaying.end() == 0
        assert replaying.final[0].outcomes == {"written": 3000}
        assert replaying.final[0].destination == f"tcp://127.0.0.1:{served.port}"
        assert sorted(served.records) == sorted(records)
        assert served.damaged == 0
        assert len(served.connections) <= 4


async def test_sticky_records_of_one_identity_keep_their_order() -> None:
    records = [b"1 id%d %d -1\nGET / HTTP/1.1\r\n\r\n" % (number % 7, number) for number in range(700)]
    async with aggregator() as served, replayer([target(served.port), ("output-tcp-sticky", "true")]) as replaying:
        await replaying.replay(*records)
        assert await replaying.end() == 0
        for identity in range(7):
            mine = [record for record in served.records if b" id%d " % identity in record]
            assert mine == records[identity::7]


async def test_while_the_aggregator_is_away_records_wait_for_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    async with replayer([target(port)]) as replaying:
        await replaying.replay(get("/a"), get("/b"))
        await replaying.until_all(lambda running: bool(running.failures))
        assert replaying.failures[0].kind == "refused"
        async with aggregator(port) as served:
            assert await replaying.end() == 0
            assert replaying.final[0].outcomes == {"written": 2}
            assert len(served.records) == 2


async def test_without_an_aggregator_a_queue_fills_and_the_rest_is_unsent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    async with replayer([target(port)], queue_bytes=20_000) as replaying:
        await replaying.replay(*[post("/", bytes(1000))] * 100)
        assert await replaying.end(drain_seconds=0.2) == 0
        outcomes = replaying.final[0].outcomes
        assert set(outcomes) == {"queue_full", "unsent"}
        assert sum(outcomes.values()) == 100


async def test_what_was_not_acknowledged_at_a_reset_is_said_and_the_rest_goes_over_the_next_connection() -> None:
    big = [post(f"/{number}", bytes(1_000_000)) for number in range(40)]
    async with aggregator(appetite=1) as served:
        options = [target(served.port), ("output-tcp-workers", "1")]
        async with replayer(options, queue_bytes=1 << 27) as replaying:
            await replaying.replay(*big)
            await replaying.until(received(40))
            served.appetite = float("inf")
            served.reset()
            assert await replaying.end() == 0
            outcomes = replaying.final[0].outcomes
            assert set(outcomes) <= {"written", "reset"} and outcomes["reset"] >= 1
            assert sum(outcomes.values()) == 40
            # The first connection gave up at most what two sockets' buffers hold.
            assert 40 - len(served.records) <= outcomes["reset"] + 12
            assert len(set(served.records)) == len(served.records) <= 40


async def test_an_idle_connection_that_the_aggregator_closed_costs_nothing() -> None:
    async with aggregator() as served, replayer([target(served.port), ("output-tcp-workers", "1")]) as replaying:
        for number in range(1, 6):
            await replaying.replay(get(f"/{number}"))
            await replaying.until(outcomes_are(written=number))
            served.reset()
        assert await replaying.end() == 0
        assert replaying.final[0].outcomes == {"written": 5}
        assert len(served.records) == 5


async def test_an_aggregator_that_hangs_costs_its_own_copies_only() -> None:
    record = post("/", bytes(1_000_000))
    async with (
        aggregator(appetite=1) as served,
        aggregator() as other,
        replayer([target(served.port), target(other.port)], queue_bytes=8 << 20) as replaying,
    ):
        for number in range(4, 41, 4):
            await replaying.replay(*[record] * 4)
            await replaying.until(
                lambda line, number=number: isinstance(line, Account)  # type: ignore[misc]
                and line.outputs[1].outcomes == {"written": number}
            )
        assert await replaying.end(drain_seconds=0.5) == 0
        hung, healthy = replaying.final
        assert healthy.outcomes == {"written": 40}
        assert set(hung.outcomes) <= {"written", "unsent", "queue_full"}
        assert sum(hung.outcomes.values()) == 40
        assert hung.outcomes["queue_full"] >= 10


async def test_a_record_with_gors_separator_in_it_is_not_sent() -> None:
    async with aggregator() as served, replayer([target(served.port)]) as replaying:
        await replaying.replay(post("/", b"x" + SEPARATOR + get("/forged")), get())
        assert await replaying.end() == 0
        assert replaying.final[0].outcomes == {"untellable": 1, "written": 1}
        assert len(served.records) == 1
