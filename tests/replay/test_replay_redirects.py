"""Redirects that are followed, and those that are not: rewriting, and on the wire."""

from __future__ import annotations

import pytest

from launcher.replay.redirects import redirected
from launcher.replay.requests import Request
from tests.linear import assert_linear, traced_memory
from tests.replay.harness import OK, Visit, destination, get, post, replayer

HEAD = b"POST /a/b?q=1 HTTP/1.1\r\nHost: h:81\r\nCookie: c\r\nContent-Type: t/x\r\nContent-Length: 2\r\n\r\n"


def request(head: bytes = HEAD, body: bytes = b"xy") -> Request:
    return Request(head.split()[0], False, head, memoryview(body))


@pytest.mark.parametrize(
    ("location", "target"),
    [
        (b"/new", b"/new"),
        (b"new?x#fragment", b"/a/new?x"),
        (b"?x=%2F", b"/a/b?x=%2F"),
        (b"http://h:81", b"/"),
        (b"http://H:81/new", b"/new"),
        (b"//h:81/new", b"/new"),
    ],
)
def test_a_redirect_within_the_destination_is_followed(location: bytes, target: bytes) -> None:
    following = redirected(request(), 307, location, "http")
    assert following is not None
    assert following.head == HEAD.replace(b"/a/b?q=1", target)
    assert following.body == b"xy"


@pytest.mark.parametrize(
    "location",
    [b"http://other/new", b"https://h:81/new", b"//other/new", b"http://h/new", b"http://h:81@other/", b"ftp://h:81/",
     b"/a b", b"/a\xff", b"http://[", b"http://u:p@h:81/"],
)  # fmt: skip
def test_a_redirect_to_anywhere_else_is_not_followed(location: bytes) -> None:
    assert redirected(request(), 302, location, "http") is None


@pytest.mark.parametrize("status", [300, 304, 305, 399])
def test_other_statuses_are_no_redirects(status: int) -> None:
    assert redirected(request(), status, b"/new", "http") is None


@pytest.mark.parametrize("status", [301, 302, 303])
def test_after_a_post_the_new_place_is_fetched_without_what_belonged_to_the_body(status: int) -> None:
    following = redirected(request(), status, b"/new", "http")
    assert following is not None
    assert (following.method, following.head) == (b"GET", b"GET /new HTTP/1.1\r\nHost: h:81\r\nCookie: c\r\n\r\n")
    assert not following.body


def test_the_default_port_may_be_named_or_not() -> None:
    head = b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
    following = redirected(request(head, b""), 302, b"https://h:443/new", "https")
    assert following is not None
    assert following.head == head.replace(b" / ", b" /new ")


def test_behind_a_proxy_the_target_stays_absolute() -> None:
    head = b"GET http://h/old HTTP/1.1\r\nHost: h\r\n\r\n"
    following = redirected(request(head, b""), 302, b"/new", "http")
    assert following is not None
    assert following.head == head.replace(b"/old", b"/new")


async def round_and_round(visit: Visit) -> None:
    """/n leads to /n+1, and /end is an end."""
    while (came := await visit.request()) is not None:
        path = came.split()[1]
        if path == b"/end":
            await visit.send(OK)
        else:
            await visit.send(b"HTTP/1.1 302 Found\r\nLocation: /%d\r\nContent-Length: 1\r\n\r\nx" % (int(path[1:]) + 1))


def test_behind_a_proxy_an_asterisk_is_no_part_of_the_authority() -> None:
    head = b"OPTIONS http://h:81 HTTP/1.1\r\nHost: h:81\r\nA: b\r\n\r\n"  # RFC 9112 §3.2.4
    following = redirected(request(head, b""), 307, b"/new", "http")
    assert following is not None
    assert following.head == b"OPTIONS http://h:81/new HTTP/1.1\r\nHost: h:81\r\nA: b\r\n\r\n"


@pytest.mark.parametrize("location", [b"/" + b"a" * 60_000, b"http://h:81/" + b"a" * 60_000])
def test_a_redirect_that_is_longer_than_any_server_takes_is_not_followed_nor_remembered(location: bytes) -> None:
    with traced_memory() as traced:
        for number in range(200):
            assert redirected(request(), 307, location + b"%d" % number, "http") is None
        assert traced()[0] < 1_000_000


@pytest.mark.parametrize("piece", ["/", "../", "./", "a/", "a/../", "?", "#", "@", ":", "//", "%2e", ";", "[", "]"])
@pytest.mark.parametrize("start", ["", "http://h:81/", "//", "http://"])
def test_a_location_meant_to_be_slow_takes_linear_time(start: str, piece: str) -> None:
    assert_linear(
        lambda nbytes: (start + piece * (nbytes // len(piece)) + "a").encode(),
        lambda location: redirected(request(), 307, location, "http"), 15_900,
    )  # fmt: skip


@pytest.mark.parametrize(("redirects", "arrived"), [("0", 1), ("1", 2), ("3", 4)])
async def test_as_many_redirects_are_followed_as_were_asked_for(redirects: str, arrived: int) -> None:
    options = [("output-http-redirects", redirects), ("output-http-workers", "1")]
    async with destination(round_and_round) as served:
        async with replayer([("output-http", served.url), *options]) as replaying:
            await replaying.replay(get("/0"))
            assert await replaying.end() == 0
        assert [request.split()[1] for request in served.requests] == [b"/%d" % number for number in range(arrived)]
        assert replaying.final[0].outcomes == {"3xx": 1}
        assert served.connections == 1


async def test_a_redirect_that_leads_to_an_answer_counts_as_that_answer() -> None:
    async def once(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 303 See Other\r\nLocation: /end\r\nConnection: close\r\n\r\n")

    async def handle(visit: Visit) -> None:
        await (once(visit) if visit.destination.connections == 1 else round_and_round(visit))

    async with destination(handle) as served:
        async with replayer([("output-http", served.url), ("output-http-redirects", "2")]) as replaying:
            await replaying.replay(post("/0"))
            assert await replaying.end() == 0
        assert [request.split()[0] for request in served.requests] == [b"POST", b"GET"]
        assert replaying.final[0].outcomes == {"2xx": 1}
