"""Traffic: requests of many kinds, and clients that send them over many connections and check every answer.

Every request carries its id in its path and says what the copy of it must look like. The clients are those of a
`tests.system.sink` server, which answers with the id and the digest of what it got: an answer that is missing,
wrong, late behind another one, or cut short is a failure.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.system.sink import Arrival, digest_of, wait_until

ANSWER_SECONDS = 60.0  # for one answer; far above what the slowest machine needs
HOST = "app.example.com"

_MAX_PIPELINED = 6
_MAX_PIECES = 5
_ONE_HOP = ("connection", "keep-alive", "expect", "proxy-connection", "upgrade")


@dataclass(frozen=True)
class Request:
    """One request, and what its receivers must find."""

    id: int
    method: str
    head: bytes
    wire_body: bytes = b""
    body: bytes = b""  # decoded
    is_last: bool = False  # the client asks for the connection's end
    expects_continue: bool = False

    @property
    def digest(self) -> str:
        return digest_of(self.body)

    def sent_head(self) -> str:
        """The head as the app must get it."""
        return self.head.decode("latin-1")

    def copied_head(self, host: str, drop: Iterable[str] = ()) -> str:
        """The head that the copy must have at the destination `host`."""
        first, *lines = self.sent_head().split("\r\n")[:-2]
        nominated = [
            token.strip().lower()
            for line in lines if line.lower().startswith("connection:")
            for token in line.partition(":")[2].split(",")
        ]  # fmt: skip
        dropped = {*_ONE_HOP, *nominated, *(name.lower() for name in drop)}
        kept = [line for line in lines if line.partition(":")[0].lower() not in dropped]
        kept = [f"{line[:5]} {host}" if line.lower().startswith("host:") else line for line in kept]
        return "\r\n".join([first, *kept, "X-Traffic-Duplicator: 1", "", ""])


# ---- kinds ---------------------------------------------------------------------------------------------------------

Lines = Sequence[str]


def request(
    ident: int, method: str = "GET", *lines: str, target: str | None = None, body: bytes | None = None,
    chunks: bytes | None = None, version: str = "1.1",
) -> Request:  # fmt: skip
    """A request; with `body` it has a length, with `chunks` as well it is sent as those bytes."""
    head = [f"{method} {target or f'/r/{ident}'} HTTP/{version}", f"Host: {HOST}", *lines]
    if chunks is None and body is not None:
        head.append(f"Content-Length: {len(body)}")
    text = "\r\n".join([*head, "", ""])
    lower = text.lower()
    return Request(
        ident, method, text.encode("latin-1"), (body or b"") if chunks is None else chunks, body or b"",
        is_last="connection: close" in lower or version == "1.0", expects_continue="expect: 100-continue" in lower,
    )  # fmt: skip


def chunked(rng: random.Random, body: bytes, *, extensions: bool = False, trailers: Lines = ()) -> bytes:
    """The body in chunks of random sizes."""
    parts = []
    position = 0
    while position < len(body):
        size = rng.randint(1, min(len(body) - position, 40_000))
        extension = rng.choice((b"", b";a", b";name=value", b';q="x;\\" y"', b";a=1;b=2")) if extensions else b""
        line = rng.choice((b"%x", b"%X", b"0%x")) % size + extension
        parts.append(line + b"\r\n" + body[position : position + size] + b"\r\n")
        position += size
    ends = "".join(f"{line}\r\n" for line in trailers).encode()
    return b"".join(parts) + b"0\r\n" + ends + b"\r\n"


class Bodies:
    """Random bodies: mostly small ones, some up to 200 KB, a few of 1 MB."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._pool = rng.randbytes(3 << 20)

    def next(self, most: int = 1 << 20) -> bytes:
        kind = self._rng.random()
        if kind < 0.1:
            size = 0
        elif kind < 0.85:
            size = self._rng.randint(1, 4_000)
        elif kind < 0.998:
            size = self._rng.randint(4_000, 200_000)
        else:
            size = 1 << 20
        size = min(size, most)
        start = self._rng.randrange(len(self._pool) - size)
        return self._pool[start : start + size]


Kind = Callable[[int, random.Random, Bodies], Request]


def _get(ident: int, _rng: random.Random, _bodies: Bodies) -> Request:
    return request(ident, "GET", "User-Agent: load/1", "Accept: */*")


