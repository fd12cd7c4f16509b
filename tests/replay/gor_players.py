"""The same records through a real gor and through the built-in replayer, and what arrives, as raw bytes.

Both send with one worker, so that what comes last is sent last: the markers, which pass every filter. Their arrival
says that nothing else is on its way. gor gets its records as a middleware's output, the replayer on its standard input.
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from launcher.gor.binary import Gor
from launcher.gor.flags import Word, parse_flags
from launcher.records import frame
from launcher.replay.record_format import SEPARATOR
from launcher.replay_protocol import Account, Closing, decode_line
from tests.replay.harness import PROGRAM, ROOT, settings

PATIENCE_SECONDS = 40.0  # a wait so long has failed
ONE_WORKER = ("--output-http-workers", "1", "--output-http-workers-min", "1")
MARKER = "marker"
STDOUT = "stdout"

_NAME = re.compile(rb"\r\nX-Case: ([^\r\n]*)\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_META = re.compile(rb"(?m)^1 [0-9a-f]{24} [0-9]+ -1\n")  # a record's first line
_CHUNKS = re.compile(rb"(?s)(?:[0-9a-f]+[^\r\n]*\r\n.*?\r\n)*?0[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n", re.IGNORECASE)

Answer = Callable[[bytes], bytes]  # a raw request -> the raw answer
Arrivals = Mapping[str, Sequence[Sequence[bytes]]]  # a record's name -> for each output what arrived of it


def ok(request: bytes) -> bytes:
    """An answer without a body: 1.3.2 keeps the connection then."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def name_of(request: bytes) -> str:
    """Which record a request, or a record, is of."""
    match = _NAME.search(request)
    assert match, f"a request without a name: {request!r}"
    return match[1].decode()


class RawSink:
    """A destination that keeps every request as it came: a thread a connection."""

    def __init__(self, answer: Answer = ok) -> None:
        self.requests: list[bytes] = []
        self._changed = threading.Condition()
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._connections: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        held = b""
        try:
            while data := connection.recv(65536):
                held += data
                while end := request_end(held):
                    request, held = held[:end], held[end:]
                    with self._changed:
                        self.requests.append(request)
                        self._changed.notify_all()
                    connection.sendall(self._answer(request))
        except OSError:
            pass  # a gor that is killed resets
        finally:
            connection.close()

    def wait_for(self, condition: Callable[[Sequence[bytes]], bool]) -> None:
        """Waits until the requests that have arrived fulfil it."""
        with self._changed:
            done = self._changed.wait_for(lambda: condition(self.requests), PATIENCE_SECONDS)
        assert done, f"not in time; {len(self.requests)} arrived, the last: {self.requests[-1:]!r}"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def request_end(held: bytes) -> int:
    """The length of the whole request that starts there; 0 if it is not whole."""
    end = held.find(b"\r\n\r\n") + 4
    if end < 4:
        return 0
    head = held[:end]
    if _CHUNKED.search(head):
        chunks = _CHUNKS.match(held, end)
        return chunks.end() if chunks else 0
    length = _LENGTH.search(head)
    end += int(length[1]) if length else 0
    return end if len(held) >= end else 0


@dataclass(frozen=True)
class Play:
    """What is played: words with `{0}`, `{1}` for the destinations, and the records, markers last."""

    words: Sequence[str]
    records: Sequence[bytes] = field(repr=False)
    markers: Sequence[bytes] = field(repr=False)
    destinations: int = 1
    has_stdout: bool = False
    is_split: bool = False
    answer: Answer = ok

    @property
    def markers_each(self) -> int:
        """How many of the markers reach each output."""
        return 1 if self.is_split else len(self.markers)

    def placed(self, sinks: Sequence[RawSink]) -> list[str]:
        return [re.sub(r"\{(\d)\}", lambda match: sinks[int(match[1])].url, word) for word in self.words]


@contextmanager
def sinks(play: Play) -> Iterator[list[RawSink]]:
    with ExitStack() as stack:
        sinks = [RawSink(play.answer) for _ in range(play.destinations)]
        for sink in sinks:
            stack.callback(sink.close)
        yield sinks


