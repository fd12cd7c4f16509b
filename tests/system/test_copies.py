"""What is copied and what is not: each request ends in exactly its counter, and a copy has the bytes that were sent."""

from __future__ import annotations

import math
import random
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from launcher.gor.binary import Gor
from tests.system import accounts
from tests.system.asking import figures
from tests.system.launched import Launched, Product
from tests.system.load import Request, check_arrivals, check_bytes, chunked, request, send_all
from tests.system.sink import Arrival, Sink, command, journal, sink, wait_until


@dataclass
class Scene:
    """An app behind the launcher, and a destination."""

    launched: Launched
    destination: Sink
    journal_of_app: Path

    def send(self, *requests: Request) -> None:
        """One after the other on one connection; each is answered rightly."""
        send_all(self.launched.port, requests, connections=1, is_plain=True)

    def talk(self, data: bytes) -> bytes:
        """Sends bytes on a connection of their own, ends it, and returns all that comes back."""
        with self.launched.connect() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return read_to_end(client)

    def end(self, *, copies: int) -> dict[str, int]:
        """Waits for the copies, ends the launcher, and returns the tap's counters that are not 0."""
        self.destination.wait_for(copies)
        self.launched.stop()
        assert self.destination.count == copies
        return accounts.tap_counters(self.launched)

    def at_app(self) -> list[Arrival]:
        return journal(self.journal_of_app)


