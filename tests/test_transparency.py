"""Random streams both ways at once through the real relay: what arrives is what was sent, and ends are what they were.

With the mirror off, on, and stuck: what is copied, or can't be, changes nothing for the two ends. Each run is made from
its seed, so a failure can be run again.
"""

from __future__ import annotations

import errno
import os
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
import trio

from launcher import descriptor_set, splicing
from launcher.counters import FeedCounters, as_dict
from launcher.feed import Feed, frames
from launcher.mirror import Mirror, MirrorSettings
from launcher.mirror_queue import Budget, MirrorQueue
from launcher.records import LENGTH_PREFIX, request_of
from tests.test_relay import Stage, stage, until

WAYS = ("splice", "copy", "copy-without-epoll")
SEEDS = range(24)
LARGEST_STREAM = 1 << 20
BUFFER = 64 << 20
STUCK_BUFFER = 256 << 10
MAX_REQUEST = 100_000
PATIENCE_SECONDS = 60
GUARD = b"X-Traffic-Duplicator: 1\r\n"


@pytest.fixture(params=SEEDS)
def rng(request, monkeypatch):
    way = WAYS[request.param % len(WAYS)]
    monkeypatch.setattr(splicing, "IS_POSSIBLE", way == "splice" and splicing.IS_POSSIBLE)
    if way == "copy-without-epoll":
        monkeypatch.setattr(descriptor_set, "new_descriptor_set", descriptor_set.PollSet)
    return random.Random(request.param)


def size(rng: random.Random, most: int) -> int:
    """Small ones as often as large ones."""
    return int(most ** rng.random())


@dataclass
class Requests:
    """What a client sends: valid requests, one behind the other, and then perhaps what is no HTTP."""

    data: bytes
    copied: list[bytes] = field(default_factory=list)  # as the mirror should have them
    large: int = 0
    is_garbled: bool = False


def a_request(rng: random.Random, number: int) -> tuple[bytes, bytes]:
    """Its head and its body."""
    if rng.random() < 0.5:
        return b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number, b""
    body = rng.randbytes(size(rng, 2 * MAX_REQUEST if rng.random() < 0.2 else 5000))
    if rng.random() < 0.5:
        return b"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (number, len(body)), body
    chunks = []
    while body:
        cut = size(rng, len(body))
        chunks.append(b"%x;e=1\r\n%s\r\n" % (cut, body[:cut]))
        body = body[cut:]
    head = b"PUT /%d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" % number
    return head, b"".join(chunks) + b"0\r\nT: t\r\n\r\n"


def requests(rng: random.Random) -> Requests:
    made = Requests(b"")
    for number in range(rng.randrange(40)):
        head, body = a_request(rng, number)
        made.data += head + body
        if len(head) + len(body) > MAX_REQUEST:
            made.large += 1
        else:
            made.copied.append(head[:-2] + GUARD + b"\r\n" + body)
    if rng.random() < 0.5:
        made.is_garbled = True
        made.data += b"\x16\x03\x01" + rng.randbytes(size(rng, LARGEST_STREAM))
    return made


@dataclass
class End:
    """One end of a connection: what it does, and what it has seen."""

    stream: trio.SocketStream
    to_send: bytes
    rng: random.Random
    ending: str  # "fin"; "reset" at a random point; "fin-reset": the one and then the other
    received: bytearray = field(default_factory=bytearray)
    saw_end: bool = False
    saw_reset: bool = False  # which is told once: what is read afterwards is an end

    def __post_init__(self) -> None:
        self.sock = self.stream.socket
        self.least_read = self.rng.choice([1 << 8, 1 << 13, 1 << 17])  # slow, and quick
        if self.rng.random() < 0.5:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # no less: loopback's packets are as large
        self.stop_at = len(self.to_send)
        if self.ending == "reset":
            self.stop_at = self.rng.randint(0, len(self.to_send))

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.read)
            await self.send()
            if self.ending != "reset":
                self.shut()
            if self.ending != "fin":
                await self.linger()
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                nursery.cancel_scope.cancel()
        self.sock.close()

    async def linger(self) -> None:
        for _ in range(self.rng.randrange(50)):
            await trio.lowlevel.checkpoint()

    async def send(self) -> None:
        position = 0
        try:
            while position < self.stop_at:
                cut = min(position + size(self.rng, 200_000), self.stop_at)
                position += await self.sock.send(self.to_send[position:cut])
                if self.rng.random() < 0.2:
                    await self.linger()
        except OSError as error:
            self.note(error)

    def shut(self) -> None:
        with suppress(OSError):  # a reset has come
            self.sock.shutdown(socket.SHUT_WR)

    async def read(self) -> None:
        try:
            while data := await self.sock.recv(self.rng.randint(1, self.least_read)):
                self.received += data
            self.saw_end = True
        except OSError as error:
            self.note(error)

    @property
    def saw_fin(self) -> bool:
        return self.saw_end and not self.saw_reset

    def note(self, error: OSError) -> None:
        assert error.errno in (errno.ECONNRESET, errno.EPIPE), error
        self.saw_reset |= error.errno == errno.ECONNRESET  # EPIPE: a reset after a FIN


