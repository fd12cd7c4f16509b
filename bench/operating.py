"""What it costs to be watched: a request through the launcher with and without counters, metrics and status.

    python3 bench/operating.py [--starts N] [--pairs N]

side_by_side.py says how. One of the two says nothing (`--stats-interval 0`) and nobody asks it; the other writes its
lines each second (`--stats-interval 1`), and each second somebody scrapes its `--metrics-port` and asks its control
socket for the status. The goal: a request's cost changes by no more than the spread between the rounds of the one that
nobody watches, and by 5 % at most.
"""

from __future__ import annotations

import argparse
import http.client
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from contestants import Contestant, Running, free_port, launcher, needs_file
from side_by_side import Missing, costs, report, spread

MOST = 1.05


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--starts", type=int, default=3, metavar="N", help="how often both are started (default: 3)")
    parser.add_argument("--pairs", type=int, default=8, metavar="N", help="pairs of rounds a start (default: 8)")
    arguments = parser.parse_args(argv)
    answers = 0

    @contextmanager
    def watched_by(_: Running, other: Running) -> Iterator[None]:
        nonlocal answers
        with _watchers(port, other.pids[0]) as count:
            yield
            answers += count()

    port = free_port()
    unwatched = Contestant("unwatched", launcher(), needs_file)
    watched = Contestant("watched", launcher("--stats-interval", "1", "--metrics-port", str(port)), needs_file)
    try:
        pairs = costs(unwatched, watched, starts=arguments.starts, pairs=arguments.pairs, beside=watched_by)
    except Missing as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    bound = min(MOST, 1 + spread(pairs))
    is_reached = report(pairs, ("nobody watches", "watched each second"), bound) and answers > 0
    print(f"metrics and status answered: {answers} times")
    return 0 if is_reached else 1


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
