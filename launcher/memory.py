"""How much memory there is, and how much a process has: cgroup v2, cgroup v1, else the machine."""

from __future__ import annotations

import os
from pathlib import Path

_LIMIT_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_UNLIMITED = 2**60  # cgroup v1 writes a number near 2**63 where there is no limit
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def limit_bytes() -> int:
    """What this process and its kin may use: the cgroup's limit, else the machine's memory."""
    limits = [_machine_bytes()]
    for path in _LIMIT_FILES:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < _UNLIMITED:
            limits.append(int(text))
    return min(limits)


def resident_bytes(pid: int) -> int:
    """The resident memory of a process; 0 if there is none."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0


def _machine_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
