"""Clients that go wrong, beside those that drive: each does so until the half ends, in both halves."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from faults.destination import WellServed
from faults.scenario import ANSWER_SECONDS, OK_END, Run, Seen
from launcher.sockets import RESET_ON_CLOSE
from tests.system import accounts

_GET = b"GET / HTTP/1.1\r\nHost: app\r\n\r\n"
_POST = b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 100000\r\n\r\n"
_TICK_SECONDS = 0.05
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


class BesideOthers(WellServed):
    group = "Clients"


class Idle(BesideOthers):
    name = "clients-idle"
    says = "5,000 connections that send nothing (--quick: 500)"
    judges_memory = False  # 4 KiB a connection more: judged here
    seconds = 3.0
    longest_stop_seconds = 6.0

    def until_ready(self, run: Run) -> None:
        self.before = accounts.resident_bytes(run.launched.pid)
        self.count = 500 if run.place.is_quick else 5000
        for _ in range(self.count):
            run.connect_for_all()

    def fault(self, run: Run) -> None:
        run.wait(run.seconds / 2)
        self.grown = accounts.resident_bytes(run.launched.pid) - self.before

    def judge(self, run: Run, seen: Seen) -> None:
        most = 4096 * self.count + 16 * 1024**2
        assert not run.place.is_mirrored or self.grown < most, f"the launcher grew by {self.grown / 1024**2:.1f} MiB"


class Slow(BesideOthers):
    """Many that send a request byte after byte."""

    at_once = b""  # what they begin with
    request = b""
    count = 100

    def fault(self, run: Run) -> None:
        clients = [run.connect_for_all() for _ in range(self.count)]
        for client in clients:
            client.sendall(self.at_once)
        at = 0
        while not run.wait(_TICK_SECONDS):
            for client in clients:
                client.send(self.request[at : at + 1])
            at += 1
        for client in clients:
            client.close()

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            assert accounts.tap_counters(run.launched).get("unframed", 0) == 0


class SlowHeads(Slow):
    name = "clients-slow-heads"
    says = "100 that send a head byte by byte (slowloris)"
    request = b"GET /" + b"x" * 60_000


class SlowBodies(Slow):
    name = "clients-slow-bodies"
    says = "100 that send a body byte by byte"
    at_once = _POST
    request = b"x" * 60_000

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            assert accounts.tap_counters(run.launched).get("incomplete", 0) == self.count


class OneByOne(BesideOthers):
    """One after the other; each `visit` is one client's connection. In both halves come equally many: a closed loop of
    hostile clients would do less where the launcher answers later."""

    visits_per_second = 0.0  # 0: as fast as it goes
    longest = 10_000
    seconds = 3.0

    def fault(self, run: Run) -> None:
        self.visits = 0
        started_at = time.monotonic()
        while self.visits < self.longest and not run.ended.is_set():
            if self.visits_per_second:
                run.wait(started_at + self.visits / self.visits_per_second - time.monotonic())
            self.visit(run)
            self.visits += 1

    def visit(self, run: Run) -> None:
        raise NotImplementedError

    def judge(self, run: Run, seen: Seen) -> None:
        assert self.visits, "nobody came"


class Storm(OneByOne):
    name = "clients-storm"
    says = "connections opened and closed as fast as one client can, at most 10,000"

    def visit(self, run: Run) -> None:
        run.launched.connect().close()


class Resets(OneByOne):
    name = "clients-reset"
    says = "500 connections a second that are reset in the middle of a request"
    visits_per_second = 500

    def visit(self, run: Run) -> None:
        with run.launched.connect() as client:
            client.sendall(_POST + b"x" * 1000)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


class HalfCloses(OneByOne):
    name = "clients-half-close"
    says = "500 connections a second whose client ends its side behind a request, and reads the answer"
    visits_per_second = 500

    def visit(self, run: Run) -> None:
        with run.connect() as client:
            client.sendall(_GET)
            client.shutdown(socket.SHUT_WR)
            answer = _until_end(client)
        assert answer.startswith(b"HTTP/1.1 200 "), f"half-closed, the client got {answer!r}"


class Pipelines(OneByOne):
    name = "clients-pipeline"
    says = "connections with 1,000 requests at once (--quick: 100)"
    rate = 100.0

    def visit(self, run: Run) -> None:
        count = 100 if run.place.is_quick else 1000
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

    def visit(self, run: Run) -> None:
        with run.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: app\r\nX-Huge: " + b"h" * 1024**2 + b"\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")

    def judge(self, run: Run, seen: Seen) -> None:
        super().judge(run, seen)
        if run.place.is_mirrored:
            assert accounts.tap_counters(run.launched).get("unframed", 0) == self.visits


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

    def judge(self, run: Run, seen: Seen) -> None:
        super().judge(run, seen)
        if run.place.is_mirrored:
            assert accounts.tap_counters(run.launched).get("unframed", 0), "it was taken for HTTP"


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

    def pieces(self) -> tuple[bytes, ...]:
        return (b"\x00" + os.urandom(2000),)


class SlowReaders(BesideOthers):
    name = "clients-slow-readers"
    says = "20 that read an answer of 20 MB a few bytes at a time"
    seconds = 3.0
    longest_stop_seconds = 30.0  # --drain-timeout: they would get their answers

    def fault(self, run: Run) -> None:
        clients = [run.connect_for_all() for _ in range(20)]
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /large HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")
        _repeat(run, lambda: [client.recv(10) for client in clients])
        for client in clients:
            client.close()


def _repeat(run: Run, call: Callable[[], object]) -> None:
    while not run.wait(_TICK_SECONDS):
        call()


def _until_end(client: socket.socket) -> bytes:
    answer = b""
    deadline = time.monotonic() + ANSWER_SECONDS
    while (data := client.recv(65536)) and time.monotonic() < deadline:
        answer += data
    return answer
