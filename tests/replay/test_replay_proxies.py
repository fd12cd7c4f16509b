"""Which proxy is used, and what a proxy sees."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio
import trustme

from launcher.proxies import Proxy, UnusableProxy, proxy_for
from launcher.tls_trust import tls_context
from tests.replay.harness import OK, Visit, destination, get, replayer

BOTH = {"HTTP_PROXY": "http://plain:3128", "https_proxy": "u:p%40@secure"}


def test_each_scheme_has_its_own_variable_in_either_case() -> None:
    assert proxy_for("http", "h", 80, BOTH) == Proxy("plain", 3128)
    assert proxy_for("https", "h", 443, BOTH) == Proxy("secure", 80, b"Basic dTpwQA==")
    assert proxy_for("https", "h", 443, {"HTTP_PROXY": "http://plain"}) is None
    assert proxy_for("http", "h", 80, {"HTTP_PROXY": "http://a", "http_proxy": "http://b"}) == Proxy("a", 80)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_is_never_reached_by_proxy(host: str) -> None:
    assert proxy_for("http", host, 80, BOTH) is None


@pytest.mark.parametrize(
    ("excluded", "host", "port", "is_excluded"),
    [
        ("*", "h.test", 80, True),
        ("h.test", "h.test", 80, True),
        ("h.test", "a.H.test", 80, True),
        ("h.test", "ah.test", 80, False),
        (".h.test", "a.h.test", 80, True),
        (".h.test", "h.test", 80, False),
        ("*.h.test", "a.h.test", 80, True),
        ("x, h.test:80", "h.test", 80, True),
        ("h.test:81", "h.test", 80, False),
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("192.0.2.1", "192.0.2.1", 80, True),
        ("192.0.2.1:81", "192.0.2.1", 80, False),
        ("2001:db8::/32", "2001:db8::1", 80, True),
        ("[2001:db8::1]:80", "2001:db8::1", 80, True),
        ("", "h.test", 80, False),
        (",", "h.test", 80, False),
    ],
)
def test_no_proxy_says_what_is_reached_directly(excluded: str, host: str, port: int, is_excluded: bool) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        assert (proxy_for("http", host, port, {**BOTH, name: excluded}) is None) == is_excluded


UNUSABLE = ["https://u:secret@proxy", "socks5://u:secret@proxy:1080", "http://u:secret@pro xy"]


@pytest.mark.parametrize("text", UNUSABLE)
def test_a_proxy_of_another_kind_is_no_way_unless_the_destination_is_excepted(text: str) -> None:
    assert proxy_for("http", "h", 80, {"HTTP_PROXY": text}) == UnusableProxy("HTTP_PROXY")
    assert proxy_for("http", "h", 80, {"http_proxy": text}) == UnusableProxy("http_proxy")
    assert proxy_for("http", "h", 80, {"HTTP_PROXY": text, "NO_PROXY": "h"}) is None
    assert proxy_for("https", "h", 443, {"HTTP_PROXY": text}) is None


@pytest.mark.parametrize("text", UNUSABLE)
async def test_behind_a_proxy_of_another_kind_nothing_is_sent_and_that_is_said_once(text: str) -> None:
    async with destination() as good:
        options = [("output-http", "https://dest.test"), ("output-http", good.url)]
        async with replayer(options, env={"HTTPS_PROXY": text}) as replaying:
            await replaying.replay(get("/1"), get("/2"), get("/3"))
            assert await replaying.end() == 0
            told = "".join(map(str, replaying.failures)) + await replaying.stderr()
    refused, well = replaying.final
    assert (refused.outcomes, well.outcomes) == ({"refused": 3}, {"2xx": 3})
    first, rest = replaying.failures
    assert (first.kind, first.count, rest.count) == ("refused", 1, 2)
    assert first.error.startswith("HTTPS_PROXY is not the address of an http proxy")
    assert "secret" not in told


async def test_a_proxy_gets_plain_requests_in_absolute_form_with_its_credentials() -> None:
    async with destination() as proxy:
        env = {"HTTP_PROXY": f"http://u:p@127.0.0.1:{proxy.port}"}
        async with replayer([("output-http", "http://dest.test:81")], env=env) as replaying:
            await replaying.replay(get("/a?b"))
            assert await replaying.end() == 0
    assert replaying.final[0].outcomes == {"2xx": 1}
    assert proxy.requests == [
        b"GET http://dest.test:81/a?b HTTP/1.1\r\nProxy-Authorization: Basic dTpw\r\nHost: dest.test:81\r\n\r\n"
    ]


async def test_a_proxy_is_asked_for_the_destination_alone_whatever_a_client_writes_as_its_target() -> None:
    """Joined without a slash, `com://x` would make `dest.test` the name `dest.testcom`, and `@other/` another host."""
    targets = ["com://x/y", "*", "//other/a"]
    async with destination() as proxy:
        env = {"HTTP_PROXY": f"http://127.0.0.1:{proxy.port}"}
        options = [("output-http", "http://dest.test"), ("output-http-workers", "1")]
        options.append(("http-rewrite-url", "^/at:@other/"))
        async with replayer(options, env=env) as replaying:
            await replaying.replay(*map(get, [*targets, "/at"]))
            await replaying.replay(get("/x").replace(b"GET /x", b"CONNECT .other.test:443"))
            assert await replaying.end() == 0
            told = [failed.error for failed in replaying.failures]
    assert replaying.final[0].outcomes == {"2xx": 4, "protocol": 1}
    assert told == ["a CONNECT can't be sent through an http proxy, which would take it for its own"]
    lines = [request.partition(b" HTTP")[0].decode() for request in proxy.requests]
    assert lines == [
        "GET http://dest.test/com://x/y", "GET http://dest.test", "GET http://dest.test//other/a",
        "GET http://dest.test/@other/",
    ]  # fmt: skip


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, dict[str, str]]:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made, {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_https_goes_through_a_tunnel_and_is_verified_by_the_destinations_name(
    authority: tuple[trustme.CA, dict[str, str]],
) -> None:
    context = server_context(authority[0], "dest.test")

    async def tunnel(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 Connected\r\n\r\n")
        tls = trio.SSLStream(visit.sock, context, server_side=True)
        inner = Visit(visit.destination, tls, visit.sock)
        while await inner.request() is not None:
            await inner.send(OK)

    async with destination(tunnel) as proxy:
        env = {"HTTPS_PROXY": f"http://u:p@127.0.0.1:{proxy.port}", **authority[1]}
        options = [("output-http", "https://dest.test"), ("output-http-workers", "1")]
        async with replayer(options, env=env) as replaying:
            await replaying.replay(get("/1"), get("/2"))
            assert await replaying.end() == 0
    assert replaying.final[0].outcomes == {"2xx": 2}
    asked, *sent = proxy.requests
    assert asked == b"CONNECT dest.test:443 HTTP/1.1\r\nHost: dest.test:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n"
    assert [request.split()[1] for request in sent] == [b"/1", b"/2"]


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        (b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", "refused", "the proxy: it answered 407 to CONNECT"),
        (b"SSH-2.0-x\r\n\r\n", "protocol", "the proxy: it does not answer CONNECT in HTTP/1.x"),
        (b"HTTP/1.1 200", "reset", "the proxy: it closed before it had answered CONNECT"),
    ],
)
async def test_a_proxy_that_gives_no_tunnel_is_named(answer: bytes, outcome: str, words: str) -> None:
    async def refuse(visit: Visit) -> None:
        await visit.request()
        await visit.send(answer)

    async with destination(refuse) as proxy:
        env = {"HTTPS_PROXY": f"http://u:secret@127.0.0.1:{proxy.port}"}
        async with replayer([("output-http", "https://dest.test")], env=env) as replaying:
            await replaying.replay(get())
            assert await replaying.end() == 0
    assert replaying.final[0].outcomes == {outcome: 1}
    assert replaying.failures[0].error == words


# ---- certificates --------------------------------------------------------------------------------------------------


async def test_a_certificate_is_not_verified_when_that_is_asked_for() -> None:
    async with destination(ssl_context=server_context(trustme.CA(), "other.test"), host="localhost") as served:
        options = [("output-http", served.url), ("output-http-skip-verify", "true")]
        async with replayer(options) as replaying:
            await replaying.replay(get())
            assert await replaying.end() == 0
    assert replaying.final[0].outcomes == {"2xx": 1}


def test_where_python_finds_no_authorities_the_systems_usual_places_are_tried(
    authority: tuple[trustme.CA, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "empty"))
    found = authority[1]["SSL_CERT_FILE"]
    context, said = tls_context(ca_files=[str(tmp_path / "no.pem"), found])
    assert context.cert_store_stats()["x509_ca"] == 1
    assert found in said
    _, said = tls_context(ca_files=[])
    assert "set SSL_CERT_FILE" in said
