"""A client that sends at fixed times, whatever the answers do: each latency counts from when its request was due.

A closed loop (wrk) sends less while it waits, and so hides how long others would have waited. One thread, keep-alive
connections on loopback; a request that is due when no connection is free waits, and that counts.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque

_ANSWER_END = b"\r\n\r\n"


def latencies(port: int, request: bytes, *, rate: float, seconds: float, connections: int) -> list[float]:
    """Seconds from due to answered of `rate` x `seconds` requests, sorted. Raises RuntimeError for a failed one."""
    free = deque(_connect(port) for _ in range(connections))
    ready = select.epoll()
    busy: dict[int, tuple[socket.socket, float, bytearray]] = {}
    for sock in free:
        ready.register(sock.fileno(), select.EPOLLIN)
    total, sent, taken = int(rate * seconds), 0, []
    started_at = time.perf_counter()
    try:
        while len(taken) < total:
            now = time.perf_counter()
            while sent < total and free and started_at + sent / rate <= now:
                sock = free.popleft()
                busy[sock.fileno()] = (sock, started_at + sent / rate, bytearray())
                sock.send(request)
                sent += 1
            next_due = started_at + sent / rate if sent < total and free else now + 1
            for fd, _ in ready.poll(max(0.0, next_due - time.perf_counter())):
                sock, due_at, answer = busy[fd]
                data = sock.recv(65536)
                if not data:
                    raise RuntimeError("a connection was closed before its answer")
                answer += data
                if _is_whole(answer):
                    taken.append(time.perf_counter() - due_at)
                    del busy[fd]
                    free.append(sock)
            if now - started_at > seconds * 10 + 10:
                raise RuntimeError(f"{total - len(taken)} requests have no answer")
    finally:
        ready.close()
        for sock in [*free, *(entry[0] for entry in busy.values())]:
            sock.close()
    return sorted(taken)


def percentile(sorted_values: list[float], percent: float) -> float:
    """The value that `percent` of all do not exceed."""
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * percent / 100))]


def _connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _is_whole(answer: bytearray) -> bool:
    end = answer.find(_ANSWER_END)
    if end < 0:
        return False
    head = bytes(answer[:end]).lower()
    if not head.startswith(b"http/1.1 2"):
        raise RuntimeError(f"the answer is {head[:40]!r}")
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    return len(answer) >= end + len(_ANSWER_END) + length
