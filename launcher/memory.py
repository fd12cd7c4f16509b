"""How much memory there is, how much of it is in use, how much a process has: cgroup v2, cgroup v1, else the machine.

A process is bound by its own cgroup and by those around it. /proc/self/cgroup names its own; where a container shows
nothing but its own, that is at the mount's root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_UNLIMITED = 2**60  # cgroup v1 writes a number near 2**63 where there is no limit
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_WORTH_A_LOOK = 0.75  # of the limit: memory.stat takes longest to read, and can only lower what is in use


@dataclass(frozen=True)
class Usage:
    """Of a cgroup or the machine; `used_bytes` near the limit is without what the kernel could take back at once."""

    used_bytes: int
    limit_bytes: int


@dataclass(frozen=True)
class _Version:
    """Where a version of cgroups has what. cgroup-v2.rst, cgroup-v1/memory.rst in the kernel's documentation."""

    mount: str  # below the root
    controller: bytes  # in /proc/PID/cgroup
    limits: tuple[str, ...]
    used: str
    reclaimable: bytes  # in memory.stat: file pages that nobody has used lately


_VERSIONS = (
    # Above memory.high the kernel slows everybody in the cgroup down: for an app as bad as the end of the memory.
    _Version("", b"", ("memory.max", "memory.high"), "memory.current", b"inactive_file"),
    _Version("memory", b"memory", ("memory.limit_in_bytes",), "memory.usage_in_bytes", b"total_inactive_file"),
)


@dataclass(frozen=True)
class MemoryFiles:
    """Where to read. Small files, in plain calls: neither procfs nor cgroupfs blocks."""

    cgroups: Path = Path("/sys/fs/cgroup")
    proc: Path = Path("/proc")

    def limits(self) -> list[int]:
        """Of each cgroup that binds this process and has one, in bytes."""
        return [limit for _, _, limit in self._limited()]

    def usage(self) -> Usage:
        """The fullest of those cgroups, else the machine. Raises OSError or ValueError where nothing tells."""
        usages = [self._usage_of(version, folder, limit) for version, folder, limit in self._limited()]
        if usages:
            return max(usages, key=lambda usage: usage.used_bytes / usage.limit_bytes)
        total = _fact(self.proc / "meminfo", b"MemTotal:") * 1024  # proc(5): kB
        return Usage(total - _fact(self.proc / "meminfo", b"MemAvailable:") * 1024, total)

    def _limited(self) -> Iterator[tuple[_Version, Path, int]]:
        for version in _VERSIONS:
            for folder in self._folders(version):
                limits = [limit for name in version.limits if (limit := _limit(folder / name))]
                if limits:
                    yield version, folder, min(limits)

    def _folders(self, version: _Version) -> Iterator[Path]:
        """The own cgroup's, if it is there to be seen, and those around it up to the mount's root."""
        root = self.cgroups / version.mount
        own = _own_cgroup(self.proc / "self/cgroup", version.controller)
        yield from (root / path for path in (own, *own.parents))

    def _usage_of(self, version: _Version, folder: Path, limit: int) -> Usage:
        used = int(_read(folder / version.used))
        if used > limit * _WORTH_A_LOOK:
            used = max(0, used - _fact(folder / "memory.stat", version.reclaimable))
        return Usage(used, limit)


def limit_bytes() -> int:
    """What this process and its kin may use: the tightest cgroup's limit, else the machine's memory."""
    return min(os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES, *MemoryFiles().limits(), _UNLIMITED)


def resident_bytes(pid: int) -> int:
    """The resident memory of a process; 0 if there is none."""
    try:
        return int(_read(f"/proc/{pid}/statm").split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0


def _own_cgroup(path: Path, controller: bytes) -> PurePosixPath:
    """Relative to the mount's root; the root itself if none is told, or one outside of what can be seen."""
    try:
        lines = _read(path).splitlines()
    except OSError:
        return PurePosixPath()
    for line in lines:
        _, controllers, own = line.split(b":", 2)
        parts = PurePosixPath(os.fsdecode(own)).parts[1:]
        if controller in controllers.split(b",") and ".." not in parts:
            return PurePosixPath(*parts)
    return PurePosixPath()


def _limit(path: Path) -> int | None:
    """A file's number; None for one that is no limit, and for none."""
    try:
        text = _read(path).strip()
    except OSError:
        return None
    return int(text) if text.isdigit() and 0 < int(text) < _UNLIMITED else None


def _fact(path: Path, name: bytes) -> int:
    """The number behind a name."""
    for line in _read(path).splitlines():
        if line.startswith(name + b" "):
            return int(line.split()[1])
    raise ValueError(f"{path} does not tell {name.decode()}")


def _read(path: Path | str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
