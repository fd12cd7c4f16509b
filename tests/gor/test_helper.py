"""The stand-alone helper, run as gor runs it, by a stand-in for gor that the tests can look into."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.gor.folder import make_place
from launcher.gor.helper import Lines
from tests.pythons import supported_pythons

HELPER = Path(__file__).parent.parent.parent / "launcher" / "gor" / "helper.py"
PATIENCE_SECONDS = 20.0

# Starts the helper as its child, between three pipes of the test's, and tells when SIGTERM comes. As gor does, it
# keeps the writing end of the helper's standard input for as long as it lives.
STAND_IN = """
import os, signal, subprocess, sys, time
responses_in, responses_out = os.pipe()
os.set_inheritable(responses_in, True)
helper = subprocess.Popen(sys.argv[1:], stdin=responses_in, stdout=1, stderr=2)
os.close(responses_in)
def ended(number, frame):
    os.write(2, b"SIGTERM\\n")
    os._exit(1)
signal.signal(signal.SIGTERM, ended)
os.write(2, b"helper %d\\n" % helper.pid)
while chunk := os.read(0, 65536):
    os.write(responses_out, chunk)
while True:  # pause() would miss a signal that comes just before it
    time.sleep(0.05)
"""


class StandIn:
    """A gor of a few lines: `gor_input` is what the helper gave it, `respond` what gor gives the helper."""

    def __init__(self, fifo: Path, *words: str, python: str = sys.executable) -> None:
        os.mkfifo(fifo, 0o600)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", STAND_IN, python, "-I", "-S", "-u", str(HELPER), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )
        self.pid = self._process.pid
        line = self._process.stderr.readline()
        self.helper_pid = int(line.split()[1])
        self.fifo = open_for_writing(fifo)
        fifo.unlink()

    def write(self, data: bytes) -> None:
        os.set_blocking(self.fifo, True)
        view = memoryview(data)
        while view:
            view = view[os.write(self.fifo, view) :]

    def close_fifo(self) -> None:
        os.close(self.fifo)
        self.fifo = -1

    def respond(self, data: bytes) -> None:
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def read_line(self) -> bytes:
        return self._process.stdout.readline()

    def read_to_end(self) -> tuple[bytes, str]:
        """All that gor and the log would have got, once helper and stand-in are gone."""
        output, errors = self._process.communicate(timeout=PATIENCE_SECONDS)
        return output, errors.decode()

    def error_line(self) -> str:
        return self._process.stderr.readline().decode().rstrip("\n")

    def close(self) -> None:
        if self.fifo >= 0:
            os.close(self.fifo)
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            stream.close()


def open_for_writing(fifo: Path) -> int:
    """As the launcher does: without blocking, until there is a reader."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.002)
    raise AssertionError("nobody opened the pipe for reading")


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    return tmp_path / "fifo"


@pytest.fixture
def helper(fifo: Path) -> Iterator[StandIn]:
    stand_in = StandIn(fifo, str(fifo))
    yield stand_in
    stand_in.close()


def program(tmp_path: Path, source: str) -> list[str]:
    """A user's middleware, as words without spaces in them."""
    path = tmp_path / "middleware.py"
    path.write_text("import sys, os, time\n" + source)
    return [sys.executable, "-u", str(path)]


@pytest.mark.parametrize("size", [1, 65536, 1_000_003])
def test_what_is_written_into_the_pipe_reaches_gor_byte_for_byte(helper: StandIn, size: int) -> None:
    data = os.urandom(size).hex().encode() + b"\n"
    writer = threading.Thread(target=helper.write, args=(data,))
    writer.start()
    assert helper.read_line() == data
    writer.join()


def test_the_end_of_the_pipe_ends_gor_after_all_was_passed_on(helper: StandIn) -> None:
    helper.write(b"aa\n" * 100)
    helper.close_fifo()
    output, errors = helper.read_to_end()
    assert output == b"aa\n" * 100
    assert errors == "SIGTERM\n"


@pytest.mark.parametrize("python", supported_pythons())
def test_it_runs_on_each_python(fifo: Path, tmp_path: Path, python: str) -> None:
    for words in ([], ["--echo-responses"], ["cat"]):
        helper = StandIn(fifo, str(fifo), *words, python=python)
        helper.write(b"aa\n")
        helper.close_fifo()
        output, errors = helper.read_to_end()
        helper.close()
        assert (output, errors) == (b"aa\n", "SIGTERM\n")


def test_the_end_of_gor_ends_the_helper(helper: StandIn) -> None:
    os.kill(helper.pid, signal.SIGKILL)
    output, errors = helper.read_to_end()  # ends only when the helper's copies of these are closed
    assert (output, errors) == (b"", "")
    with pytest.raises(BrokenPipeError):
        os.write(helper.fifo, b"aa\n")


def test_a_gor_that_ignores_sigterm_is_killed(helper: StandIn) -> None:
    os.kill(helper.pid, signal.SIGSTOP)  # a stopped process takes no SIGTERM
    helper.close_fifo()
    helper.read_to_end()
    assert helper._process.returncode == -signal.SIGKILL