def _get_with_query(ident: int, rng: random.Random, _bodies: Bodies) -> Request:
    target = f"/r/{ident}?q={rng.random()}&empty=&a=%20%2F%C3%A9&a=2+3;x"
    return request(ident, "GET", "Accept-Encoding: gzip, br", "User-Agent: load/1", target=target)


def _get_odd_path(ident: int, rng: random.Random, _bodies: Bodies) -> Request:
    target = rng.choice(("//a/../r/{}//", "/a/./b/../r/{}", "/%2F%2e%2e/r/{}/%00", "/r/{}/ü", "/r/{};v=1,2'()!$*@:~"))
    return request(ident, "GET", "User-Agent: load/1", target=target.format(ident).replace("ü", "%C3%BC"))


def _head(ident: int, _rng: random.Random, _bodies: Bodies) -> Request:
    return request(ident, "HEAD", "User-Agent: load/1")


def _delete(ident: int, _rng: random.Random, _bodies: Bodies) -> Request:
    return request(ident, "DELETE", "User-Agent: load/1", "If-Match: \"abc\"")


def _options(ident: int, _rng: random.Random, _bodies: Bodies) -> Request:
    return request(ident, "OPTIONS", "User-Agent: load/1", "Origin: http://example.com")


def _post(ident: int, rng: random.Random, bodies: Bodies) -> Request:
    method = rng.choice(("POST", "PUT", "PATCH"))
    return request(ident, method, "Content-Type: application/octet-stream", "User-Agent: load/1", body=bodies.next())


def _lower_case(ident: int, rng: random.Random, bodies: Bodies) -> Request:
    body = bodies.next(20_000)
    lines = ("user-agent: load/1", "x-Odd-cASE: Yes", "content-type: text/plain", f"content-length: {len(body)}")
    return request(ident, "POST", *lines, body=body, chunks=body)


def _duplicates(ident: int, rng: random.Random, _bodies: Bodies) -> Request:
    many = [f"X-Many: {number}" for number in range(rng.randint(2, 9))]
    lines = ("Cookie: a=1; b=2", *many, "Accept:", "X-Padded:   both sides \t", "User-Agent: load/1")
    return request(ident, "GET", *lines)


def _chunked(ident: int, rng: random.Random, bodies: Bodies) -> Request:
    body = bodies.next()
    name = rng.choice(("Transfer-Encoding: chunked", "transfer-encoding: Chunked"))
    return request(ident, "POST", name, "User-Agent: load/1", body=body, chunks=chunked(rng, body))


def _chunked_with_extensions(ident: int, rng: random.Random, bodies: Bodies) -> Request:
    body = bodies.next(100_000)
    chunks = chunked(rng, body, extensions=True)
    return request(ident, "PUT", "Transfer-Encoding: chunked", "User-Agent: load/1", body=body, chunks=chunks)


def _chunked_with_trailers(ident: int, rng: random.Random, bodies: Bodies) -> Request:
    body = bodies.next(100_000)
    chunks = chunked(rng, body, trailers=("X-Sum: 12", "X-Other: a b"))
    lines = ("Trailer: X-Sum, X-Other", "Transfer-Encoding: chunked", "User-Agent: load/1")
    return request(ident, "POST", *lines, body=body, chunks=chunks)


def _expect(ident: int, _rng: random.Random, bodies: Bodies) -> Request:
    return request(ident, "PUT", "Expect: 100-continue", "User-Agent: load/1", body=bodies.next(50_000) or b"x")


def _one_hop(ident: int, rng: random.Random, _bodies: Bodies) -> Request:
    connection = rng.choice(("Connection: close, X-Hop", "Connection: close", "connection: keep-alive, x-hop"))
    lines = ("X-Hop: gone", "Keep-Alive: timeout=5", connection, "Proxy-Connection: keep-alive", "User-Agent: load/1")
    return request(ident, "GET", *lines)


def _http_1_0(ident: int, _rng: random.Random, _bodies: Bodies) -> Request:
    return request(ident, "GET", "User-Agent: load/1", version="1.0")


