"""Each bad destination costs its own copies only: its outcomes are exact, a healthy output beside it gets all."""

from __future__ import annotations

import datetime
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme

from tests.replay.harness import OK, Destination, Handler, ReplayerProcess, Visit, destination, get, post, replayer

COPIES = 30


async def hang(visit: Visit) -> None:
    while await visit.request() is not None:
        pass


async def reset_after_request(visit: Visit) -> None:
    await visit.request()
    visit.reset()


async def reset_within_answer(visit: Visit) -> None:
    await visit.request()
    await visit.send(OK[:-1])
    visit.reset()


async def close_within_answer(visit: Visit) -> None:
    await visit.request()
    await visit.send(OK[:-1])


async def close_at_once(visit: Visit) -> None:
    await visit.request()


async def garbage(visit: Visit) -> None:
    await visit.request()
    await visit.send(b"SSH-2.0-OpenSSH_9.2\r\n")
    await visit.stream.receive_some()


async def endless_head(visit: Visit) -> None:
    await visit.request()
    await visit.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await visit.send(b"X-More: %s\r\n" % (b"x" * 4096))


async def announced_close(visit: Visit) -> None:
    await visit.request()
    await visit.send(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")


async def close_delimited(visit: Visit) -> None:
    await visit.request()
    await visit.send(b"HTTP/1.1 500 Oops\r\n\r\nno length")


async def one_byte_at_a_time(visit: Visit) -> None:
    while await visit.request() is not None:
        for byte in OK:
            await visit.send(bytes([byte]))


async def one_byte_a_second(visit: Visit) -> None:
    await visit.request()
    for byte in OK:
        await visit.send(bytes([byte]))
        await trio.sleep(1)


async def never_whole(visit: Visit) -> None:
    await visit.request()
    await visit.send(OK[:-1])
    await visit.stream.receive_some()


async def huge_with_length(visit: Visit) -> None:
    await visit.request()
    await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    while True:
        await visit.send(bytes(65536))


async def endless_chunks(visit: Visit) -> None:
    await visit.request()
    await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await visit.send(b"10000\r\n" + bytes(65536) + b"\r\n")


async def switch(visit: Visit) -> None:
    await visit.request()
    await visit.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
    await visit.stream.receive_some()


async def interim_first(visit: Visit) -> None:
    while await visit.request() is not None:
        await visit.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)


BAD = [
    (hang, "timeout"),
    (never_whole, "timeout"),
    (one_byte_a_second, "timeout"),
    (reset_after_request, "reset"),
    (reset_within_answer, "reset"),
    (close_within_answer, "reset"),
    (close_at_once, "reset"),
    (garbage, "protocol"),
    (endless_head, "protocol"),
    (announced_close, "4xx"),
    (close_delimited, "5xx"),
    (one_byte_at_a_time, "2xx"),
    (huge_with_length, "2xx"),
    (endless_chunks, "2xx"),
    (switch, "1xx"),
    (interim_first, "2xx"),
]


@asynccontextmanager
async def beside_a_healthy_one(
    url: str, *, timeout: str = "30s", **more: float
) -> AsyncIterator[tuple[ReplayerProcess, Destination]]:
    options = [("output-http", url), ("output-http-timeout", timeout)]
    async with destination() as good, replayer([*options, ("output-http", good.url)], **more) as replaying:
        yield replaying, good


def assert_all_went_well(replaying: ReplayerProcess, good: Destination, outcome: str, *, copies: int = COPIES) -> None:
    bad_account, good_account = replaying.final
    assert (bad_account.received, bad_account.outcomes) == (copies, {outcome: copies})
    assert (good_account.received, good_account.outcomes) == (copies, {"2xx": copies})
    assert len(good.requests) == copies
    assert bad_account.held_bytes == good_account.held_bytes == 0


@pytest.mark.parametrize(("handler", "outcome"), BAD, ids=[handler.__name__ for handler, _ in BAD])
async def test_each_copy_to_a_bad_destination_ends_in_its_outcome(handler: Handler, outcome: str) -> None:
    timeout = "2s" if outcome == "timeout" else "30s"  # the healthy one must be able to keep it on a busy machine
    async with destination(handler) as bad, beside_a_healthy_one(bad.url, timeout=timeout) as (replaying, good):
        await replaying.replay(*(post(f"/{number}") for number in range(COPIES)))
        assert await replaying.end() == 0
        assert_all_went_well(replaying, good, outcome)