def test_responses_are_read_and_thrown_away(helper: StandIn) -> None:
    for _ in range(64):
        helper.respond(b"33" * 65536 + b"\n")
    helper.write(b"aa\n")
    assert helper.read_line() == b"aa\n"
    helper.close_fifo()
    assert helper.read_to_end()[0] == b""


def test_a_launcher_that_never_opens_the_pipe_leaves_no_gor_behind(tmp_path: Path) -> None:
    source = HELPER.read_text().replace("OPENING_SECONDS = 30.0", "OPENING_SECONDS = 0.2")
    assert "OPENING_SECONDS = 0.2" in source
    place = make_place(source.encode(), [str(tmp_path)])
    words = [sys.executable, "-I", "-S", "-c", STAND_IN, *place.helper]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert errors.decode().splitlines()[1:] == ["SIGTERM"]
    assert list(tmp_path.iterdir()) == [], "the launcher's folder is left behind"


@pytest.mark.parametrize("extra", [None, "of somebody else"])
def test_the_folder_of_a_launcher_that_was_killed_before_it_removed_it_goes_with_gor(
    tmp_path: Path, extra: str | None
) -> None:
    python = tmp_path / "my python"
    python.symlink_to(sys.executable)
    place = make_place(HELPER.read_bytes(), [str(tmp_path)], python=str(python))
    if extra:
        (place.folder / extra).touch()
    words = [sys.executable, "-I", "-S", "-c", STAND_IN, *place.helper]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        os.close(open_for_writing(place.fifo))
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert errors.decode().splitlines()[1:] == ["SIGTERM"]
    assert python.is_symlink()
    assert [path.name for path in place.folder.glob("*")] == ([extra] if extra else [])
    assert place.folder.exists() is bool(extra)


def test_a_folder_that_is_no_launcher_s_stays(fifo: Path, helper: StandIn) -> None:
    os.mkfifo(fifo)
    helper.write(b"aa\n")
    helper.close_fifo()
    helper.read_to_end()
    assert fifo.is_fifo()


