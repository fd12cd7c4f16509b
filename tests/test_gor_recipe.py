"""The way into the real gors, without our launcher: one process started by the recipe, and what arrives.

Sinks and pipes are real; every wait is for the event itself, and fails after PATIENCE_SECONDS.
"""

from __future__ import annotations

import os
import select
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from launcher.gor.binary import Gor, faults
from launcher.gor.flags import GorOption, Word, parse_flags
from launcher.gor.folder import Place, helper_program, make_place
from launcher.gor.lines import known_line
from launcher.gor.processes import GorProcess, environment, plan_processes
from launcher.records import new_record

PATIENCE_SECONDS = 30.0
COUNT = 1000


class Sink:
    """A destination: a thread a connection, every request kept as (method, target, headers, body)."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.in_flight = self.most_in_flight = 0
        self.gate = threading.Event()  # no answer before it is set
        self.gate.set()
        self._changed = threading.Condition()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def parse_request(self) -> bool:
                parsed = super().parse_request()
                if parsed:
                    sink.take(self)
                return parsed

            def log_message(self, format: str, *args: object) -> None:
                pass

            def answer(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST = do_PUT = answer  # noqa: N815

        class Server(ThreadingHTTPServer):
            request_queue_size = 1024
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # gor is killed under load here

        self._server = Server(("127.0.0.1", 0), Handler)
        if context:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        with self._changed:
            self.requests.append((handler.command, handler.path, dict(handler.headers.items()), body))
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            self._changed.notify_all()
        self.gate.wait(PATIENCE_SECONDS)
        with self._changed:
            self.in_flight -= 1

    @property
    def targets(self) -> Counter[str]:
        return Counter(target for _, target, _, _ in self.requests)

    def wait_for(self, count: int, seconds: float = PATIENCE_SECONDS) -> bool:
        """Whether so many requests have arrived in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, seconds)

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def sink() -> Iterator[Sink]:
    server = Sink()
    yield server
    server.close()


