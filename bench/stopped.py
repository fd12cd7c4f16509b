"""What clients see while the replayer is stopped dead (SIGSTOP), against the same launcher before it was stopped.

At full load: requests a second, and the launcher's memory once its buffer is full. In an open loop at a quarter of that
load: p99, in alternating pairs, so that what else the machine does falls on both alike.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
from collections.abc import Iterator

from contestants import Contestant, Place, Running
from loads import HEADERS, POST, POST_BYTES, load, resident_bytes
from open_loop import latencies, percentile

PAIRS = 5
OPEN_LOOP_CONNECTIONS = 32
BUFFER_BYTES = 16 * 1024**2  # --buffer, by default
SPARE_BYTES = 8 * 1024**2


def report(ours: Contestant, here: Place, rounds: int, seconds: int) -> Iterator[str]:
    print("the replayer stopped", file=sys.stderr)
    with ours.start(here) as running:  # type: ignore[attr-defined]
        load(here.folder, running.port, POST, 1)
        rates: dict[bool, list[float]] = {False: [], True: []}
        before = resident_bytes(running.pids[0])
        for _ in range(rounds):
            for is_stopped in (False, True):
                rates[is_stopped].append(at_full_load(here, running, is_stopped, seconds))
        grown = resident_bytes(running.pids[0]) - before
        share = statistics.median(rates[True]) / statistics.median(rates[False])
        quarter = statistics.median(rates[False]) / 4
        ratios = [p99_ratio(running, quarter, seconds) for _ in range(min(PAIRS, rounds))]
    ratio = statistics.median(ratios)
    yield "| the replayer stopped, 8 KB POSTs | measured | goal | |"
    yield "| --- | --- | --- | --- |"
    yield f"| requests a second at full load, to before | {share:.2f} | at least 0.95 | {verdict(share >= 0.95)} |"
    spread = f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    yield f"| p99 in an open loop at a quarter of it, to before | {spread} | at most 1.2 | {verdict(ratio <= 1.2)} |"
    holds = grown <= BUFFER_BYTES + SPARE_BYTES
    yield f"| memory, more than before | {grown / 1024**2:.1f} MB | at most 24 MB | {verdict(holds)} |"


def verdict(holds: bool) -> str:
    return "holds" if holds else "is missed"


def at_full_load(here: Place, running: Running, is_stopped: bool, seconds: int) -> float:
    send(running, signal.SIGSTOP if is_stopped else signal.SIGCONT)
    try:
        load(here.folder, running.port, POST, 1)  # until the buffer is full, or what it held is sent
        return load(here.folder, running.port, POST, seconds).rate
    finally:
        send(running, signal.SIGCONT)


def p99_ratio(running: Running, rate: float, seconds: int) -> float:
    """One pair: p99 with the replayer stopped, to p99 with it running."""
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    request = f"POST / HTTP/1.1\r\n{head}Content-Length: {POST_BYTES}\r\n\r\n".encode() + b"x" * POST_BYTES
    found = {}
    for is_stopped in (False, True):
        send(running, signal.SIGSTOP if is_stopped else signal.SIGCONT)
        try:
            taken = latencies(
                running.port, request, rate=rate, seconds=seconds * 2, connections=OPEN_LOOP_CONNECTIONS
            )
        finally:
            send(running, signal.SIGCONT)
        found[is_stopped] = percentile(taken, 99)
    return found[True] / found[False]


def send(running: Running, number: int) -> None:
    for pid in running.replayers:
        os.kill(pid, number)