KINDS: dict[str, tuple[int, Kind]] = {  # with how many of a hundred there are, about
    "GET": (20, _get),
    "GET with a query": (16, _get_with_query),
    "GET of an odd path": (6, _get_odd_path),
    "HEAD": (2, _head),
    "DELETE": (4, _delete),
    "OPTIONS": (4, _options),
    "with a length": (14, _post),
    "names in lower case": (5, _lower_case),
    "duplicates and odd values": (5, _duplicates),
    "chunked": (7, _chunked),
    "chunked with extensions": (4, _chunked_with_extensions),
    "chunked with trailers": (3, _chunked_with_trailers),
    "Expect": (3, _expect),
    "headers for one hop": (5, _one_hop),
    "HTTP/1.0": (2, _http_1_0),
}


def mixed_requests(count: int, *, without: Iterable[str] = (), seed: int = 1, first_id: int = 0) -> list[Request]:
    """So many requests of all kinds but those; the same ones for the same seed."""
    rng = random.Random(seed)
    bodies = Bodies(rng)
    kinds = {name: kind for name, kind in KINDS.items() if name not in set(without)}
    chosen = rng.choices([make for _, make in kinds.values()], [weight for weight, _ in kinds.values()], k=count)
    return [make(first_id + number, rng, bodies) for number, make in enumerate(chosen)]


# ---- clients -------------------------------------------------------------------------------------------------------


@dataclass
class Traffic:
    """What has come of some requests so far."""

    waiting: deque[Request]
    sent: list[Request] = field(default_factory=list)
    answered: int = 0
    failures: list[str] = field(default_factory=list)

    def wait_for(self, answered: int) -> None:
        """Waits until so many have been answered rightly."""
        wait_until(lambda: self.answered >= answered or self.failures, f"{answered} answers")
        self.check()

    def next(self) -> Request:
        """The next request to send."""
        self.sent.append(self.waiting.popleft())
        return self.sent[-1]

    def check(self) -> None:
        """Fails if any client met anything but the right answer."""
        assert not self.failures, f"{len(self.failures)} failures, first {self.failures[:5]}"


def send_all(port: int, requests: Sequence[Request], *, connections: int = 32, is_plain: bool = False) -> None:
    """Sends the requests over so many connections; returns when all are answered rightly. Blocks.

    Unless `is_plain`, some are pipelined, some are written in pieces.
    """
    traffic = Traffic(deque(requests))
    asyncio.run(_send_all(traffic, port, connections, is_plain=is_plain))
    traffic.check()
    assert traffic.answered == len(requests)


@contextmanager
def sending(
    port: int, requests: Sequence[Request], *, connections: int = 4, pause_seconds: float = 0.03
) -> Iterator[Traffic]:
    """Sends requests in the background, with a pause after each batch on a connection, until the block ends.

    Then waits for the answers to all that has been sent, which must be right. `requests` must be more than enough.
    """
    traffic = Traffic(deque(requests))
    sent = _send_all(traffic, port, connections, pause_seconds=pause_seconds)
    thread = threading.Thread(target=lambda: asyncio.run(sent), daemon=True)
    thread.start()
    try:
        yield traffic
        assert traffic.waiting, "there were too few requests to go on until the end"
    finally:
        traffic.waiting.clear()
        thread.join(ANSWER_SECONDS * 2)
    assert not thread.is_alive(), f"only {traffic.answered} of {len(traffic.sent)} requests were answered"
    traffic.check()
    assert traffic.answered == len(traffic.sent)


async def _send_all(
    traffic: Traffic, port: int, connections: int, *, is_plain: bool = False, pause_seconds: float = 0
) -> None:
    clients = [
        _Client(traffic, port, random.Random(number), is_plain=is_plain, pause_seconds=pause_seconds)
        for number in range(connections)
    ]
    await asyncio.gather(*(client.run() for client in clients))


