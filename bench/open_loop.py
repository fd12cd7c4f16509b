"""A client that sends at fixed times, whatever the answers do: each latency counts from when its request was due.

A closed loop (wrk) sends less while it waits, and so hides how long others would have waited. One thread, keep-alive
connections on loopback; a request that is due when no connection is free waits, and that counts.
`python3 bench/open_loop.py PORT RATE SECONDS CONNECTIONS BODY-BYTES WARM-SECONDS` is one in a process of its own: it
prints what it saw as JSON; SIGINT ends it early. It drives for WARM-SECONDS more, whose latencies don't count. With a
rate of 0 it is a closed loop: to find out how much there is to carry. With a last word, `until-refused`, it ends once
it has no connection and gets none any more.
"""

from __future__ import annotations

import json
import select
import signal
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

_ANSWER_END = b"\r\n\r\n"
_CONNECT_SECONDS = 5.0
_NO_ANSWER_SECONDS = 10.0  # behind the last that is due
_NO_DOOR_SECONDS = 1.0  # the same, where there is no connection at all
_AGAIN_SECONDS = 0.02  # from one attempt to connect to the next, where there are too few connections


@dataclass
class Driven:
    """What became of the requests: `taken` in seconds from due to answered, `errors` by what the client saw."""

    taken: list[float] = field(default_factory=list)
    answered: int = 0  # with those that are not in `taken`, because they were due while all was new
    errors: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)  # connections, not requests: others are tried

    @property
    def done(self) -> int:
        return self.answered + self.errors.total()


class OpenLoop:
    """One run: `drive` sends `rate` x `seconds` requests, as each is due, over `connections`."""

    def __init__(
        self, port: int, request: bytes, *, rate: float, seconds: float, connections: int,
        warm_seconds: float = 0, is_wanted: Callable[[], bool] = lambda: True, ends_when_refused: bool = False,
    ) -> None:  # fmt: skip
        self._port = port
        self._request = request
        self._rate = rate
        self._seconds = seconds + warm_seconds
        self._warm_seconds = warm_seconds
        self._counts_from = 0.0
        self._connections = connections
        self._is_wanted = is_wanted
        self._ends_when_refused = ends_when_refused
        self._free: deque[socket.socket] = deque()
        self._busy: dict[int, tuple[socket.socket, float, bytearray]] = {}
        self._ready = select.epoll()
        self._next_attempt = 0.0
        self._seen = Driven()

    def drive(self) -> Driven:
        """What became of them all. A failed request is an error, its connection is replaced by a new one."""
        total = int(self._rate * self._seconds) if self._rate else sys.maxsize
        sent, started_at = 0, time.perf_counter()
        self._counts_from = started_at + self._warm_seconds
        try:
            self._connect()
            while self._seen.done < total:
                now = time.perf_counter()
                if total != sent and not (self._is_wanted() and (self._rate or now < started_at + self._seconds)):
                    total = sent
                self._connect_again(now)
                while sent < total and self._free and self._due_at(started_at, sent, now) <= now:
                    self._send(self._due_at(started_at, sent, now))
                    sent += 1
                can_send = sent < total and bool(self._free)
                wait = self._due_at(started_at, sent, now) - time.perf_counter() if can_send else _AGAIN_SECONDS
                self._receive(max(0.0, wait))
                if self._ends_when_refused and not self._free and not self._busy:
                    break
                patience = _NO_ANSWER_SECONDS if self._free or self._busy else _NO_DOOR_SECONDS
                if now - started_at > self._seconds + patience:
                    self._seen.errors["no answer"] += sent - self._seen.done
                    self._seen.errors["not sent"] += total - sent if self._rate else 0
                    break
        finally:
            self._ready.close()
            for sock in [*self._free, *(entry[0] for entry in self._busy.values())]:
                sock.close()
        self._seen.errors = +self._seen.errors
        self._seen.taken.sort()
        return self._seen

    def _due_at(self, started_at: float, number: int, now: float) -> float:
        return started_at + number / self._rate if self._rate else now

    def _connect(self) -> None:
        for _ in range(self._connections):
            self._open_one()
        if not self._free:
            raise ConnectionRefusedError(f"nobody answers on port {self._port}")

    def _connect_again(self, now: float) -> None:
        """Where connections were refused; one attempt at a time."""
        if len(self._free) + len(self._busy) < self._connections and now >= self._next_attempt:
            self._next_attempt = now + _AGAIN_SECONDS
            self._open_one()

    def _open_one(self) -> None:
        try:
            sock = socket.create_connection(("127.0.0.1", self._port), _CONNECT_SECONDS)
        except OSError as error:
            self._seen.refused[type(error).__name__] += 1
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ready.register(sock.fileno(), select.EPOLLIN)
        self._free.append(sock)

    def _send(self, due_at: float) -> None:
        sock = self._free.popleft()
        self._busy[sock.fileno()] = (sock, due_at, bytearray())
        try:
            sock.sendall(self._request)
        except OSError as error:
            self._fail(sock, type(error).__name__)

    def _receive(self, wait: float) -> None:
        for fd, _ in self._ready.poll(wait):
            if fd not in self._busy:
                self._drop_idle(fd)
                continue
            sock, due_at, answer = self._busy[fd]
            try:
                data = sock.recv(65536)
            except OSError as error:
                self._fail(sock, type(error).__name__)
                continue
            answer += data
            status = _whole_status(answer)
            if status == 2:
                self._seen.answered += 1
                if due_at >= self._counts_from:
                    self._seen.taken.append(time.perf_counter() - due_at)
                del self._busy[fd]
                if b"\r\nconnection: close\r\n" in answer.lower():
                    self._replace(sock)
                else:
                    self._free.append(sock)
            elif status:
                self._fail(sock, f"status {status}xx")
            elif not data:
                self._fail(sock, "closed before its answer" if not answer else "closed inside its answer")

    def _fail(self, sock: socket.socket, what: str) -> None:
        self._seen.errors[what] += 1
        del self._busy[sock.fileno()]
        self._replace(sock)

    def _drop_idle(self, fd: int) -> None:
        """The server has closed a connection on which it owes nothing: no error."""
        for sock in self._free:
            if sock.fileno() == fd:
                self._free.remove(sock)
                self._replace(sock)
                return

    def _replace(self, sock: socket.socket) -> None:
        self._ready.unregister(sock.fileno())
        sock.close()
        self._open_one()


