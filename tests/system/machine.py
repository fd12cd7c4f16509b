"""What this machine has: processes, and ports that are free."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def with_descendants(ancestor: int, pids: Sequence[int]) -> set[int]:
    parents = {pid: int(stat.rpartition(b")")[2].split()[1]) for pid in pids if (stat := proc(pid, "stat"))}
    family = {ancestor}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return family


def proc(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it has ended meanwhile, or is another user's
        return b""


def free_port() -> int:
    """A port that is free, and so is the next one; outside of the range that outgoing connections take theirs from."""
    while True:
        port = random.randrange(10_000, 32_000)
        if _is_free(port) and _is_free(port + 1):
            return port


def _is_free(port: int) -> bool:
    try:
        with listener(port):
            return True
    except OSError:
        return False


@contextmanager
def listener(port: int, host: str = "") -> Iterator[socket.socket]:
    """Something that listens: on all addresses of both families, or on one of IPv4. Raises OSError."""
    if host or not socket.has_dualstack_ipv6():
        sock = socket.create_server((host, port))
    else:
        sock = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    with sock:
        yield sock
