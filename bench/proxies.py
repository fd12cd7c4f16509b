"""What a request costs in each proxy, side by side in one run: processor time of the proxy's own process.

    python3 build.py bench [--quick] [--write]

Every contestant stands before the same nginx on loopback, in turns, several rounds; wrk is the client, with heads as
Heroku's router sends them. Processor time is what /proc/PID/task/*/schedstat says; the medians over the rounds count,
and their ratios: the times themselves belong to this machine. Then: what clients see while the replayer is stopped
(bench/stopped.py), and memory. `--write` puts the tables into docs/performance.md, `--quick` takes one short round.
EM_PROXY=path names a checkout of em-proxy. Nothing is installed; what is missing is named.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import stopped
from contestants import CONTESTANTS, EM_PROXY, HAPROXY, NGINX, OURS, Contestant, Place, Running, needs, place
from loads import (
    BULK_BYTES,
    CLOSE,
    DOWNLOAD,
    IDLE,
    KEEP_ALIVE,
    MODES,
    POST,
    UPLOAD,
    Mode,
    kernel_share,
    load,
    processor_ns,
    resident_bytes,
)

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
ANSWER_BYTES = 1024
ONE_CONNECTION = Mode("one connection, latency p50", "us", connections=1)

# At most so many times a peer's.
GOALS = (
    (KEEP_ALIVE, EM_PROXY, 0.75), (KEEP_ALIVE, NGINX, 0.40), (KEEP_ALIVE, HAPROXY, 3.0),
    (CLOSE, EM_PROXY, 0.55), (CLOSE, NGINX, 1.1),
    (POST, EM_PROXY, 0.85),
    (DOWNLOAD, HAPROXY, 0.40), (UPLOAD, HAPROXY, 0.40),
    (ONE_CONNECTION, HAPROXY, 2.2),
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One measurement."""

    cost: float  # of the proxy, in the mode's unit
    in_kernel: float  # which part of it
    replayer_cost: float


Samples = Mapping[tuple[str, str], Sequence[Sample]]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how many rounds (default: 3)")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    arguments = parser.parse_args(argv)
    missing = [text for text in (needs("wrk", "wrk")(), needs("nginx", "nginx-light")()) if text]
    if missing:
        print("\n".join(f"Error: {text}" for text in missing), file=sys.stderr)
        return 1
    taking_part = list(present())
    if all(contestant.name != OURS for contestant in taking_part):
        return 1
    rounds, seconds = 1 if arguments.quick else arguments.rounds, 1
    with tempfile.TemporaryDirectory() as name, place(Path(name), ANSWER_BYTES, BULK_BYTES) as here:
        os.chmod(name, 0o755)  # for nginx's worker
        samples = run_rounds(taking_part, here, rounds, seconds)
        ours = next(contestant for contestant in taking_part if contestant.name == OURS)
        lines = [*report(samples), "", *stopped.report(ours, here, rounds, seconds), "", *idle_memory(ours, here)]
    print("\n".join(lines))
    if arguments.write:
        write_page(lines, rounds, seconds)
    return 0


def present() -> Iterator[Contestant]:
    for contestant in CONTESTANTS:
        if text := contestant.missing():
            print(f"without {contestant.name}: {text}", file=sys.stderr)
        else:
            yield contestant


# ---- measuring ----------------------------------------------------------------------------------------------------


def run_rounds(taking_part: Sequence[Contestant], here: Place, rounds: int, seconds: int) -> Samples:
    samples: dict[tuple[str, str], list[Sample]] = {}
    for number in range(rounds):
        for mode in (*MODES, ONE_CONNECTION):
            print(f"round {number + 1} of {rounds}: {mode.name}", file=sys.stderr)
            for contestant in taking_part:
                samples.setdefault((mode.name, contestant.name), []).append(measure(contestant, here, mode, seconds))
    return samples


def measure(contestant: Contestant, here: Place, mode: Mode, seconds: int) -> Sample:
    with ExitStack() as stack:
        running: Running = stack.enter_context(contestant.start(here))  # type: ignore[arg-type]
        for _ in range(mode.idle):
            stack.enter_context(socket.create_connection(("127.0.0.1", running.port), 10))
        load(here.folder, running.port, mode, 1)  # everybody's buffers, caches and connections
        before, replayer_before = processor_ns(running.pids), processor_ns(running.replayers)
        _, ticks = kernel_share(running.pids)
        answered = load(here.folder, running.port, mode, seconds)
        spent, replayer_spent = processor_ns(running.pids) - before, processor_ns(running.replayers) - replayer_before
        in_kernel, _ = kernel_share(running.pids, ticks)
    if mode is ONE_CONNECTION:
        return Sample(answered.median_us, in_kernel, 0.0)
    scale = 1e3 * answered.requests if mode.unit == "us" else 1e6 * answered.requests * BULK_BYTES / 1e9
    return Sample(spent / scale, in_kernel, replayer_spent / scale)