class _Client:
    """One connection after the other, until no request waits."""

    def __init__(
        self, traffic: Traffic, port: int, rng: random.Random, *, is_plain: bool, pause_seconds: float
    ) -> None:
        self._traffic = traffic
        self._waiting = traffic.waiting
        self._port = port
        self._rng = rng
        self._is_plain = is_plain
        self._pause_seconds = pause_seconds

    async def run(self) -> None:
        while self._waiting and not self._traffic.failures:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            batch: list[Request] = []
            try:
                while self._waiting and not (batch and batch[-1].is_last):
                    batch = self._next_batch()
                    await asyncio.wait_for(self._exchange(reader, writer, batch), ANSWER_SECONDS)
                    await asyncio.sleep(self._pause_seconds)
            except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
                told = ", ".join(f"{request.method} {request.id}" for request in batch)
                self._traffic.failures.append(f"{error!r} at {told}")
            finally:
                writer.close()

    def _next_batch(self) -> list[Request]:
        """One request, or several to pipeline; one that ends or holds up the connection comes last."""
        batch = [self._traffic.next()]
        most = 1 if self._is_plain or self._rng.random() < 0.6 else self._rng.randint(2, _MAX_PIPELINED)
        while len(batch) < most and self._waiting and not (batch[-1].is_last or batch[-1].expects_continue):
            batch.append(self._traffic.next())
        return batch

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, batch: Sequence[Request]
    ) -> None:
        before, last = batch[:-1], batch[-1]
        data = b"".join(request.head + request.wire_body for request in before) + last.head
        writing = asyncio.ensure_future(self._write(writer, data if last.expects_continue else data + last.wire_body))
        for request in before:
            await self._read_answer(reader, request)
        await writing
        if last.expects_continue:
            if await reader.readuntil(b"\r\n\r\n") != b"HTTP/1.1 100 Continue\r\n\r\n":
                raise ValueError("no 100 Continue")
            await self._write(writer, last.wire_body)
        await self._read_answer(reader, last)
        if last.is_last and await reader.read(1):
            raise ValueError("bytes behind the last answer")

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        pieces = 1 if self._is_plain or self._rng.random() < 0.7 else self._rng.randint(2, _MAX_PIECES)
        cuts = sorted(self._rng.randrange(len(data)) for _ in range(pieces - 1))
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            writer.write(data[start:end])
            await writer.drain()
            if pieces > 1:
                await asyncio.sleep(0.001)  # so that the piece goes out, and mostly arrives, alone

    async def _read_answer(self, reader: asyncio.StreamReader, request: Request) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        status, _, lines = head.partition(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in
                   (line.partition(b":") for line in lines.split(b"\r\n")[:-2])}  # fmt: skip
        expected = b"%d %s" % (request.id, request.digest.encode())
        if request.method == "HEAD":
            body = expected
        else:
            body = await reader.readexactly(int(headers.get(b"content-length", 0)))
        told = b"%s %s" % (headers.get(b"x-id", b""), headers.get(b"x-digest", b""))
        if not (status.startswith(b"HTTP/1.1 200 ") and body == told == expected):
            raise ValueError(f"{status!r} with {body!r}")
        self._traffic.answered += 1


# ---- comparing what was sent with what arrived ---------------------------------------------------------------------


def check_arrivals(requests: Sequence[Request], arrivals: Sequence[Arrival], *, at: str) -> None:
    """Every request arrived exactly once, with its body."""
    missing = missing_ids(requests, arrivals, at=at)
    assert not missing, f"{len(missing)} of {len(requests)} never arrived at {at}, such as {sorted(missing)[:10]}"


def missing_ids(requests: Sequence[Request], arrivals: Sequence[Arrival], *, at: str) -> set[int]:
    """The requests that did not arrive. Fails for one that arrived twice, with another body, or was never sent."""
    sent = {request.id: request for request in requests}
    seen: set[int] = set()
    for arrival in arrivals:
        assert arrival.id in sent, f"at {at} arrived what nobody sent: {arrival}"
        assert arrival.id not in seen, f"request {arrival.id} arrived at {at} twice"
        seen.add(arrival.id)
        request = sent[arrival.id]
        assert arrival.digest == request.digest, f"at {at} another body arrived: {arrival}"
        assert arrival.head.startswith(f"{request.method} "), f"at {at} another method arrived: {arrival}"
    return sent.keys() - seen


def check_bytes(
    requests: Sequence[Request], arrivals: Sequence[Arrival], expected_head: Callable[[Request], str]
) -> None:
    """What arrived has these heads, and the bodies' bytes as they were sent."""
    sent = {request.id: request for request in requests}
    for arrival in arrivals:
        request = sent[arrival.id]
        assert arrival.head == expected_head(request)
        assert arrival.wire_digest == digest_of(request.wire_body), f"request {arrival.id} came in other chunks"
