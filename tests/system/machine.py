"""What this machine has: processes, and ports that are free."""

from __future__ import annotations

import ipaddress
import os
import random
import signal
import socket
import sys
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


def is_dying(pid: int) -> bool:
    """Whether nothing is left of it but what the kernel still has to do: SIGKILL waits for it, or it is gone.

    One that stands back for others may have to wait for that.
    """
    status = dict(line.split(b":", 1) for line in proc(pid, "status").splitlines())
    pending = int(status.get(b"SigPnd", b"0"), 16) | int(status.get(b"ShdPnd", b"0"), 16)
    return not proc(pid, "environ") or bool(pending & 1 << signal.SIGKILL - 1)


def listeners(pid: int) -> set[str]:
    """What a process waits for strangers on: `tcp ADDRESS:PORT`, `udp ADDRESS:PORT`, `unix PATH`, one each."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            link = os.readlink(fd)
        except OSError:  # closed meanwhile
            continue
        if link.startswith("socket:["):
            inodes.add(link[len("socket:[") : -1])
    found = set()
    for name in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        for fields in map(str.split, proc(pid, f"net/{name}").decode().splitlines()[1:]):
            if fields[9] in inodes and (not name.startswith("tcp") or fields[3] == _LISTEN):
                found.add(f"{name.removesuffix('6')} {_address(fields[1])}")
    for fields in map(str.split, proc(pid, "net/unix").decode(errors="replace").splitlines()[1:]):
        if fields[6] in inodes and int(fields[3], 16) & _ACCEPTS:
            found.add(f"unix {fields[7] if len(fields) > 7 else ''}")
    return found


_LISTEN = "0A"  # include/net/tcp_states.h
_ACCEPTS = 0x10000  # __SO_ACCEPTCON


def _address(text: str) -> str:
    """`0100007F:1F90` of /proc/net/tcp as `127.0.0.1:8080`: each four bytes are a number of this machine's."""
    digits, _, port = text.partition(":")
    words = [int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8)]
    return f"{ipaddress.ip_address(b''.join(words))}:{int(port, 16)}"


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