def check(receiver: End, sender: End) -> None:
    """What one end got of what the other one sent."""
    if "reset" not in receiver.ending + sender.ending:
        assert receiver.received == sender.to_send
        assert receiver.saw_fin and not receiver.saw_reset
        return
    assert sender.to_send.startswith(receiver.received)
    if receiver.ending == "fin":
        assert receiver.saw_fin or receiver.saw_reset
        if receiver.saw_fin:
            assert sender.ending == "fin-reset", "a reset came as the end of a complete answer"
            assert receiver.received == sender.to_send


class Scene:
    """A mirror, and a feed into a pipe."""

    def __init__(self, s: Stage, mirror: Mirror, feed: Feed) -> None:
        self.stage = s
        self.mirror = mirror
        self.feed = feed
        self.copies: list[bytes] = []

    async def read_copies(self, fd: int) -> None:
        data = b""
        while True:
            await trio.lowlevel.wait_readable(fd)
            data += os.read(fd, 1 << 16)
            while len(data) >= 4 and len(data) >= 4 + LENGTH_PREFIX.unpack(data[:4])[0]:
                (length,) = LENGTH_PREFIX.unpack(data[:4])
                self.copies.append(request_of(data[4 : 4 + length]))
                data = data[4 + length :]

    def counters(self) -> dict[str, int]:
        return {name: value for name, value in as_dict(self.mirror.counters).items() if value}

    def check_accounts(self) -> None:
        """All has ended."""
        self.feed.close()
        self.feed.queue.shut()
        assert self.mirror.counters.imbalance() == 0, self.mirror.counters
        assert self.feed.queue.counters.imbalance() == 0, self.feed.queue.counters
        assert self.mirror.budget.used_bytes == 0


@asynccontextmanager
async def scene(*, is_stuck: bool = False) -> AsyncIterator[Scene]:
    limit = STUCK_BUFFER if is_stuck else BUFFER
    budget = Budget(limit)
    queue = MirrorQueue(budget, limit, FeedCounters())
    mirror = Mirror([queue], budget, MirrorSettings(max_request_bytes=MAX_REQUEST))
    reader, writer = os.pipe()
    for fd in (reader, writer):
        os.set_blocking(fd, False)
    async with stage(new_tap=mirror.new_tap) as s:
        feed = Feed(s.relay.poller, queue, frames)
        feed.open(writer)
        made = Scene(s, mirror, feed)
        async with trio.open_nursery() as nursery:
            if not is_stuck:
                nursery.start_soon(made.read_copies, reader)
            yield made
            nursery.cancel_scope.cancel()
        made.check_accounts()
    os.close(reader)


async def exchange(s: Stage, rng: random.Random, streams: list[bytes], *, endings: list[str]) -> list[tuple[End, End]]:
    """A connection for each of `streams`, all at once; the app's bytes are random."""
    ends = []
    for data in streams:
        client, app = await s.pair()
        answer = rng.randbytes(rng.choice([size(rng, LARGEST_STREAM), LARGEST_STREAM]))
        ends.append((
            End(client, data, random.Random(rng.random()), rng.choice(endings)),
            End(app, answer, random.Random(rng.random()), rng.choice(endings)),
        ))  # fmt: skip
    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            for end in (one for pair in ends for one in pair):
                nursery.start_soon(end.run)
        await until(lambda: s.relay.open_connections == 0)
    for client_end, app_end in ends:
        check(client_end, app_end)
        check(app_end, client_end)
    assert s.relay.counters.failed == 0
    return ends


ENDINGS = pytest.mark.parametrize("endings", [["fin"], ["fin", "fin", "reset", "fin-reset"]], ids=["fins", "resets"])


@ENDINGS
async def test_random_streams_arrive_as_they_were_sent_without_a_mirror(rng, endings):
    async with stage() as s:
        streams = [rng.randbytes(size(rng, LARGEST_STREAM)) for _ in range(4)]
        await exchange(s, rng, streams, endings=endings)


@ENDINGS
async def test_random_streams_arrive_as_they_were_sent_while_they_are_copied(rng, endings):
    async with scene() as made:
        sent = [requests(rng) for _ in range(4)]
        await exchange(made.stage, rng, [each.data for each in sent], endings=endings)
        await until(lambda: made.feed.is_drained and not made.feed.unread_bytes())
        expected = [copy for each in sent for copy in each.copied]
        if endings == ["fin"]:
            await until(lambda: len(made.copies) >= len(expected))
            assert sorted(made.copies) == sorted(expected)
            ends = {
                "offered": len(expected),
                "dropped_large": sum(each.large for each in sent),
                "unframed": sum(each.is_garbled for each in sent),
            }
            ends["seen"] = sum(ends.values())
            assert made.counters() == {name: value for name, value in ends.items() if value}


@ENDINGS
async def test_random_streams_arrive_as_they_were_sent_while_the_mirror_is_stuck(rng, endings):
    async with scene(is_stuck=True) as made:
        queue = made.feed.queue
        while made.feed.unread_bytes() < 1 << 15 or queue.offer(bytes(1000)):
            await trio.lowlevel.checkpoint()  # fills the pipe, which nobody reads, and then the queue
            if made.feed.unread_bytes() < 1 << 15:
                queue.offer(bytes(1000))
        sent = [requests(rng) for _ in range(4)]
        await exchange(made.stage, rng, [each.data for each in sent], endings=endings)
        assert made.mirror.budget.used_bytes <= STUCK_BUFFER
        most = sum(len(each.copied) + each.large + each.is_garbled for each in sent)
        assert made.mirror.counters.seen <= most  # fewer: where no head could be held, copying ended
        assert queue.counters.taken == 0
