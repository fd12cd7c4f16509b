"""Loads by wrk, and what processes cost, from /proc."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BULK_BYTES = 32 * 1024**2
POST_BYTES = 8192

# What the Heroku router sends to a dyno: platform.md, "Routers".
HEADERS = {
    "Host": "app.example.com",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "Accept-Language": "en-US,en;q=0.5",
    "Cookie": "session=0123456789abcdef0123456789abcdef0123456789abcdef; theme=dark",
    "X-Request-Id": "7f3f2c1e-5b8a-4d2f-9c55-6f3b0b6a8a11",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "443",
    "Via": "1.1 heroku-router",
    "X-Request-Start": "1700000000000",
}


@dataclass(frozen=True)
class Mode:
    """One kind of traffic."""

    name: str
    unit: str  # "us" of processor time a request, or "ms" a GB
    path: str = "/"
    script: str = ""
    connections: int = 32
    idle: int = 0  # connections beside them that send nothing


KEEP_ALIVE = Mode("keep-alive", "us")
CLOSE = Mode("a connection a request", "us", script='wrk.headers["Connection"] = "close"\n')
POST = Mode("8 KB POST", "us", script=f'wrk.method = "POST"\nwrk.body = string.rep("x", {POST_BYTES})\n')
IDLE = Mode("keep-alive beside 1,000 idle connections", "us", idle=1000)
DOWNLOAD = Mode("32 MB downloads", "ms", path="/download", connections=4)
UPLOAD = Mode(
    "32 MB uploads", "ms", connections=4, script=f'wrk.method = "POST"\nwrk.body = string.rep("x", {BULK_BYTES})\n'
)
MODES = (KEEP_ALIVE, CLOSE, POST, IDLE, DOWNLOAD, UPLOAD)


@dataclass(frozen=True)
class Answered:
    """What wrk says of its work."""

    requests: int
    seconds: float
    median_us: float  # latency

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def load(folder: Path, port: int, mode: Mode, seconds: int) -> Answered:
    """Raises ValueError if an answer failed: then there is nothing to compare."""
    script = folder / "wrk.lua"
    heads = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in HEADERS.items())
    script.write_text(heads + mode.script)
    words = ["wrk", "--latency", "-t1", f"-c{mode.connections}", f"-d{seconds}s", "-s", str(script)]
    done = subprocess.run([*words, f"http://127.0.0.1:{port}{mode.path}"], capture_output=True, text=True, check=True)
    return answered_in(done.stdout)


def answered_in(output: str) -> Answered:
    """Reads wrk's report."""
    found = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m),", output)
    median = re.search(r"50% +([\d.]+)(us|ms|s)", output)
    if found is None or median is None or not int(found[1]):
        raise ValueError(f"wrk got no answers: {output}")
    if "Non-2xx" in output:
        raise ValueError(f"not every answer is a good one: {output}")
    seconds = float(found[2]) * {"ms": 0.001, "s": 1, "m": 60}[found[3]]
    return Answered(int(found[1]), seconds, float(median[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[median[2]])


def processor_ns(pids: Sequence[int]) -> int:
    """Time on a processor of all threads: the first field of schedstat, Documentation/scheduler/sched-stats."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
    return total


def kernel_share(pids: Sequence[int], before: tuple[int, int] = (0, 0)) -> tuple[float, tuple[int, int]]:
    """Which part of the time since `before` was spent in the kernel, by its ticks: proc(5), utime and stime."""
    user = system = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user += int(fields[11])
        system += int(fields[12])
    spent = user - before[0] + system - before[1]
    return (system - before[1]) / spent if spent else 0.0, (user, system)


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
