"""What it costs to be watched: a request through the launcher with and without counters, metrics and status.

    python3 bench/operating.py [--starts N] [--pairs N]

Two launchers stand side by side before apps of their own. One says nothing (`--stats-interval 0`) and nobody asks it;
the other writes its lines each second (`--stats-interval 1`), and each second somebody scrapes its `--metrics-port` and
asks its control socket for the status. wrk loads one and then the other with keep-alive requests, in turns, so that
what else happens on the machine meets both; every start has its pairs. What counts is the processor time of the
launcher's own process a request: the median of the pairs' ratios. The goal: it changes by no more than the spread
between the rounds of the one that nobody watches, and by 5 % at most. Needs wrk and nginx.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from contestants import Contestant, Place, Running, free_port, launcher, needs, needs_file, place
from loads import KEEP_ALIVE, load, processor_ns

MOST = 1.05
SECONDS = 2


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--starts", type=int, default=3, metavar="N", help="how often both are started (default: 3)")
    parser.add_argument("--pairs", type=int, default=4, metavar="N", help="pairs of rounds a start (default: 4)")
    arguments = parser.parse_args(argv)
    missing = [text for text in (needs("wrk", "wrk")(), needs("nginx", "nginx-light")(), needs_file()) if text]
    if missing:
        print("\n".join(f"Error: {text}" for text in missing), file=sys.stderr)
        return 1
    pairs: list[tuple[float, float]] = []
    answers = 0
    with tempfile.TemporaryDirectory() as name, place(Path(name), 1024, 1) as here:
        os.chmod(name, 0o755)  # for nginx's worker
        for start in range(arguments.starts):
            print(f"start {start + 1} of {arguments.starts}", file=sys.stderr)
            answers += measure_start(here, arguments.pairs, pairs)
    return report(pairs, answers)


def measure_start(here: Place, rounds: int, pairs: list[tuple[float, float]]) -> int:
    """Adds what a request cost unwatched and watched, in us. How many answers those who watched got."""
    port = free_port()
    unwatched = Contestant("unwatched", launcher(), needs_file)
    watched = Contestant("watched", launcher("--stats-interval", "1", "--metrics-port", str(port)), needs_file)
    with _started(unwatched, here) as one, _started(watched, here) as other, _watchers(port, other.pids[0]) as count:
        for running in (one, other):
            load(here.folder, running.port, KEEP_ALIVE, 1)  # everybody's buffers, caches and connections
        for number in range(rounds):
            order = (one, other) if number % 2 == 0 else (other, one)
            costs = {running.port: cost(here, running) for running in order}
            pairs.append((costs[one.port], costs[other.port]))
        return count()


@contextmanager
def _started(contestant: Contestant, here: Place) -> Iterator[Running]:
    with contestant.start(here) as running:  # type: ignore[attr-defined]
        yield running


def cost(here: Place, running: Running) -> float:
    before = processor_ns(running.pids)
    answered = load(here.folder, running.port, KEEP_ALIVE, SECONDS)
    return (processor_ns(running.pids) - before) / 1e3 / answered.requests


@contextmanager
def _watchers(port: int, pid: int) -> Iterator[Callable[[], int]]:
    """Asks for metrics and status each second until the block ends; what is yielded counts the good answers."""
    ended = threading.Event()
    good = 0

    def watch() -> None:
        nonlocal good
        while not ended.wait(1):
            with suppress(OSError, http.client.HTTPException):
                good += _get(socket.create_connection(("127.0.0.1", port), 5), "/metrics", b"# HELP traffic_")
            with suppress(OSError, http.client.HTTPException):
                good += _get(_control_socket(pid), "/status", b'{"version"')

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: good
    finally:
        ended.set()
        thread.join()


def _control_socket(pid: int) -> socket.socket:
    """A connection to the socket that this process listens on."""
    inodes = {Path(fd).stat().st_ino for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_socket()}
    for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        words = line.split()
        if len(words) == 8 and int(words[6]) in inodes and not words[7].startswith("@"):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(5)
            sock.connect(words[7])
            return sock
    raise FileNotFoundError("the launcher has no control socket")


def _get(sock: socket.socket, path: str, start: bytes) -> bool:
    with sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        return answer.status == 200 and answer.read().startswith(start)


def report(pairs: Sequence[tuple[float, float]], answers: int) -> int:
    """Prints the figures. 0 if the goal is reached."""
    alone = sorted(before for before, _ in pairs)
    median = statistics.median(alone)
    spread = (alone[-1] - alone[0]) / median
    ratio = statistics.median(after / before for before, after in pairs)
    bound = min(MOST, 1 + spread)
    is_reached = ratio <= bound and answers > 0
    print(f"keep-alive, nobody watches:  {median:.1f} us a request (spread between rounds: {spread:.0%})")
    print(f"watched each second:         {statistics.median(after for _, after in pairs):.1f} us a request")
    verdict = "holds" if is_reached else "missed"
    print(f"ratio, median of {len(pairs)} pairs: {ratio:.3f}, goal: at most {bound:.3f}: {verdict}")
    print(f"metrics and status answered: {answers} times")
    return 0 if is_reached else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