@contextmanager
def scene(product: Product, tmp_path: Path, *options: str, replayer: str = "builtin") -> Iterator[Scene]:
    with sink(tmp_path / "copies") as destination:
        words = [*options, "--replayer", replayer, "--to", destination.url]
        with product.launch(words, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            yield Scene(launched, destination, tmp_path / "app")


def read_to_end(client: socket.socket) -> bytes:
    data = b""
    try:
        while piece := client.recv(65536):
            data += piece
    except ConnectionResetError:
        pass  # the app had not read all that it was sent
    return data


def read_answer(stream: IO[bytes]) -> bytes:
    """The head of one answer; its body is read, too."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        assert line, f"the answer ends after {head!r}"
        head += line
    length = re.search(rb"(?i)content-length: ([0-9]+)", head)
    stream.read(int(length[1]) if length else 0)
    return head


# ---- the copy's bytes ----------------------------------------------------------------------------------------------

ODD_HEADERS = (
    "x-Odd-cASE: Yes", "Cookie: a=1", "X-Many: 1", "X-Many: 2", "x-many:3", "X-Empty:", "X-Tabs:\t both \t",
    "X-Latin: \xe9\xff", "User-Agent:   two  words  ", "TE: trailers", "X-Last: ,;=\"'",
)  # fmt: skip
HOP_HEADERS = (
    "connection: Keep-Alive, X-Named , x-other-named", "X-NAMED: gone", "X-Other-Named: gone", "x-named: again",
    "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "CONNECTION: X-Third", "X-Third: gone",
)  # fmt: skip


def test_a_copy_is_the_request_without_what_is_meant_for_one_hop(product: Product, tmp_path: Path) -> None:
    rng = random.Random(1)
    mixed = [*ODD_HEADERS, *HOP_HEADERS]
    rng.shuffle(mixed)
    body = rng.randbytes(5000)
    requests = [
        request(1, "GET", *mixed, target="//r/1/../%2F?a=b&&c=%zz"),
        request(2, "POST", *mixed, "Expect: 100-continue", body=body),
        request(3, "PUT", *mixed, "Transfer-Encoding: chunked", body=body,
                chunks=chunked(rng, body, extensions=True, trailers=["X-Sum: 1", "x-sum:2"])),
        request(4, "GET", "Connection: close", "X-Close: kept"),
    ]  # fmt: skip
    with scene(product, tmp_path) as on:
        on.send(*requests)
        assert on.end(copies=4) == {"seen": 4, "offered": 4}
        check_arrivals(requests, on.at_app(), at="the app")
        check_bytes(requests, on.at_app(), Request.sent_head)
        check_arrivals(requests, on.destination.arrivals(), at="the destination")
        check_bytes(requests, on.destination.arrivals(), lambda each: each.copied_head(on.destination.host))


def test_the_expected_copy_is_what_it_should_be() -> None:
    sent = request(7, "GET", "A: 1", "connection: close, b", "B: 2", "keep-alive: x", "a:3", "Expect: 100-continue")
    copy = ["GET /r/7 HTTP/1.1", "Host: next:1", "A: 1", "a:3", "X-Traffic-Duplicator: 1", "", ""]
    assert sent.copied_head("next:1") == "\r\n".join(copy)


def test_dropped_headers_are_in_no_copy(product: Product, tmp_path: Path) -> None:
    lines = ("Cookie: secret", "A: 1", "cookie: more", "X-Token: t", "Cookies: kept")
    requests = [request(number, "GET", *lines) for number in range(3)]
    with scene(product, tmp_path, "--drop-header", "cookie", "--drop-header", "X-Token") as on:
        on.send(*requests)
        assert on.end(copies=3) == {"seen": 3, "offered": 3}
        check_bytes(requests, on.at_app(), Request.sent_head)
        check_bytes(
            requests, on.destination.arrivals(),
            lambda each: each.copied_head(on.destination.host, drop=["Cookie", "X-Token"]),
        )  # fmt: skip


# ---- what is not copied --------------------------------------------------------------------------------------------


def test_a_copy_that_comes_back_is_not_copied_again(product: Product, tmp_path: Path) -> None:
    marks = ("X-Traffic-Duplicator: 1", "x-traffic-duplicator:0")
    requests = [request(n, "GET", *marks[n : n + 1]) for n in range(5)]
    with scene(product, tmp_path) as on:
        on.send(*requests)
        assert on.end(copies=3) == {"seen": 5, "offered": 3, "skipped_loop": 2}
        check_bytes(requests, on.at_app(), Request.sent_head)
        assert sorted(each.id for each in on.destination.arrivals()) == [2, 3, 4]


def test_with_a_sample_of_0_nothing_is_copied(product: Product, tmp_path: Path) -> None:
    requests = [request(n) for n in range(50)]
    with scene(product, tmp_path, "--sample", "0") as on:
        on.send(*requests)
        assert on.end(copies=0) == {"seen": 50, "skipped_sample": 50}
        check_arrivals(requests, on.at_app(), at="the app")


def test_a_sample_of_30_percent_is_about_that_share(product: Product, tmp_path: Path) -> None:
    count, share = 2000, 0.3
    requests = [request(n) for n in range(count)]
    with scene(product, tmp_path, "--sample", "30%") as on:
        send_all(on.launched.port, requests)
        counters = on.end(copies=figures(product, on.launched)["requests"]["offered"])
        assert counters["seen"] == count == counters["offered"] + counters["skipped_sample"]
        sigma = math.sqrt(count * share * (1 - share))
        assert abs(counters["offered"] - count * share) < 6 * sigma
        assert accounts.outcomes(on.launched, on.destination.url)["2xx"] == counters["offered"] == on.destination.count
        check_arrivals(requests, on.at_app(), at="the app")


def test_what_is_larger_than_the_bound_is_not_copied(product: Product, tmp_path: Path) -> None:
    rng = random.Random(1)
    small, large = rng.randbytes(9_000), rng.randbytes(10_241)
    fits = 10_240 - len(request(4, "POST", body=bytes(10_000)).head)
    requests = [
        request(0, "POST", body=small),
        request(1, "POST", body=large),
        request(2, "POST", "Transfer-Encoding: chunked", body=large, chunks=chunked(rng, large)),
        request(3, "POST", "Transfer-Encoding: chunked", body=small, chunks=chunked(rng, small)),
        request(4, "POST", body=bytes(fits)),
        request(5, "POST", body=bytes(fits + 1)),
        request(6, "GET", *(f"X-Long: {'x' * 3000}" for _ in range(4))),
        request(7, "POST", body=rng.randbytes(1_000_000)),
        request(8, "GET"),
    ]
    with scene(product, tmp_path, "--max-request", "10KB") as on:
        on.send(*requests)
        assert on.end(copies=4) == {"seen": 9, "offered": 4, "dropped_large": 5}
        check_arrivals(requests, on.at_app(), at="the app")
        assert sorted(each.id for each in on.destination.arrivals()) == [0, 3, 4, 8]


def test_what_gor_would_cut_is_not_copied(product: Product, gor: Gor, tmp_path: Path) -> None:
    requests = [request(0, "POST", body=bytes(5_100_000)), request(1, "POST", body=bytes(6_000_000)), request(2)]
    options = ("--max-request", "8MiB", "--buffer", "64MiB")
    with scene(product, tmp_path, *options, replayer=str(gor.path)) as on:
        on.send(*requests)
        assert on.end(copies=2) == {"seen": 3, "offered": 2, "dropped_large": 1}
        check_arrivals([requests[0], requests[2]], on.destination.arrivals(), at="the destination")


def test_a_connection_that_switches_protocols_is_relayed_and_not_copied(product: Product, tmp_path: Path) -> None:
    upgrade = request(1, "GET", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
    with scene(product, tmp_path) as on:
        for frames in (b"\x81\x85frames", b"GET /r/9 HTTP/1.1\r\nHost: x\r\n\r\n"):
            with on.launched.connect() as client, client.makefile("rb") as stream:
                client.sendall(request(0).head)
                assert read_answer(stream).startswith(b"HTTP/1.1 200 ")
                client.sendall(upgrade.head)
                assert read_answer(stream).startswith(b"HTTP/1.1 101 ")
                client.sendall(frames)
                assert stream.read(len(frames)) == frames
        assert on.end(copies=2) == {"seen": 4, "offered": 2, "skipped_upgrade": 2}
        assert [each.id for each in on.destination.arrivals()] == [0, 0]


def test_a_declined_upgrade_is_copied_without_it_and_so_is_what_follows(product: Product, tmp_path: Path) -> None:
    requests = [
        request(1, "GET", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk", "A: 1"),
        request(2, "POST", "Upgrade: h2c", "Connection: Upgrade", body=b"with a body"),
        request(3, "GET"),
    ]
    with scene(product, tmp_path) as on:
        on.send(*requests)
        assert on.end(copies=3) == {"seen": 3, "offered": 3}
        check_bytes(requests, on.at_app(), Request.sent_head)
        check_bytes(requests, on.destination.arrivals(), lambda each: each.copied_head(on.destination.host))


def test_a_request_that_is_never_finished_is_not_copied(product: Product, tmp_path: Path) -> None:
    with scene(product, tmp_path) as on:
        whole = request(1)
        on.talk(whole.head + request(2, "POST", body=b"x" * 100).head + b"x" * 99)
        on.talk(request(3, "POST", "Transfer-Encoding: chunked", chunks=b"").head + b"5\r\nhello\r\n0\r\n")
        on.talk(request(4).head[:-2])  # a head that is not complete is no request yet
        assert on.end(copies=1) == {"seen": 3, "offered": 1, "incomplete": 2}
        assert [each.id for each in on.destination.arrivals()] == [1]


def test_what_is_not_http_or_ambiguous_is_relayed_and_not_copied(product: Product, tmp_path: Path) -> None:
    with scene(product, tmp_path) as on:
        assert on.talk(tls_client_hello()).startswith(b"HTTP/1.1 400 ")  # the app's own answer
        twice = request(1, "POST", "Transfer-Encoding: chunked", body=b"").head + b"0\r\n\r\n"
        on.talk(request(2).head + twice + request(3).head)
        wait_until(lambda: any(each.id == 2 for each in on.at_app()), "the app has got the request before")
        assert on.end(copies=1) == {"seen": 3, "offered": 1, "unframed": 2}
        assert [each.id for each in on.destination.arrivals()] == [2]


def tls_client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="app.example.com")
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()