class GorRun:
    """One gor, started as the launcher does, behind a pipe that the test writes."""

    def __init__(self, gor: Gor, process: GorProcess, place: Place) -> None:
        self._process = subprocess.Popen(
            process.argv(gor, place.helper), env=environment(os.environ, 256 * 1024**2),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.pid = self._process.pid
        self.lines: list[bytes] = []
        self._reader = threading.Thread(target=self._read_lines)
        self._reader.start()
        self._pipe = self._open_when_read(place.fifo)
        place.remove()

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(self._process.stdout)

    def _open_when_read(self, fifo: Path) -> int:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # ENXIO: nobody has opened it for reading yet
                time.sleep(0.002)
        raise AssertionError(f"gor's helper does not read: {self.lines}")

    def write(self, data: bytes) -> None:
        """Raises BrokenPipeError when the helper is gone."""
        rest = memoryview(data)
        while rest:
            assert self._poll(select.POLLOUT), "the helper has stopped reading"
            rest = rest[os.write(self._pipe, rest) :]

    def feed(self, *records: bytes) -> None:
        self.write(b"".join(record.hex().encode() + b"\n" for record in records))

    def pipe_breaks(self) -> bool:
        """Whether the pipe has lost its reader in time."""
        return bool(self._poll(0) & select.POLLERR)

    def _poll(self, mask: int) -> int:
        poll = select.poll()
        poll.register(self._pipe, mask)
        return next((events for _, events in poll.poll(PATIENCE_SECONDS * 1000)), 0)

    def helper_pid(self) -> int:
        (helper,) = members(self.pid) - {self.pid}
        return helper

    def wait_for_lines(self, start: bytes, count: int = 1) -> bool:
        """Whether gor prints so many lines that start so, in time."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if sum(line.startswith(start) for line in self.lines) >= count:
                return True
            time.sleep(0.005)
        return False

    def end_pipe(self) -> int:
        """Ends the pipe and waits for gor. Its status."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        return self._process.wait(PATIENCE_SECONDS)

    def wait(self) -> int:
        return self._process.wait(PATIENCE_SECONDS)

    def group_is_gone(self) -> bool:
        """Whether gor, its helper and the user's program all end in time. Orphans' zombies are somebody else's."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while members(self.pid) and time.monotonic() < deadline:
            self._process.poll()
            time.sleep(0.005)
        return not members(self.pid)

    def close(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.end_pipe()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def members(group: int) -> set[int]:
    """The living processes of a group."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z" and int(process_group) == group:
            found.add(int(stat.parent.name))
    return found


def parsed(*words: str) -> list[GorOption]:
    return parse_flags([Word(word, word, "test") for word in words])[0]


Start = Callable[..., GorRun]


@pytest.fixture
def start(gor: Gor) -> Iterator[Start]:
    """Starts the first gor process of these options."""
    runs: list[GorRun] = []

    def started(*words: str, options: Sequence[GorOption] = ()) -> GorRun:
        process = plan_processes([*parsed(*words), *options], gor)[0]
        run = GorRun(gor, process, make_place(helper_program()))
        runs.append(run)
        return run

    yield started
    for run in runs:
        run.close()


def get(target: str, *headers: str) -> bytes:
    return new_record("\r\n".join([f"GET {target} HTTP/1.1", "Host: app.test", *headers, "", ""]).encode(), b"")


def post(target: str, body: bytes) -> bytes:
    return new_record(f"POST {target} HTTP/1.1\r\nHost: app.test\r\nContent-Length: {len(body)}\r\n\r\n".encode(), body)


def loses_some(gor: Gor) -> bool:
    """1.3.x loses a few in ten thousand by itself."""
    return gor.version >= (1, 3)


def test_every_record_arrives_once(gor: Gor, start: Start, sink: Sink) -> None:
    run = start("--output-http", sink.url)
    for first in range(0, COUNT, 50):
        run.feed(*(get(f"/{number}?a=//b/../c") for number in range(first, first + 50)))
    least = COUNT - (COUNT // 1000 if loses_some(gor) else 0)
    assert sink.wait_for(COUNT, 5 if loses_some(gor) else PATIENCE_SECONDS) or len(sink.requests) >= least
    run.end_pipe()
    assert set(sink.targets) <= {f"/{number}?a=//b/../c" for number in range(COUNT)}
    assert set(sink.targets.values()) == {1}


@pytest.mark.parametrize("size", [0, 100_000, 4 * 1024**2])
def test_a_body_arrives_whole(start: Start, sink: Sink, size: int) -> None:
    body = os.urandom(size)
    run = start("--output-http", sink.url)
    run.feed(post("/upload", body))
    assert sink.wait_for(1)
    assert [(method, target, got) for method, target, _, got in sink.requests] == [("POST", "/upload", body)]


def test_the_end_of_the_pipe_ends_gor_and_helper(start: Start, sink: Sink) -> None:
    run = start("--output-http", sink.url)
    run.feed(get("/"))
    assert sink.wait_for(1)
    assert run.end_pipe() == 1  # gor's status after SIGTERM
    assert run.group_is_gone()


def test_the_end_of_an_unused_pipe_ends_gor_and_helper(start: Start, sink: Sink) -> None:
    run = start("--output-http", sink.url)
    assert run.end_pipe() == 1
    assert run.group_is_gone()


def test_the_death_of_gor_ends_the_helper_and_breaks_the_pipe(start: Start, sink: Sink) -> None:
    run = start("--output-http", sink.url)
    run.feed(get("/"))
    assert sink.wait_for(1)
    os.kill(run.pid, signal.SIGKILL)
    assert run.pipe_breaks()
    assert run.group_is_gone()


def test_the_death_of_gor_while_it_takes_nothing_ends_the_helper(start: Start, sink: Sink) -> None:
    sink.gate.clear()
    run = start("--output-http", sink.url, "--output-http-timeout", "60s")
    with pytest.raises(AssertionError, match="stopped reading"):
        fill(run)
    os.kill(run.pid, signal.SIGKILL)
    assert run.pipe_breaks()
    assert run.group_is_gone()


def fill(run: GorRun) -> None:
    """Writes until nothing is taken any more: gor holds its queue, its workers' and its middleware's records."""
    while True:
        poll = select.poll()
        poll.register(run._pipe, select.POLLOUT)
        assert poll.poll(1000), "the helper has stopped reading"
        run.feed(get("/" + "x" * 8000))


def test_the_death_of_the_helper_breaks_the_pipe(gor: Gor, start: Start, sink: Sink) -> None:
    run = start("--output-http", sink.url)
    run.feed(get("/"))
    assert sink.wait_for(1)
    os.kill(run.helper_pid(), signal.SIGKILL)
    assert run.pipe_breaks()
    if gor.version >= (1, 3):  # lives on, deaf: who watches the pipe has to end it
        os.killpg(run.pid, signal.SIGKILL)
    assert run.wait() == (-signal.SIGKILL if gor.version >= (1, 3) else 1)
    assert run.group_is_gone()


def test_there_are_fifty_workers_and_no_more(start: Start, sink: Sink) -> None:
    sink.gate.clear()
    run = start("--output-http", sink.url, "--output-http-timeout", "60s")
    run.feed(*(get(f"/{number}") for number in range(200)))
    assert sink.wait_for(50)
    sink.gate.set()
    assert sink.wait_for(200)
    assert sink.most_in_flight == 50


# ---- responses -----------------------------------------------------------------------------------------------------


def test_tracked_responses_never_stop_gor(gor: Gor, start: Start, sink: Sink) -> None:
    """Unread they stop 1.2.0 after about 1060 sends."""
    run = start("--output-http", sink.url, "--output-http-track-response")
    for first in range(0, 3 * COUNT, 100):
        run.feed(*(get(f"/{number}") for number in range(first, first + 100)))
    least = 3 * COUNT - (3 if loses_some(gor) else 0)
    assert sink.wait_for(3 * COUNT, 5 if loses_some(gor) else PATIENCE_SECONDS) or len(sink.requests) >= least
    run.end_pipe()
    assert set(sink.targets.values()) == {1}


def test_tracked_responses_get_into_the_other_outputs(start: Start, sink: Sink) -> None:
    run = start("--output-http", sink.url, "--output-http-track-response", "--output-stdout")
    run.feed(*(get(f"/{number}") for number in range(20)))
    assert run.wait_for_lines(b"1 ", 20)
    assert run.wait_for_lines(b"3 ", 20)
    run.close()
    ids = {kind: [line.split()[1] for line in run.lines if line.startswith(kind)] for kind in (b"1 ", b"3 ")}
    assert sorted(ids[b"1 "]) == sorted(ids[b"3 "])
    assert len(set(ids[b"1 "])) == 20


# ---- the user's middleware -----------------------------------------------------------------------------------------

MIDDLEWARE = """
import sys
for line in sys.stdin.buffer:
    record = bytes.fromhex(line.decode())
    if record[:1] == b"1" and b"GET /drop" not in record:
        record = record.replace(b"X-Word: quiet", b"X-Word: LOUD")
        sys.stdout.buffer.write(record.hex().encode() + b"\\n")
        sys.stdout.buffer.flush()
"""


def middleware(tmp_path: Path, source: str) -> str:
    path = tmp_path / "middleware.py"
    path.write_text(source)
    return f"{sys.executable} {path}"


@pytest.mark.parametrize("tracked", [(), ("--output-http-track-response",)])
def test_the_users_middleware_changes_and_drops_records(
    start: Start, sink: Sink, tmp_path: Path, tracked: tuple[str, ...]
) -> None:
    run = start("--output-http", sink.url, "--middleware", middleware(tmp_path, MIDDLEWARE), *tracked)
    for number in range(100):
        run.feed(get(f"/keep/{number}", "X-Word: quiet"), get(f"/drop/{number}", "X-Word: quiet"))
    assert sink.wait_for(100)
    run.end_pipe()
    assert run.group_is_gone()
    assert set(sink.targets) == {f"/keep/{number}" for number in range(100)}
    assert {headers["X-Word"] for _, _, headers, _ in sink.requests} == {"LOUD"}


def test_the_early_end_of_the_users_middleware_ends_gor_and_is_told(
    start: Start, sink: Sink, tmp_path: Path
) -> None:
    source = "import sys; sys.stdin.readline(); sys.exit(3)"
    run = start("--output-http", sink.url, "--middleware", middleware(tmp_path, source))
    run.feed(get("/"))
    assert run.pipe_breaks()
    assert run.wait() == 1
    assert run.group_is_gone()
    run.close()
    told = [known_line(line.decode()) for line in run.lines]
    assert f"[GOR-HELPER] the middleware {sys.executable} ended with status 3: gor is ended, too" in told


# ---- what it prints ------------------------------------------------------------------------------------------------


def test_its_first_line_is_of_a_known_form(gor: Gor, start: Start, sink: Sink) -> None:
    run = start("--output-http", sink.url)
    run.feed(get("/"))
    assert sink.wait_for(1)
    run.close()
    told = [known_line(line.decode()) for line in run.lines]
    assert any(line and line.endswith(f"Version:{gor.version_text}") for line in told)


def test_nothing_of_a_bad_record_is_passed_on(start: Start, sink: Sink) -> None:
    run = start("--output-http", sink.url, "--verbose", "3")
    secret = b"GET /s3cret HTTP/1.1\r\nCookie: s3cret\r\n\r\ns3cret"
    run.write(b"zz" + secret.hex().encode() + b"\n" + secret.hex().encode() + b"\n")
    run.feed(get("/s3cret", "Cookie: s3cret"))
    assert sink.wait_for(1)
    run.close()
    told = " ".join(known for line in run.lines if (known := known_line(line.decode())))
    assert run.lines and told
    assert "s3cret" not in told and secret.hex()[:20] not in told


# ---- its faults ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skips", [False, True])
def test_it_sends_to_a_destination_whose_certificate_nobody_signed_if_the_warning_says_so(
    gor: Gor, start: Start, skips: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    secured = Sink(context)
    words = ["--output-http", secured.url, *(["--output-http-skip-verify"] if skips else []), "--verbose", "1"]
    warned = any("never verifies certificates" in fault for fault in faults(gor, parsed(*words)))
    try:
        run = start(*words)
        run.feed(get("/"))
        if warned or skips:
            assert secured.wait_for(1)
        else:
            assert run.wait_for_lines(b"[DEBUG]")
            assert not secured.requests
            assert any(b"certificate" in line for line in run.lines)
    finally:
        secured.close()


def test_a_restart_empties_the_file_as_the_warning_says(gor: Gor, start: Start, tmp_path: Path) -> None:
    words = ("--output-file", str(tmp_path / "requests.gor"), "--output-stdout")
    assert any("empties" in fault for fault in faults(gor, parsed(*words)))
    for number in range(2):
        run = start(*words)
        run.feed(get(f"/run/{number}"))
        assert run.wait_for_lines(f"GET /run/{number} ".encode())
        run.end_pipe()
    (file,) = tmp_path.iterdir()
    recorded = file.read_bytes()
    assert b"/run/1" in recorded and b"/run/0" not in recorded
