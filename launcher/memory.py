"""How much memory there is, how much of it is in use, how much a process has: cgroup v2, cgroup v1, else the machine.

A process is bound by its own cgroup and by those around it. /proc/self/cgroup names its own; where a container shows
nothing but its own, that is at the mount's root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
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
        total, available = _facts(f"{self.proc}/meminfo", b"MemTotal:", b"MemAvailable:")  # proc(5): kB
        return Usage((total - available) * 1024, total * 1024)

    def _limited(self) -> Iterator[tuple[_Version, str, int]]:
        for version, folder in self._folders:
            limits = [limit for name in version.limits if (limit := _limit(f"{folder}/{name}"))]
            if limits:
                yield version, folder, min(limits)

    @cached_property
    def _folders(self) -> list[tuple[_Version, str]]:
        """The own cgroup's, if it is there to be seen, and those around it up to the mount's root: looked for once."""
        found = []
        for version in _VERSIONS:
            root = self.cgroups / version.mount
            own = _own_cgroup(self.proc / "self/cgroup", version.controller)
            folders = [root / path for path in (own, *own.parents)]
            found += [(version, str(folder)) for folder in folders if (folder / version.limits[0]).exists()]
        return found

    def _usage_of(self, version: _Version, folder: str, limit: int) -> Usage:
        used = int(_read(f"{folder}/{version.used}"))
        if used > limit * _WORTH_A_LOOK:
            used = max(0, used - _facts(f"{folder}/memory.stat", version.reclaimable)[0])
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


def tree_resident_bytes(pid: int) -> int:
    """Of a process and of all that it, or what it has started, has started and that live. What they share counts for
    each. A kernel without children files (proc(5), CONFIG_PROC_CHILDREN) tells of the process alone."""
    total, left, seen = 0, [pid], {pid}
    while left:
        each = left.pop()
        total += resident_bytes(each)
        new = [child for child in _children(each) if child not in seen]
        seen.update(new)
        left += new
    return total


def _children(pid: int) -> Iterator[int]:
    """A child is its thread's: every thread is asked."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        try:
            yield from map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
        except OSError:
            continue  # it has ended


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


def _limit(path: str) -> int | None:
    """A file's number; None for one that is no limit, and for none."""
    try:
        text = _read(path).strip()
    except OSError:
        return None
    return int(text) if text.isdigit() and 0 < int(text) < _UNLIMITED else None


def _facts(path: str, *names: bytes) -> list[int]:
    """The number behind each name."""
    lines = dict(words[:2] for line in _read(path).splitlines() if len(words := line.split()) > 1)
    missing = [name.decode() for name in names if name not in lines]
    if missing:
        raise ValueError(f"{path} does not tell {' and '.join(missing)}")
    return [int(lines[name]) for name in names]


def _read(path: Path | str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
