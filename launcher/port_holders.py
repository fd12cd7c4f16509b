"""Who listens on a port of this machine: which processes, as far as this user may see it. Linux only; else nobody.

/proc/net/tcp and tcp6 tell a listener's address and inode, /proc/*/fd whose it is (proc(5)). A command line may hold
secrets: what looks like one is hidden, and the rest is cut.
"""

from __future__ import annotations

import ipaddress
import os
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.gor.masking import without_credentials

_PROC = Path("/proc")
_LISTENING = "0A"  # TCP_LISTEN, net/tcp_states.h
_MAX_SHOWN = 60  # characters of a command
_MAX_COMMAND_BYTES = 4096
_SECRET_NAME = re.compile(r"pass|secret|token|key|auth|cred", re.IGNORECASE)


@dataclass(frozen=True)
class Holder:
    """A process that listens, and what it runs, as it may be printed."""

    pid: int
    command: str


@dataclass(frozen=True)
class Listener:
    """A socket in /proc/net."""

    inode: int
    uid: int


def holders(host: str, port: int, proc: Path = _PROC) -> list[Holder]:
    """The processes that keep a listener on `host` from having `port`, the oldest pids first. Empty if none is seen."""
    inodes = {listener.inode for listener in listeners(host, port, proc)}
    if not inodes:
        return []
    return [Holder(pid, _shown_command(proc / str(pid))) for pid in _pids(proc) if inodes & _sockets_of(proc, pid)]


def in_words(host: str, port: int, proc: Path = _PROC, *, found: Sequence[Holder] | None = None) -> str:
    """`pid 4711 (python3 -m http.server)`, or as much as can be seen. `found` is what `holders` has said already: it
    looks at every process."""
    if found is None:
        found = holders(host, port, proc)
    if found:
        others = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return f"pid {found[0].pid}{others} ({found[0].command})"
    uids = {listener.uid for listener in listeners(host, port, proc)} - {os.geteuid()}
    return f"another process, of user {_user_name(min(uids))}" if uids else "another process"


def listeners(host: str, port: int, proc: Path = _PROC) -> list[Listener]:
    """The sockets that are in the way."""
    return [
        Listener(inode, uid)
        for name in ("tcp", "tcp6")
        for address, its_port, inode, uid in _table(proc / "net" / name)
        if its_port == port and _collide(ipaddress.ip_address(host), address)
    ]


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _table(path: Path) -> Iterator[tuple[_Address, int, int, int]]:
    try:
        lines = path.read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        fields = line.split()
        if len(fields) < 10 or fields[3] != _LISTENING:
            continue
        address, _, port = fields[1].partition(":")
        yield _address(address), int(port, 16), int(fields[9]), int(fields[7])


def _address(text: str) -> _Address:
    """The kernel prints 32-bit words in the machine's own byte order."""
    words = struct.pack(f"={len(text) // 8}I", *(int(text[at : at + 8], 16) for at in range(0, len(text), 8)))
    address = ipaddress.ip_address(words)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _collide(wanted: _Address, taken: _Address) -> bool:
    return wanted == taken or wanted.is_unspecified or taken.is_unspecified


def _pids(proc: Path) -> list[int]:
    return sorted(int(name) for name in os.listdir(proc) if name.isdigit())


def _sockets_of(proc: Path, pid: int) -> set[int]:
    """Inodes; none of a process that has ended, or is not this user's to look into."""
    found = set()
    folder = proc / str(pid) / "fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return set()
    for name in names:
        try:
            target = os.readlink(folder / name)
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(int(target[8:-1]))
    return found


def _shown_command(folder: Path) -> str:
    try:
        with (folder / "cmdline").open("rb") as file:
            words = file.read(_MAX_COMMAND_BYTES).rstrip(b"\0").split(b"\0")
    except OSError:
        words = []
    words[:1] = [word.rpartition(b"/")[2] for word in words[:1]]
    shown = " ".join(_without_secrets([os.fsdecode(word) for word in words]))
    return (shown if len(shown) <= _MAX_SHOWN else shown[: _MAX_SHOWN - 3] + "...") or "ended since"


def _without_secrets(words: Sequence[str]) -> Iterator[str]:
    hides_next = False
    for word in words:
        name, equals, _ = word.partition("=")
        if hides_next and not word.startswith("-"):
            yield "***"
        elif equals and _SECRET_NAME.search(name):
            yield f"{name}=***"
        else:
            yield without_credentials(word)
        hides_next = word.startswith("-") and not equals and _SECRET_NAME.search(word) is not None


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
