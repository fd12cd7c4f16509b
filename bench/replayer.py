"""What a replayed request costs: the built-in replayer against the real gor 1.2.0 and 1.3.2, one run in turns.

    GOR=…/1.2.0/goreplay GOR_1_3=…/1.3.2/goreplay python3 bench/replayer.py [--write] [ROUNDS [RECORDS]]

Each contestant gets the same records in the way that the launcher would hand them over (gor by its recipe: a named
pipe, hex, the helper), ten in a write every 5 ms, and sends them to the same nginx on loopback: one sink answers 204,
the other 200 with 1 KB. Processor time is that of all threads (/proc/PID/task/*/schedstat), from the first record to
the last answer; the helper's, which the launcher needs for gor only, stands apart. Peak memory is VmHWM. What arrived
is what nginx has logged. Medians over the rounds; an absolute time means little on a shared machine, the ratios do.
`--write` puts the table into docs/performance-replayer.md, which has no other figures.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from launcher.feed import frames, hex_lines  # noqa: E402
from launcher.gor.binary import Unusable, identify  # noqa: E402
from launcher.gor.flags import Word, parse_flags  # noqa: E402
from launcher.gor.processes import environment, plan_processes  # noqa: E402
from launcher.records import frame, new_record  # noqa: E402
from launcher.replay_protocol import Closing, ComparisonSettings, ReplaySettings  # noqa: E402

PAGE = ROOT / "docs" / "performance-replayer.md"
FIGURES = re.compile(r"(<!-- figures\b[^>]*-->\n)(.*?)(<!-- /figures -->)", re.DOTALL)
PORTS = {"204": 18961, "200 with 1 KB": 18962}
BATCH = 10
BATCH_SECONDS = 0.005
PATIENCE_SECONDS = 60.0
MEMORY_BYTES = 256 * 1024**2
GOALS = {"gor 1.2.0": 2.0, "gor 1.3.2": 0.6}
MEMORY_GOAL_MB = 40.0
HEAD = (
    b"GET /articles/%d?page=2 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
    b"Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate, br\r\n"
    b"Cookie: session=0123456789abcdef\r\n"
    b"X-Request-Id: 5a0b2c3d-0000-4000-8000-%012d\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"
    b"Via: 1.1 router\r\nX-Traffic-Duplicator: 1\r\n\r\n"
)
NGINX = """
worker_processes 1; daemon off; pid nginx.pid; error_log error.log;
events {{ worker_connections 4096; }}
http {{
  log_format one "$connection $request_uri"; access_log arrived.log one buffer=64k flush=100ms;
  keepalive_requests 1000000; keepalive_timeout 60s;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  server {{ listen 127.0.0.1:{p204} backlog=4096; return 204; }}
  server {{ listen 127.0.0.1:{p200} backlog=4096; default_type text/plain; return 200 "{body}"; }}
}}
"""


@dataclass(frozen=True)
class Result:
    """Of one contestant, one sink and one round."""

    microseconds: float  # of processor, a record
    helper_microseconds: float
    peak_mb: float
    arrived: int  # different requests
    twice: int
    connections: int


class Running:
    """A started contestant: where its records go, and whose time counts."""

    def __init__(self, process: subprocess.Popen[bytes], fd: int, encode: Callable[[bytes], Iterator[bytes]]) -> None:
        self.process = process
        self.fd = fd
        self.encode = encode
        self.last = b""

    def nanoseconds(self) -> tuple[int, int]:
        """The replayer's processor time so far, and its children's: gor's helper."""
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        return _nanoseconds(self.process.pid), sum(_nanoseconds(int(pid)) for pid in children)

    def peak_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1024  # type: ignore[index]

    def end(self) -> None:
        if self.last:
            os.write(self.fd, self.last)
        os.close(self.fd)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _nanoseconds(pid: int) -> int:
    total = 0
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(file.read_text().split()[0])
        except OSError:
            continue  # the thread has just ended
    return total


