"""What is said of destinations that answer, refuse, hang, or are somebody else. Real listeners on loopback."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
import trustme

from launcher.probe import Reached, Target, reach
from launcher.proxies import Proxy

HOST = "127.0.0.1"
LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)


@contextmanager
def serving(talk: Callable[[socket.socket], object]) -> Iterator[int]:
    """A listener whose every connection is given to `talk`, in a thread: its port."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server((HOST, 0)))

        def accept() -> None:
            while True:
                try:
                    sock, _ = server.accept()
                except OSError:
                    return
                with closing(sock):
                    try:
                        talk(sock)
                    except OSError:
                        pass  # the other side went away, as it may

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.fixture
def authority(tmp_path, monkeypatch) -> trustme.CA:
    """The only one that is trusted."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return ca


@contextmanager
def secured(cert: trustme.LeafCert) -> Iterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    cert.configure_cert(context)

    def talk(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as tls:
            tls.recv(1)

    with serving(talk) as port:
        yield port


def reached(target: Target, seconds: float = 30.0) -> Reached:
    (found,) = reach([target], seconds)
    return found


def told(found: Reached) -> list[tuple[str, bool, str]]:
    return [(step.name, step.is_fine, step.text) for step in found.steps]


def test_a_destination_that_answers_is_told_stage_by_stage(authority):
    with secured(authority.issue_cert("localhost")) as port:
        found = reached(Target("localhost", port, has_tls=True))
    name, connection, certificate = told(found)
    assert found.failure is None
    assert name[:2] == ("name", True) and HOST in name[2]
    assert connection == ("connection", True, f"{HOST}:{port}")
    assert certificate[:2] == ("certificate", True)
    assert certificate[2].startswith("TLSv1.3, valid until 3000-")
    assert all(step.milliseconds >= 0 for step in found.steps)
    assert found.certificate_days is not None and found.certificate_days > 30


def test_an_address_needs_no_name():
    with serving(lambda sock: None) as port:
        assert told(reached(Target(HOST, port))) == [("connection", True, f"{HOST}:{port}")]


def test_no_request_is_sent():
    got: list[bytes] = []
    with serving(lambda sock: got.append(sock.recv(1))) as port:
        reached(Target(HOST, port))
    assert set(got) <= {b""}


def test_a_destination_that_refuses():
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
    assert told(reached(Target(HOST, port))) == [("connection", False, "connection refused")]


def test_a_name_that_nobody_has():
    (step,) = reached(Target("nobody.invalid", 80)).steps
    assert (step.name, step.is_fine) == ("name", False)
    assert step.text.startswith("the name was not found: ")


def test_a_certificate_of_an_unknown_authority(authority):
    with secured(trustme.CA().issue_cert("localhost")) as port:
        failure = reached(Target("localhost", port, has_tls=True)).failure
    assert failure is not None
    assert failure.text == "the certificate is not valid: unable to get local issuer certificate"


def test_a_certificate_of_another_host(authority):
    with secured(authority.issue_cert("other.example")) as port:
        failure = reached(Target("localhost", port, has_tls=True)).failure
    assert failure is not None
    assert "is not valid for 'localhost'" in failure.text


def test_a_certificate_that_has_ended(authority):
    cert = authority.issue_cert("localhost", not_before=LONG_AGO, not_after=LONG_AGO + datetime.timedelta(days=1))
    with secured(cert) as port:
        failure = reached(Target("localhost", port, has_tls=True)).failure
    assert failure is not None
    assert failure.text == "the certificate is not valid: certificate has expired"


def test_a_fault_that_nobody_looks_at_is_told_and_is_none(authority):
    with secured(trustme.CA().issue_cert("localhost")) as port:
        found = reached(Target("localhost", port, has_tls=True, verifies=False))
    assert found.failure is None
    assert found.steps[-1].text.endswith("but nobody looks at it")


def test_what_speaks_no_tls(authority):
    with serving(lambda sock: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9)) as port:
        failure = reached(Target(HOST, port, has_tls=True)).failure
    assert failure is not None
    assert failure.text.startswith("the TLS handshake failed: ")


def test_what_accepts_and_says_nothing_is_given_up(authority):
    release = threading.Event()
    with serving(lambda sock: release.wait()) as port:
        started = time.monotonic()
        failure = reached(Target(HOST, port, has_tls=True), seconds=0.2).failure
        assert time.monotonic() - started < 20
        release.set()
    assert failure is not None
    assert failure.name == "certificate"
    assert failure.text.startswith("silent for ")


def test_a_listener_whose_backlog_is_full_is_given_up_and_holds_up_no_other(authority):
    with socket.create_server((HOST, 0), backlog=0) as server, ExitStack() as stack, serving(lambda sock: None) as port:
        for _ in range(3):  # the kernel keeps one more than the backlog, and drops what else comes
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
        silent, answering = reach([Target(HOST, server.getsockname()[1]), Target(HOST, port)], 0.5)
    assert silent.failure is not None and silent.failure.text.startswith("silent for ")
    assert answering.failure is None


def test_many_are_reached_at_once():
    release = threading.Event()
    with serving(lambda sock: release.wait()) as port:
        started = time.monotonic()
        found = reach([Target(HOST, port, has_tls=True)] * 20, 0.5)
        took = time.monotonic() - started
        release.set()
    assert all(each.failure is not None for each in found)
    assert took < 9  # one after the other they take 10 s


# ---- behind a proxy ------------------------------------------------------------------------------------------------


@contextmanager
def proxy(answer: bytes, authority_port: list[bytes]) -> Iterator[Proxy]:
    def talk(sock: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += sock.recv(1000)
        authority_port.append(request)
        sock.sendall(answer)

    with serving(talk) as port:
        yield Proxy(HOST, port, b"Basic c2VjcmV0")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "the proxy answered 407 to CONNECT"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "the proxy does not answer CONNECT in HTTP/1.x"),
        (b"", "the proxy closed before it had answered CONNECT"),
    ],
)
def test_a_proxy_that_opens_no_tunnel_is_told_of(authority, answer, text):
    asked: list[bytes] = []
    with proxy(answer, asked) as through:
        found = reached(Target("next.example", 443, has_tls=True, proxy=through))
    assert told(found) == [("connection", True, f"the proxy at {HOST}:{through.port}"), ("tunnel", False, text)]
    assert asked[0].startswith(b"CONNECT next.example:443 HTTP/1.1\r\n")


def test_of_what_is_behind_a_proxy_for_http_only_the_proxy_is_reached():
    asked: list[bytes] = []
    with serving(lambda sock: asked.append(sock.recv(1))) as port:
        found = reached(Target("next.example", 80, proxy=Proxy(HOST, port)))
    assert told(found) == [("connection", True, f"the proxy at {HOST}:{port}")]
    assert set(asked) <= {b""}
