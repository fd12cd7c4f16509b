"""A real memory cgroup below this process's own, where the machine lets us make one: version 2, or 1."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.needs import CGROUPS, unavailable

_ROOT = Path("/sys/fs/cgroup")
_PATIENCE_SECONDS = 10.0
_numbers = itertools.count()


@dataclass(frozen=True)
class MemoryCgroup:
    folder: Path
    limit_bytes: int
    limit: Path  # the file to write another to
    used: Path  # the file that tells how much is in use
    line: str  # of a member's /proc/PID/cgroup

    @property
    def killed(self) -> int:
        """How many of its processes the kernel has killed for want of memory."""
        file = next(path for name in ("memory.events", "memory.oom_control") if (path := self.folder / name).exists())
        return int(dict(line.split() for line in file.read_text().splitlines())["oom_kill"])

    @property
    def prefix(self) -> list[str]:
        """Words that run a command in it."""
        return ["sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh"]

    @contextmanager
    def process(self, words: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        """A process in it that reads standard input, and ends with the block."""
        with subprocess.Popen([*self.prefix, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                yield process
            finally:
                process.kill()


@contextmanager
def memory_cgroup(limit_bytes: int) -> Iterator[MemoryCgroup]:
    """Skips the test where there can be none."""
    with ExitStack() as stack:
        try:
            cgroup = stack.enter_context(new_memory_cgroup(limit_bytes))
        except OSError as error:  # of version 2, too, where the controller is not handed down to us
            unavailable(f"this machine lets us make and limit no memory cgroup: {error}", CGROUPS)
        yield cgroup


@contextmanager
def new_memory_cgroup(limit_bytes: int) -> Iterator[MemoryCgroup]:
    """Raises OSError where there can be none."""
    lines = {line.split(":")[1]: line for line in Path("/proc/self/cgroup").read_text().splitlines()}
    root, limit, used, line = _ROOT, "memory.max", "memory.current", lines.get("", "0::/")
    if "memory" in lines:
        root, limit, used, line = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", lines["memory"]
    line = f"{line.rstrip('/')}/traffic-duplicator-test-{os.getpid()}-{next(_numbers)}"
    folder = root / line.split(":", 2)[2].lstrip("/")
    folder.mkdir()
    try:
        (folder / limit).write_text(str(limit_bytes))
        yield MemoryCgroup(folder, limit_bytes, folder / limit, folder / used, line)
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:  # until the kernel has let go of processes that have just ended
        with suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.05)