def test_a_vanished_pipe_ends_gor_with_one_line(tmp_path: Path) -> None:
    words = [sys.executable, "-I", "-S", "-c", STAND_IN, sys.executable, "-I", "-S", str(HELPER), f"{tmp_path}/gone"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    told = errors.decode().splitlines()[1:]
    assert len(told) == 2 and told[0].startswith("[GOR-HELPER] FileNotFoundError") and told[1] == "SIGTERM"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_it_takes_ten_megabytes_at_most(helper: StandIn) -> None:
    for _ in range(100):
        helper.write(b"aa" * 32768 + b"\n")
        helper.read_line()
    status = Path(f"/proc/{helper.helper_pid}/status").read_text()
    peak_kib = int(status.partition("VmHWM:")[2].split()[0])
    assert peak_kib < 12 * 1024  # 9.5 MB with Python 3.12; shared libraries differ from build to build


# ---- responses that are kept --------------------------------------------------------------------------------------


@pytest.fixture
def echoing(fifo: Path) -> Iterator[StandIn]:
    stand_in = StandIn(fifo, str(fifo), "--echo-responses")
    yield stand_in
    stand_in.close()


def test_responses_go_back_to_gor_between_the_lines_of_the_pipe(echoing: StandIn) -> None:
    echoing.write(b"aa")
    echoing.respond(b"33\n")
    assert echoing.read_line() == b"33\n"
    echoing.write(b"bb\n")
    assert echoing.read_line() == b"aabb\n"


def test_a_response_that_comes_in_pieces_is_passed_on_whole(echoing: StandIn) -> None:
    echoing.respond(b"33")
    echoing.write(b"aa\n")
    assert echoing.read_line() == b"aa\n"
    echoing.respond(b"44\n")
    assert echoing.read_line() == b"3344\n"


def test_a_response_over_the_bound_is_left_out_and_the_next_one_is_not(echoing: StandIn) -> None:
    echoing.respond(b"33" * (3 * 1024 * 1024) + b"\n" + b"44\n")
    assert echoing.read_line() == b"44\n"


def test_responses_that_nobody_takes_are_dropped_and_gor_is_never_stopped(echoing: StandIn) -> None:
    line = b"33" * 32768 + b"\n"
    for _ in range(200):  # 13 MB into a reader that reads nothing; a helper that waited would stop this loop for ever
        echoing.respond(line)
    assert echoing.error_line() == "[GOR-HELPER] responses come faster than they are read: some are dropped"
    echoing.write(b"aa\n")
    read = [echoing.read_line()]
    while read[-1] != b"aa\n":
        read.append(echoing.read_line())
    assert set(read[:-1]) == {line} and len(read) < 200


# ---- the user's middleware ----------------------------------------------------------------------------------------


def start(fifo: Path, words: list[str]) -> StandIn:
    return StandIn(fifo, str(fifo), *words)


def test_the_users_program_stands_between_the_pipe_and_gor(fifo: Path, tmp_path: Path) -> None:
    helper = start(fifo, program(tmp_path, "for line in sys.stdin: print(line.strip().upper())"))
    helper.write(b"aa\nbb\n")
    helper.close_fifo()
    output, errors = helper.read_to_end()
    helper.close()
    assert (output, errors) == (b"AA\nBB\n", "SIGTERM\n")


def test_the_users_program_gets_gors_responses_as_lines_of_their_own(fifo: Path, tmp_path: Path) -> None:
    helper = start(fifo, program(tmp_path, "for line in sys.stdin: print('<' + line.strip() + '>')"))
    helper.write(b"aa")
    helper.respond(b"33\n")
    first = helper.read_line()
    helper.write(b"bb\n")
    second = helper.read_line()
    helper.close()
    assert (first, second) == (b"<33>\n", b"<aabb>\n")


def test_the_users_program_never_gets_half_a_line(fifo: Path, tmp_path: Path) -> None:
    helper = start(fifo, program(tmp_path, "for line in sys.stdin: print('<' + line.strip() + '>')"))
    helper.write(b"aa\nhalf")
    helper.close_fifo()
    output, _ = helper.read_to_end()
    helper.close()
    assert output == b"<aa>\n"


def test_a_program_that_stops_reading_stops_neither_responses_nor_the_end(fifo: Path, tmp_path: Path) -> None:
    helper = start(fifo, program(tmp_path, "print(sys.stdin.readline().strip()); time.sleep(600)"))
    helper.write(b"aa\n")
    assert helper.read_line() == b"aa\n"
    for _ in range(200):
        helper.respond(b"33" * 32768 + b"\n")
    os.kill(helper.pid, signal.SIGKILL)
    helper.read_to_end()  # ends only when helper and program are gone
    helper.close()


@pytest.mark.parametrize(
    ("source", "how"),
    [
        ("print(sys.stdin.readline().strip()); sys.exit(3)", "ended with status 3"),
        ("print(sys.stdin.readline().strip()); sys.exit(0)", "ended with status 0"),
        ("print(sys.stdin.readline().strip()); os.kill(os.getpid(), 9)", "was ended by signal 9"),
    ],
)
def test_the_early_end_of_the_users_program_ends_gor_and_is_told(
    fifo: Path, tmp_path: Path, source: str, how: str
) -> None:
    words = program(tmp_path, source)
    helper = start(fifo, words)
    helper.write(b"aa\n")
    output, errors = helper.read_to_end()
    helper.close()
    assert output == b"aa\n"
    assert errors.splitlines() == [f"[GOR-HELPER] the middleware {words[0]} {how}: gor is ended, too", "SIGTERM"]


def test_a_program_that_goes_on_after_the_end_of_its_input_is_killed(fifo: Path, tmp_path: Path) -> None:
    helper = start(fifo, program(tmp_path, "sys.stdin.read(); print('read', flush=True); time.sleep(600)"))
    helper.close_fifo()
    output, errors = helper.read_to_end()
    helper.close()
    assert (output, errors) == (b"read\n", "SIGTERM\n")


def test_what_the_users_program_says_is_told_line_by_line(fifo: Path, tmp_path: Path) -> None:
    helper = start(fifo, program(tmp_path, "print('oops\\n\\nno newline', end='', file=sys.stderr); sys.stdin.read()"))
    helper.close_fifo()
    _, errors = helper.read_to_end()
    helper.close()
    assert errors.splitlines() == ["[MIDDLEWARE] oops", "[MIDDLEWARE] no newline", "SIGTERM"]


def test_a_program_that_cannot_be_started_ends_gor_and_is_told(tmp_path: Path) -> None:
    words = [sys.executable, "-I", "-S", str(HELPER), str(tmp_path / "fifo"), "/no/such/program", "--token=s3cret"]
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", STAND_IN, *words],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert errors.decode().splitlines()[1:] == [
        "[GOR-HELPER] can't start the middleware /no/such/program: No such file or directory", "SIGTERM",
    ]


def test_the_users_program_has_the_default_dispositions(fifo: Path, tmp_path: Path) -> None:
    words = ["/bin/sh", str(tmp_path / "sh")]
    (tmp_path / "sh").write_text("grep -E '^SigIgn' /proc/self/status; cat >/dev/null\n")
    helper = start(fifo, words)
    line = helper.read_line()
    helper.close()
    assert int(line.split()[1], 16) & (1 << 12 | 1 << 24) == 0


# ---- Lines --------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"x")), max_size=8), st.data())
def test_lines_come_out_whole_however_they_are_split(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines) + b"rest"
    cutter = Lines(max_bytes=6)
    blocks = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        blocks.append(cutter.receive(stream[:size]))
        stream = stream[size:]
    out = b"".join(blocks)
    assert all(not block or block.endswith(b"\n") for block in blocks)
    kept = out.split(b"\n")[:-1]
    assert [line for line in lines if len(line) <= 6] == [line for line in kept if len(line) <= 6]
    assert all(line in lines for line in kept)