def play_ours(play: Play) -> tuple[Arrivals, list[str]]:
    """What the built-in replayer sends, and the destinations' addresses."""
    with sinks(play) as reached:
        given, _ = parse_flags([Word(word, word, "test") for word in (*play.placed(reached), *ONE_WORKER)])
        account_out, account_in = os.pipe()
        try:
            process = subprocess.Popen(
                [*PROGRAM, "--launcher-pipe", str(account_in)], cwd=ROOT, pass_fds=[account_in],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        finally:
            os.close(account_in)
        frames = [settings([(option.name, option.value) for option in given])]
        frames += [frame(record) for record in (*play.records, *play.markers)]
        frames += [frame(b""), frame(Closing(20).encode())]
        printed, said = process.communicate(b"".join(frames), PATIENCE_SECONDS)
        with os.fdopen(account_out, "rb") as account:
            lines = account.readlines()
        assert process.returncode == 0, said.decode()
        assert not play.has_stdout or printed.endswith(SEPARATOR)
        final = decode_line(lines[-1])
        assert isinstance(final, Account) and final.final
        return _arrivals(play, reached, printed), [sink.url for sink in reached]


def play_gor(play: Play, gor: Gor, folder: Path) -> tuple[Arrivals, list[str]]:
    """What gor sends, and the destinations' addresses."""
    with (
        sinks(play) as reached,
        running_gor(gor, play.placed(reached), [*play.records, *play.markers], folder) as process,
    ):
        marks = f"X-Case: {MARKER}".encode()

        def is_done(requests: Iterable[bytes]) -> bool:
            return sum(marks in request for request in requests) >= play.markers_each

        printed = read_until(process, lambda data: is_done(records_of(data))) if play.has_stdout else b""
        for sink in reached:
            sink.wait_for(is_done)
        return _arrivals(play, reached, printed), [sink.url for sink in reached]


def records_of(printed: bytes) -> list[bytes]:
    """The whole records on a standard output, all but what 1.2 ends them with: a newline, without the monkeys."""
    if SEPARATOR in printed:
        return printed.split(SEPARATOR)[:-1]
    starts = [match.start() for match in _META.finditer(printed)] + [len(printed)]
    whole = [printed[start:end] for start, end in pairwise(starts)]
    return [record.removesuffix(b"\n") for record in whole if record.endswith(b"\n")]


@contextmanager
def running_gor(
    gor: Gor, words: Sequence[str], records: Sequence[bytes], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A gor that gets these records at its start. It never ends by itself: its middleware stays open."""
    file = folder / "records.hex"
    file.write_text("".join(record.hex() + "\n" for record in records))
    command = [str(gor.path), "--input-dummy", "|0", "--middleware", f"tail -c +1 -f {file}", *words, *ONE_WORKER]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def read_until(process: subprocess.Popen[bytes], condition: Callable[[bytes], bool]) -> bytes:
    """Reads a process's standard output until it fulfils the condition."""
    assert process.stdout is not None
    printed = b""
    while not condition(printed):
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE_SECONDS)
        data = os.read(process.stdout.fileno(), 65536) if ready else b""
        assert data, f"it printed no more in time: {printed[-300:]!r}"
        printed += data
    return printed


def _arrivals(play: Play, sinks: Sequence[RawSink], printed: bytes) -> Arrivals:
    outputs = [list(sink.requests) for sink in sinks]
    if play.has_stdout:
        outputs.append(records_of(printed))
    arrivals: dict[str, list[list[bytes]]] = {}
    for index, requests in enumerate(outputs):
        for request in requests:
            arrivals.setdefault(name_of(request), [[] for _ in outputs])[index].append(request)
    marked = arrivals.pop(MARKER, [[] for _ in outputs])
    assert [len(each) for each in marked] == [play.markers_each] * len(outputs), f"markers have been lost: {marked}"
    return arrivals
