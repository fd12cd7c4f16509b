"""Clients that go wrong beside those that drive, one after the other, at a fixed rate."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

from faults.clients import POST, BesideOthers, until_end
from faults.scenario import OK_END, Run, Seen, read_answer
from launcher.sockets import RESET_ON_CLOSE
from tests.system import accounts

_GET = b"GET / HTTP/1.1\r\nHost: app\r\n\r\n"
_LEAST_SHARE = 0.9  # so many of those that are to come do, where it is measured: else the halves are no pair
# TLS 1.2's record header and the start of a ClientHello (RFC 8446 §4.1.2), as a browser sends to a plain port.
_CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32)) + b"\x20" + bytes(200)
_SMUGGLING = tuple(
    b"POST / HTTP/1.1\r\nHost: app\r\n%s\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: app\r\n\r\n" % lines
    for lines in (
        b"Content-Length: 6\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 6",
        b"Transfer-Encoding: xchunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding: chunked, identity",
        b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: +6", b"X: y\nContent-Length: 6",
    )
)  # fmt: skip


class OneByOne(BesideOthers):
    """One after the other; each `visit` is one client's connection. In both halves come equally many: a closed loop of
    hostile clients would do less where the launcher answers later."""

    visits_per_second = 0.0
    seconds = 3.0
    requests_a_visit = 1  # that count as seen

    def fault(self, run: Run) -> None:
        self.visits = self.beside = 0
        self.wanted = int(self.visits_per_second * run.seconds)
        started_at = time.monotonic()
        while self.visits < self.wanted and not run.wait(
            started_at + self.visits / self.visits_per_second - time.monotonic()
        ):
            self.visit(run)
            self.visits += 1
            self.beside += self.requests_a_visit
        with run.connect() as last:  # once it is served, all that came before have been let in
            last.sendall(_GET)
            assert read_answer(last).endswith(OK_END), "who came last was not served"
        self.beside += 1

    def visit(self, run: Run) -> None:
        raise NotImplementedError

    def judge(self, run: Run, seen: Seen) -> None:
        least = 1 if run.place.is_quick else _LEAST_SHARE * self.wanted
        assert self.visits >= least, f"{self.visits} came, of {self.wanted}"
        if run.place.is_mirrored:
            self.judge_counters(accounts.tap_counters(run.launched), seen)

    def judge_counters(self, told: dict[str, int], seen: Seen) -> None:
        """What the tap must say."""


class Storm(OneByOne):
    name = "clients-storm"
    says = "10,000 connections opened and closed, 1,250 a second"
    visits_per_second = 1250
    requests_a_visit = 0
    seconds = 8.0

    def visit(self, run: Run) -> None:
        run.launched.connect().close()

    def judge_counters(self, told: dict[str, int], seen: Seen) -> None:
        assert seen.launched is not None
        [line] = seen.launched.facts("connections")
        assert int(line["connections"]) >= self.visits, f"{self.visits} came, and were not accepted: {line}"


class Resets(OneByOne):
    name = "clients-reset"
    says = "500 connections a second that are reset in the middle of a request"
    visits_per_second = 500

    def visit(self, run: Run) -> None:
        with run.launched.connect() as client:
            client.sendall(POST + b"x" * 1000)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    def judge_counters(self, told: dict[str, int], seen: Seen) -> None:
        assert told.get("incomplete") == self.visits, f"{self.visits} were reset: {told}"


class HalfCloses(OneByOne):
    name = "clients-half-close"
    says = "500 connections a second whose client ends its side behind a request, and reads the answer"
    visits_per_second = 500

    def visit(self, run: Run) -> None:
        with run.connect() as client:
            client.sendall(_GET)
            client.shutdown(socket.SHUT_WR)
            answer = until_end(client)
        assert answer.startswith(b"HTTP/1.1 200 "), f"half-closed, the client got {answer!r}"


class Pipelines(OneByOne):
    name = "clients-pipeline"
    says = "2 connections a second with 1,000 requests at once (--quick: 100)"
    rate = 100.0
    visits_per_second = 2

    def visit(self, run: Run) -> None:
        count = self.requests_a_visit = 100 if run.place.is_quick else 1000
        with run.connect() as client:
            client.sendall(_GET * count)
            answers = b""
            while answers.count(OK_END) < count:
                data = client.recv(65536)
                assert data, "the connection ended before its last answer"
                answers += data


class HugeHeads(OneByOne):
    name = "clients-huge-head"
    says = "heads of 1 MB, 20 a second"
    visits_per_second = 20
    lines = b"X-Huge: " + b"h" * 1024**2 + b"\r\n"

    def visit(self, run: Run) -> None:
        with run.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: app\r\n" + self.lines + b"\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")

    def judge_counters(self, told: dict[str, int], seen: Seen) -> None:
        assert told.get("unframed") == self.visits, f"{self.visits} came: {told}"


class ManyHeaders(HugeHeads):
    name = "clients-many-headers"
    says = "heads with thousands of headers, of those that the launcher reads; 20 a second"
    lines = b"Expect:\r\n" * 7000


class Garbage(OneByOne):
    """What is no request. The app waits for its end, or answers it: that is between the two."""

    visits_per_second = 200

    def pieces(self) -> tuple[bytes, ...]:
        raise NotImplementedError

    def visit(self, run: Run) -> None:
        with run.launched.connect() as client:
            client.sendall(self.pieces()[self.visits % len(self.pieces())])
            client.shutdown(socket.SHUT_WR)
            client.settimeout(0.01)
            with suppress(OSError):
                client.recv(65536)

    def judge_counters(self, told: dict[str, int], seen: Seen) -> None:
        assert told.get("unframed") == self.visits, f"of {self.visits} some were taken for HTTP: {told}"


class Smuggling(Garbage):
    name = "clients-smuggling"
    says = "200 requests a second whose end is told in two ways"

    def pieces(self) -> tuple[bytes, ...]:
        return _SMUGGLING


class Tls(Garbage):
    name = "clients-tls"
    says = "200 times a second TLS to the plain port"

    def pieces(self) -> tuple[bytes, ...]:
        return (_CLIENT_HELLO,)


class Noise(Garbage):
    name = "clients-noise"
    says = "random bytes, 200 connections a second"
    requests_a_visit = 0  # of some the first line has no end: they were no request, but might have become one

    def pieces(self) -> tuple[bytes, ...]:
        return (os.urandom(2000),)

    def judge_counters(self, told: dict[str, int], seen: Seen) -> None:
        unframed = told.get("unframed", 0)
        assert self.visits / 2 < unframed <= self.visits, f"{self.visits} came: {told}"
        assert told.get("offered") == seen.answered + 1, f"some of it was copied: {told}"
        self.beside = unframed + 1
