"""Clients that go wrong beside those that drive, all at once and until the half ends: idle, or slow."""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import termios
import time

from faults.destination import WellServed
from faults.scenario import ANSWER_SECONDS, OK_END, Run, Seen, read_answer
from tests.system import accounts

POST = b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 100000\r\n\r\n"
_TICK_SECONDS = 0.05
_TURNS = 10  # in a tick: all at the same moment would be one burst, not many slow clients
_CONNECTION_BYTES = 4096  # of the launcher's memory for each connection that is idle: README.md
_LARGE = b"GET /large HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n"
_LARGE_BYTES = 20_000_000  # programs/app.py, /large


class BesideOthers(WellServed):
    group = "Clients"


class Idle(BesideOthers):
    name = "clients-idle"
    says = "5,000 connections that send nothing (--quick: 500); 4 KiB of memory more for each, at most"
    seconds = 3.0
    longest_stop_seconds = 6.0

    def crowd(self, run: Run) -> None:
        count = 500 if run.place.is_quick else 5000
        self.most_grown_bytes += _CONNECTION_BYTES * count
        self.clients = [run.connect_for_all() for _ in range(count)]

    def fault(self, run: Run) -> None:
        run.ended.wait()
        ready = select.poll()
        for client in self.clients:
            ready.register(client, select.POLLIN)
        assert not ready.poll(0), "somebody who had not asked was answered, or closed"

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            [line] = run.launched.facts("connections")
            assert int(line["connections"]) >= len(self.clients), f"not all were accepted: {line}"


class Slow(BesideOthers):
    """Many that send a request byte after byte, whose end comes when that of the half has come, if it has one."""

    at_once = b""  # what they begin with
    request = b""
    last = b""  # what makes it a whole one
    count = beside = 100

    def crowd(self, run: Run) -> None:
        self.clients = [run.connect_for_all() for _ in range(self.count)]
        for client in self.clients:
            client.sendall(self.at_once)

    def fault(self, run: Run) -> None:
        turn = 0
        while not run.wait(_TICK_SECONDS / _TURNS):
            at, first = divmod(turn, _TURNS)
            for client in self.clients[first::_TURNS]:
                client.send(self.request[at : at + 1])
            turn += 1
        assert turn > _TURNS, "nothing was sent slowly"
        for client in self.clients:
            client.sendall(self.last)
        for client in self.clients:
            assert not self.last or read_answer(client).endswith(OK_END), "a slow request was not answered"
            client.close()


class SlowHeads(Slow):
    name = "clients-slow-heads"
    says = "100 that send a head byte by byte (slowloris), and get their answers in the end"
    request = b"GET /" + b"x" * 60_000
    last = b" HTTP/1.1\r\nHost: app\r\n\r\n"

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            told = accounts.tap_counters(run.launched)
            assert told.get("offered") == told.get("seen"), f"slow requests were not copied: {told}"


class SlowBodies(Slow):
    name = "clients-slow-bodies"
    says = "100 that send a body byte by byte"
    at_once = POST
    request = b"x" * 60_000

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            told = accounts.tap_counters(run.launched)
            assert told.get("incomplete") == self.count, f"{self.count} bodies were cut: {told}"


class SlowReaders(BesideOthers):
    name = "clients-slow-readers"
    says = "20 that read an answer of 20 MB a few bytes at a time, and one that waits, and then reads it all"
    seconds = 3.0
    count = 20
    beside = count + 1

    def crowd(self, run: Run) -> None:
        """What the sockets on the way hold is sent at once, as fast as it goes: before latencies count."""
        *self.clients, self.late = [run.connect_for_all() for _ in range(self.count + 1)]
        for client in self.clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for client in (*self.clients, self.late):
            client.sendall(_LARGE)

    def fault(self, run: Run) -> None:
        read = 0
        while not run.wait(_TICK_SECONDS):
            for client in self.clients:
                read += len(client.recv(10))
        assert read > self.count, "nothing was read slowly"
        assert all(map(_waiting_bytes, self.clients)), "nothing waits for a slow reader"
        got = len(until_end(self.late))
        assert got > _LARGE_BYTES, f"who read late got {got} bytes"
        for client in self.clients:
            client.close()


def _waiting_bytes(client: socket.socket) -> int:
    """What has come, and was not read: tcp(7), SIOCINQ."""
    return int(struct.unpack("i", fcntl.ioctl(client, termios.FIONREAD, bytes(4)))[0])


def until_end(client: socket.socket) -> bytearray:
    answer = bytearray()
    deadline = time.monotonic() + ANSWER_SECONDS
    while (data := client.recv(65536)) and time.monotonic() < deadline:
        answer += data
    return answer