def latencies(port: int, request: bytes, *, rate: float, seconds: float, connections: int) -> list[float]:
    """Seconds from due to answered of `rate` x `seconds` requests, sorted. Raises RuntimeError for a failed one."""
    seen = OpenLoop(port, request, rate=rate, seconds=seconds, connections=connections).drive()
    if seen.errors:
        raise RuntimeError(f"requests failed: {dict(seen.errors)}")
    return seen.taken


def percentile(sorted_values: Sequence[float], percent: float) -> float:
    """The value that `percent` of all do not exceed."""
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * percent / 100))]


def _whole_status(answer: bytearray) -> int:
    """The first digit of the status of an answer that is whole; 0 before that."""
    end = answer.find(_ANSWER_END)
    if end < 0:
        return 0
    head = bytes(answer[:end]).lower()
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0]) if b"content-length: " in head else 0
    return int(head[9:10]) if len(answer) >= end + len(_ANSWER_END) + length else 0


def main(words: Sequence[str]) -> None:
    from loads import HEADERS  # beside this file: a script's folder is the first place for modules

    port, rate, seconds, connections, body_bytes, warm = (float(word) for word in words[:6])
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    request = f"POST / HTTP/1.1\r\n{head}Content-Length: {int(body_bytes)}\r\n\r\n".encode() + b"x" * int(body_bytes)
    is_interrupted: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: is_interrupted.append(number))
    loop = OpenLoop(
        int(port), request, rate=rate, seconds=seconds, connections=int(connections),
        warm_seconds=warm, is_wanted=lambda: not is_interrupted, ends_when_refused=words[6:] == ["until-refused"],
    )  # fmt: skip
    print("started", flush=True)
    seen = Driven()
    with suppress(ConnectionRefusedError):
        seen = loop.drive()
    shown = {name: percentile(seen.taken, percent) if seen.taken else None for name, percent in
             (("p50", 50.0), ("p99", 99.0), ("max", 100.0))}  # fmt: skip
    print(json.dumps({"answered": seen.answered, "errors": seen.errors, "refused": seen.refused, **shown}))


if __name__ == "__main__":
    main(sys.argv[1:])