def start_builtin(urls: Sequence[str], folder: Path, comparison: ComparisonSettings | None = None) -> Running:
    """Ours, as the launcher starts it."""
    told = ReplaySettings(
        options=tuple(("output-http", url, url) for url in urls), queue_bytes=64 * 1024**2, stats_interval=60,
        comparison=comparison,
    )  # fmt: skip
    account = os.open(folder / "account", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    program = "import sys; from launcher.replay import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "--launcher-pipe", str(account)],
        stdin=subprocess.PIPE, pass_fds=[account], cwd=ROOT, start_new_session=True,
    )  # fmt: skip
    os.close(account)
    assert process.stdin is not None
    running = Running(process, os.dup(process.stdin.fileno()), frames)
    process.stdin.close()
    os.write(running.fd, frame(told.encode()))
    running.last = frame(b"") + frame(Closing(10).encode())
    wait_until(lambda: b'"at":"ready"' in (folder / "account").read_bytes())
    return running


def start_gor(path: Path, url: str, folder: Path) -> Running:
    """A gor by the launcher's recipe: its options, the helper, a new named pipe."""
    gor = identify(path)
    assert not isinstance(gor, Unusable), gor
    options, _ = parse_flags([Word(word, word, "bench") for word in ("--output-http", url)])
    (process_plan,) = plan_processes(options, gor)
    fifo = folder / f"pipe-{time.monotonic_ns()}"
    os.mkfifo(fifo, 0o600)
    helper = [sys.executable, "-I", "-S", str(ROOT / "launcher" / "gor" / "helper.py"), str(fifo)]
    process = subprocess.Popen(
        process_plan.argv(gor, helper), env=environment(os.environ, MEMORY_BYTES),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    fd = os.open(fifo, os.O_WRONLY)
    fifo.unlink()
    return Running(process, fd, hex_lines)


@contextmanager
def nginx(folder: Path) -> Iterator[Path]:
    """The sink, and the log of what arrives there."""
    config = NGINX.format(p204=PORTS["204"], p200=PORTS["200 with 1 KB"], body="x" * 1024)
    (folder / "nginx.conf").write_text(config)
    process = subprocess.Popen(
        [shutil.which("nginx") or "nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    )
    try:
        log = folder / "arrived.log"
        wait_until(log.exists)
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def feed(running: Running, records: Sequence[bytes]) -> None:
    """Hands over all records, as many at a time and as often as a busy launcher would."""
    next_batch = time.monotonic()
    for start in range(0, len(records), BATCH):
        data = b"".join(piece for record in records[start : start + BATCH] for piece in running.encode(record))
        while data:
            data = data[os.write(running.fd, data) :]
        next_batch = max(next_batch + BATCH_SECONDS, time.monotonic() - 0.1)  # after a stall no endless catching up
        time.sleep(max(0.0, next_batch - time.monotonic()))


def one_round(running: Running, log: Path, records: Sequence[bytes]) -> Result:
    """Feeds all records, waits for them at the sink, and reads the meters."""
    offset = log.stat().st_size
    before = running.nanoseconds()
    feed(running, records)
    lines = _settled_lines(log, offset, len(records))
    after = running.nanoseconds()
    paths = [line.split()[1] for line in lines]
    return Result(
        microseconds=(after[0] - before[0]) / 1000 / len(records),
        helper_microseconds=(after[1] - before[1]) / 1000 / len(records),
        peak_mb=running.peak_mb(),
        arrived=len(set(paths)),
        twice=len(paths) - len(set(paths)),
        connections=len({line.split()[0] for line in lines}),
    )


def _settled_lines(log: Path, offset: int, expected: int) -> list[str]:
    """What has arrived, once it is all or has stood still for a second."""
    lines: list[str] = []
    changed_at = time.monotonic()
    while len(lines) < expected and time.monotonic() - changed_at < 1:
        time.sleep(0.05)
        with open(log, "rb") as file:
            file.seek(offset)
            found = file.read().decode().splitlines()
        if len(found) != len(lines):
            lines, changed_at = found, time.monotonic()
    return lines


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "a contestant or the sink did not start"
        time.sleep(0.01)


def contestants() -> dict[str, Callable[[str, Path], Running]]:
    found: dict[str, Callable[[str, Path], Running]] = {"built-in": lambda url, folder: start_builtin([url], folder)}
    for name, variable in (("gor 1.2.0", "GOR"), ("gor 1.3.2", "GOR_1_3")):
        path = os.environ.get(variable) or Path.home() / f".cache/traffic-duplicator/gor/{name[4:]}/goreplay"
        if Path(path).exists():
            found[name] = lambda url, folder, path=Path(path): start_gor(path, url, folder)  # type: ignore[misc]
        else:
            print(f"{name} is left out: set {variable} to its program", file=sys.stderr)
    return found


def report(results: dict[tuple[str, str], list[Result]], count: int) -> str:
    """The table, and what of the goals is reached."""
    titles = ("sink", "replayer", "processor µs a request", "ours / theirs", "with its helper", "peak MB",
              f"arrived of {count}", "twice", "connections")  # fmt: skip
    table = [_row(titles), _row(["---"] * len(titles))]
    verdicts = []
    for (sink, name), rounds in results.items():
        cost, helper, peak = (
            statistics.median(getattr(each, field) for each in rounds)
            for field in ("microseconds", "helper_microseconds", "peak_mb")
        )
        ratio = statistics.median(each.microseconds for each in results[sink, "built-in"]) / cost
        table.append(_row((
            sink, name, f"{cost:.0f}", f"{ratio:.2f}", f"{cost + helper:.0f}" if helper else "has none", f"{peak:.0f}",
            min(each.arrived for each in rounds), max(each.twice for each in rounds),
            max(each.connections for each in rounds),
        )))  # fmt: skip
        if name in GOALS:
            verdicts.append(f"{sink}: {ratio:.2f} × {name}, goal ≤ {GOALS[name]}: {_word(ratio <= GOALS[name])}")
        else:
            reached = _word(peak <= MEMORY_GOAL_MB)
            verdicts.append(f"{sink}: peak {peak:.0f} MB, goal ≤ {MEMORY_GOAL_MB:.0f} + queues: {reached}")
            arrived = min(each.arrived for each in rounds)
            verdicts.append(f"{sink}: {arrived} of {count} arrived, goal all of them: {_word(arrived == count)}")
    return "\n".join([*table, "", *(f"- {verdict}" for verdict in verdicts)])


def write_page(figures: str, rounds: int) -> None:
    """Puts the figures where the page has room for them."""
    text = PAGE.read_text()
    found = FIGURES.search(text)
    assert found, f"{PAGE} has no place for the figures"
    told = f"{figures}\n\nMedians of {rounds} rounds, {os.cpu_count()} processors, {time.strftime('%Y-%m-%d')}.\n"
    PAGE.write_text(text[: found.start(2)] + told + text[found.end(2) :])


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _word(is_reached: bool) -> str:
    return "reached" if is_reached else "MISSED"


def main() -> int:
    numbers = [int(word) for word in sys.argv[1:] if word != "--write"]
    rounds, count = (*numbers, *(5, 4000)[len(numbers) :])
    results: dict[tuple[str, str], list[Result]] = {}
    with tempfile.TemporaryDirectory() as name, nginx(Path(name)) as log:
        for number in range(rounds):
            for sink, port in PORTS.items():
                for contestant, start in contestants().items():
                    serial = number * count
                    records = [new_record(HEAD % (serial + i, serial + i), b"") for i in range(count)]
                    running = start(f"http://127.0.0.1:{port}", Path(name))
                    try:
                        result = one_round(running, log, records)
                    finally:
                        running.end()
                    results.setdefault((sink, contestant), []).append(result)
    figures = report(results, count)
    print(figures)
    if "--write" in sys.argv[1:]:
        write_page(figures, rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