async def test_copies_to_a_closed_port_are_refused_and_said_once_and_summed_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    async with beside_a_healthy_one(f"http://127.0.0.1:{port}") as (replaying, good):
        await replaying.replay(*(get(f"/{number}") for number in range(COPIES)))
        assert await replaying.end() == 0
        assert_all_went_well(replaying, good, "refused")
        first, rest = replaying.failures
        assert (first.kind, first.count, first.error) == ("refused", 1, "connection refused")
        assert (rest.kind, rest.count) == ("refused", COPIES - 1)


async def test_an_early_answer_to_a_large_body_that_nobody_reads_is_taken() -> None:
    async def answer_before_the_body(visit: Visit) -> None:
        await visit.stream.receive_some(1)
        await visit.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await trio.sleep_forever()

    async with (
        destination(answer_before_the_body) as bad,
        beside_a_healthy_one(bad.url, queue_bytes=1 << 27) as (
            replaying,
            good,
        ),
    ):
        await replaying.replay(*(post(f"/{number}", bytes(8 << 20)) for number in range(3)))
        assert await replaying.end() == 0
        assert_all_went_well(replaying, good, "4xx", copies=3)


async def test_connections_are_kept_and_used_again() -> None:
    async with destination() as good, replayer([("output-http", good.url), ("output-http-workers", "2")]) as replaying:
        await replaying.replay(*(get(f"/{number}") for number in range(COPIES)))
        assert await replaying.end() == 0
        assert good.connections <= 2
        assert replaying.final[0].latencies.count == COPIES


async def test_a_request_without_body_that_meets_a_closed_connection_is_sent_once_more() -> None:
    first_request = trio.Event()

    async def close_at_the_second(visit: Visit) -> None:
        if visit.destination.connections > 1:
            await healthy_visit(visit)
        await visit.request()
        await visit.send(OK)
        first_request.set()
        await visit.request()

    async def healthy_visit(visit: Visit) -> None:
        while await visit.request() is not None:
            await visit.send(OK)

    options = ("output-http-workers", "1")
    async with destination(close_at_the_second) as bad, replayer([("output-http", bad.url), options]) as replaying:
        await replaying.replay(get("/1"))
        await first_request.wait()
        await replaying.replay(get("/2"))
        assert await replaying.end() == 0
        assert replaying.final[0].outcomes == {"2xx": 2}
        assert replaying.final[0].retries == 1
        assert [request.split()[1] for request in bad.requests] == [b"/1", b"/2", b"/2"]