def idle_memory(ours: Contestant, here: Place) -> Iterator[str]:
    """The launcher's memory, and what an idle connection adds to it."""
    with ExitStack() as stack:
        running: Running = stack.enter_context(ours.start(here))  # type: ignore[arg-type]
        (pid,) = running.pids
        idle = resident_bytes(pid)
        for _ in range(IDLE.idle):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), 10))
            client.sendall(b"GET / HTTP/1.1\r\nHost: app.example.com\r\n\r\n")
            client.recv(4096)
        time.sleep(0.5)
        each = (resident_bytes(pid) - idle) / IDLE.idle
    yield "| the launcher's memory | measured | goal | |"
    yield "| --- | --- | --- | --- |"
    yield f"| idle | {idle / 1024**2:.1f} MB | at most 32 MB | {stopped.verdict(idle <= 32 * 1024**2)} |"
    yield f"| each idle connection | {each / 1024:.1f} KB | at most 4 KB | {stopped.verdict(each <= 4096)} |"
    yield ""
    yield "Beside that a connection holds what was read for an end that doesn't take it: at most 64 KiB a direction,"
    yield "none where the kernel moves the bytes, for 64 large transfers at a time. The other end waits meanwhile."


# ---- telling ------------------------------------------------------------------------------------------------------


def report(samples: Samples) -> Iterator[str]:
    names = list(dict.fromkeys(name for _, name in samples))
    yield f"| | {' | '.join(names)} |"
    yield f"| --- |{' --- |' * len(names)}"
    for mode in (*MODES, ONE_CONNECTION):
        cells = [cell(samples.get((mode.name, name), ())) for name in names]
        yield f"| {mode.name}, {'µs' if mode.unit == 'us' else 'ms a GB'} | {' | '.join(cells)} |"
    yield ""
    yield "| traffic-duplicator to a peer | measured | goal | |"
    yield "| --- | --- | --- | --- |"
    for mode, peer, goal in GOALS:
        own, theirs = samples.get((mode.name, OURS)), samples.get((mode.name, peer))
        if own and theirs:
            ratio = median_cost(own) / median_cost(theirs)
            told = stopped.verdict(ratio <= goal)
            if ratio > goal:
                told += f": {why_missed(own, goal * median_cost(theirs), samples.get((mode.name, HAPROXY), ()))}"
            yield f"| {mode.name}, to {peer} | {ratio:.2f} | at most {goal} | {told} |"


def why_missed(own: Sequence[Sample], goal: float, floor: Sequence[Sample]) -> str:
    """What the goal is in the mode's unit, and what no code of ours can change of the cost."""
    kernel = statistics.median(sample.cost * sample.in_kernel for sample in own)
    text = f"{goal:.1f} would reach it; {kernel:.1f} of ours is the kernel's"
    return text + (f", and HAProxy takes {median_cost(floor):.1f} to copy nothing" if floor else "")


def cell(samples: Sequence[Sample]) -> str:
    if not samples:
        return ""
    costs = [sample.cost for sample in samples]
    text = f"{statistics.median(costs):.1f} ({min(costs):.1f} to {max(costs):.1f})"
    text += f", {statistics.median(sample.in_kernel for sample in samples):.0%} in the kernel"
    replayer = statistics.median(sample.replayer_cost for sample in samples)
    return text + (f"; replayer {replayer:.1f}" if replayer else "")


def median_cost(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.cost for sample in samples)


def write_page(lines: Sequence[str], rounds: int, seconds: int) -> None:
    text = f"""# What it costs

Written by `python3 build.py bench --write`; bench/proxies.py says how it measures. Processor time of the proxy's own
process, the median of {rounds} rounds of {seconds} s each; in brackets the smallest and the largest. HAProxy mirrors
nothing: it is the floor. Our copies go to a process of its own, told as "replayer", which discards them here:
[performance-replayer.md](performance-replayer.md) has what sending them costs. em-proxy and nginx send theirs
themselves. With --sample 0 our requests are told apart and none is copied: the difference is the price of a copy. The
rest is Python's own, and what the kernel takes for four receives and sends a request, as with HAProxy.

Machine: {os.cpu_count()} cores, {platform.system()} {platform.release()}; {versions()}.

""" + "\n".join(lines) + "\n"
    PAGE.write_text(text)
    print(f"written: docs/{PAGE.name}", file=sys.stderr)


def versions() -> str:
    found = []
    for words in (["/usr/bin/python3", "--version"], ["nginx", "-v"], ["haproxy", "-v"], ["wrk", "-v"], ["ruby", "-v"]):
        if shutil.which(words[0]):
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            number = re.search(r"\d+\.\d+[\w.]*", done.stdout + done.stderr)
            found.append(f"{Path(words[0]).name} {number[0]}" if number else words[0])
    return ", ".join(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