async def test_a_post_that_meets_a_closed_connection_is_not_sent_again() -> None:
    async def close_at_the_second(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await visit.request()

    options = ("output-http-workers", "1")
    async with destination(close_at_the_second) as bad, replayer([("output-http", bad.url), options]) as replaying:
        await replaying.replay(post("/1"), post("/2"))
        assert await replaying.end() == 0
        assert replaying.final[0].outcomes == {"2xx": 1, "reset": 1}
        assert [request.split()[1] for request in bad.requests] == [b"/1", b"/2"]


async def test_a_connection_that_the_destination_closed_while_idle_is_not_used() -> None:
    answered = trio.Event()

    async def close_idle(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await trio.aclose_forcefully(visit.stream)
        answered.set()

    options = ("output-http-workers", "1")
    async with destination(close_idle) as bad, replayer([("output-http", bad.url), options]) as replaying:
        for number in range(5):
            answered = trio.Event()
            await replaying.replay(post(f"/{number}"))
            await answered.wait()
        assert await replaying.end() == 0
        assert replaying.final[0].outcomes == {"2xx": 5}
        assert bad.connections == 5


async def test_a_destination_that_comes_back_gets_copies_again() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # nobody else gets the port, and nobody listens
        async with replayer([("output-http", f"http://127.0.0.1:{reserved.getsockname()[1]}")]) as replaying:
            await replaying.replay(get("/before"))
            await replaying.until(lambda line: getattr(line, "kind", "") == "refused")
            reserved.listen()
            reserved.setblocking(False)
            listener = trio.socket.from_stdlib_socket(reserved)
            connected: list[trio.SocketStream] = []
            async with trio.open_nursery() as nursery:

                async def accept() -> None:
                    connected.append(trio.SocketStream((await listener.accept())[0]))
                    nursery.cancel_scope.cancel()

                nursery.start_soon(accept)
                while True:  # until the back-off lets a probe through
                    await replaying.replay(get("/after"))
                    await trio.sleep(0.01)
            await connected[0].receive_some()
            await connected[0].send_all(OK.replace(b"200 OK", b"204 OK\r\nConnection: close"))
            assert await replaying.end(drain_seconds=0.5) == 0
            await connected[0].aclose()
        (account,) = replaying.final
        assert account.outcomes["2xx"] == 1
        assert account.received == sum(account.outcomes.values())


# ---- TLS -----------------------------------------------------------------------------------------------------------


class Certificates:
    """An authority that the replayer trusts, by SSL_CERT_FILE."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(folder / "ca.pem")
        self.env = {"SSL_CERT_FILE": str(folder / "ca.pem")}

    def context(self, name: str, *, authority: trustme.CA | None = None, days: int = 1) -> ssl.SSLContext:
        """A server's, with a certificate for `name` that ends in so many days."""
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
        start = end - datetime.timedelta(days=30)
        certificate = (authority or self.authority).issue_cert(name, not_before=start, not_after=end)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


async def replay_over_tls(certificates: Certificates, served: Destination, copies: int = COPIES) -> ReplayerProcess:
    async with replayer([("output-http", served.url)], env=certificates.env) as replaying:
        await replaying.replay(*(post(f"/{number}", bytes(100_000)) for number in range(copies)))
        assert await replaying.end() == 0
        return replaying


async def test_https_is_verified_and_requests_arrive_whole(certificates: Certificates) -> None:
    names: list[str | None] = []
    context = certificates.context("localhost")
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with destination(ssl_context=context, host="localhost") as served:
        replaying = await replay_over_tls(certificates, served)
    assert replaying.final[0].outcomes == {"2xx": COPIES}
    assert sorted(len(request) for request in served.requests) == sorted(
        len(f"POST /{number} HTTP/1.1\r\nHost: localhost:{served.port}\r\nContent-Length: 100000\r\n\r\n") + 100_000
        for number in range(COPIES)
    )
    assert set(names) == {"localhost"}


async def test_tls_connections_are_kept(certificates: Certificates) -> None:
    async with (
        destination(ssl_context=certificates.context("localhost"), host="localhost") as served,
        replayer([("output-http", served.url), ("output-http-workers", "1")], env=certificates.env) as replaying,
    ):
        await replaying.replay(*(get(f"/{number}") for number in range(COPIES)))
        assert await replaying.end() == 0
        assert replaying.final[0].outcomes == {"2xx": COPIES}
        assert served.connections == 1


@pytest.mark.parametrize(
    ("name", "days", "is_trusted", "words"),
    [
        ("localhost", -1, True, "certificate has expired"),
        ("other.test", 1, True, "Hostname mismatch"),
        ("localhost", 1, False, "unable to get local issuer certificate"),
    ],
)
async def test_an_invalid_certificate_is_a_tls_failure(
    certificates: Certificates, name: str, days: int, is_trusted: bool, words: str
) -> None:
    context = certificates.context(name, authority=None if is_trusted else trustme.CA(), days=days)
    async with destination(ssl_context=context, host="localhost") as served:
        replaying = await replay_over_tls(certificates, served)
    assert replaying.final[0].outcomes == {"tls": COPIES}
    assert served.requests == []
    assert words in replaying.failures[0].error


async def test_a_destination_that_speaks_no_tls_is_a_tls_failure(certificates: Certificates) -> None:
    async def answer_anything(visit: Visit) -> None:
        await visit.stream.receive_some()
        await visit.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with destination(answer_anything) as served:
        served.scheme = "https"
        replaying = await replay_over_tls(certificates, served)
    assert replaying.final[0].outcomes == {"tls": COPIES}


async def test_a_destination_that_hangs_in_the_handshake_times_out(certificates: Certificates) -> None:
    async def silent(visit: Visit) -> None:
        await visit.stream.receive_some()
        await trio.sleep_forever()

    async with destination(silent) as served:
        served.scheme = "https"
        async with beside_a_healthy_one(served.url, timeout="2s") as (replaying, good):
            await replaying.replay(*(get(f"/{number}") for number in range(COPIES)))
            assert await replaying.end() == 0
            assert_all_went_well(replaying, good, "timeout")
