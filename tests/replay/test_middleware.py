"""The built-in replayer with real middleware programs of gor's protocol, in the forms in which people write them."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import trio

from launcher.counters import as_dict
from launcher.log import log
from launcher.poller import Poller
from launcher.replay.hex_lines import HexLines, Malformed
from launcher.replay.middleware import Middleware
from launcher.replay_protocol import Account, MiddlewareAccount, decode_line
from tests import needs
from tests.replay.by_hand import by_hand
from tests.replay.harness import ReplayerProcess, Visit, destination, get, post, replayer

ECHO = """
import sys
for line in sys.stdin:
    sys.stdout.write(line)
    sys.stdout.flush()
"""
CHANGES = """
import binascii, sys
for line in sys.stdin:
    record = bytearray.fromhex(line)
    head, newline, request = bytes(record).partition(b"\\n")
    request = request.replace(b"GET /secret", b"GET /public").replace(b"X-Traffic", b"X-More: 1\\r\\nX-Traffic")
    if b"/drop" not in request:
        print((head + newline + request).hex(), flush=True)
    if b"/double" in request:
        print((head + newline + request).hex(), end="\\n\\n", flush=True)
"""
DIES = """
import sys
for line in sys.stdin:
    if b"/die" in bytes.fromhex(line):
        sys.exit(3)
    print(line, end="", flush=True)
"""
GARBAGE = """
import sys
for number, line in enumerate(sys.stdin):
    print("no hex", "abc", b"hello".hex(), line.strip()[:-1], line.strip().upper() + "\\r", sep="\\n", flush=True)
print("cut", end="", flush=True)
"""
LEAVES_A_CHILD = """
import os, sys, time
sys.stdin.readline()
print("cut", end="", flush=True)
if not os.fork():
    time.sleep(5)
"""
SUMS_UP = """
import sys
lines = sys.stdin.readlines()
for line in reversed(lines):
    print(line, end="")
sys.stderr.write("saw %d\\n" % len(lines))
"""
DOUBLES_IN_SH = """
while read -r line; do echo "$line"; echo; echo "$line"; done
"""
DROPS_IN_AWK = r"""
{ if (index($0, "2f64726f70") == 0) { print; fflush() } }
"""  # the hex of /drop

ADDS_A_HEADER_IN_GO = """package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
)

func main() {
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\\n')
		if err != nil {
			return
		}
		record := make([]byte, hex.DecodedLen(len(line)-1))
		hex.Decode(record, line[:len(line)-1])
		record = bytes.Replace(record, []byte("\\r\\n"), []byte("\\r\\n"+os.Args[1]+"\\r\\n"), 1)
		fmt.Println(hex.EncodeToString(record))
	}
}
"""


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., str]:
    """Writes a program of one of these languages and gives the words that run it."""

    def write(source: str, *command: str) -> str:
        path = tmp_path / f"program{len(list(tmp_path.iterdir()))}"
        path.write_text(source)
        return " ".join([*(command or (sys.executable, "-I", "-S")), str(path)])

    return write


def middleware_of(line: bytes) -> MiddlewareAccount | None:
    told = decode_line(line)
    return told.middleware if isinstance(told, Account) else None


def counted(running: ReplayerProcess) -> dict[str, int]:
    """The middleware's counters at the end that are not 0, once it is held that they balance."""
    middleware = middleware_of(running.lines[-1])
    assert middleware is not None and running.final, "the last line is the final account"
    assert middleware.counters.imbalance() == 0 and middleware.waiting == 0
    for output in running.final:
        assert output.received == middleware.counters.returned
        assert sum(output.outcomes.values()) == output.received
    return {name: count for name, count in as_dict(middleware.counters).items() if count}


def children_of(pid: int) -> list[int]:
    """At least one."""
    found = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()  # the thread that forked
        for child in (task / "children").read_text().split()
    ]
    assert found
    return found


def told(name: str, count: int) -> Callable[[object], bool]:
    """For `until`: a counter of the middleware's has this value."""
    return lambda line: (
        isinstance(line, Account) and line.middleware is not None and getattr(line.middleware.counters, name) == count
    )


def restarted(times: int) -> Callable[[object], bool]:
    """For `until`: it was started again so often."""
    return lambda line: (
        isinstance(line, Account) and line.middleware is not None and line.middleware.restarts >= times
    )


def targets(requests: list[bytes]) -> list[str]:
    return [request.split(b" ")[1].decode() for request in requests]


def expected(**counters: int) -> Mapping[str, int]:
    return counters


async def test_what_is_passed_through_arrives_as_it_was(program) -> None:
    body = os.urandom(200_000)  # longer than a pipe
    options = [("middleware", program(ECHO))]
    async with destination() as served, replayer([("output-http", served.url), *options]) as running:
        await running.replay(*(get(f"/{n}") for n in range(300)), post("/big", body))
        assert await running.end() == 0
        assert sorted(targets(served.requests)) == sorted([*(f"/{n}" for n in range(300)), "/big"])
        assert any(request.endswith(b"\r\n\r\n" + body) for request in served.requests)
        assert counted(running) == expected(given=301, taken=301, returned=301)


async def test_requests_are_dropped_changed_and_doubled_and_filters_see_what_came_out(program) -> None:
    async with destination() as served:
        options = [
            ("output-http", served.url), ("http-disallow-url", "^/secret"), ("http-rewrite-url", "/public:/new"),
            ("middleware", program(CHANGES)),
        ]  # fmt: skip
        async with replayer(options) as running:
            await running.replay(get("/secret"), get("/drop"), get("/double"), get("/drop/2"))
            assert await running.end() == 0
            assert sorted(targets(served.requests)) == ["/double", "/double", "/new"]
            assert counted(running) == expected(given=4, taken=4, returned=3)


@pytest.mark.parametrize(
    ("source", "command", "arrived"),
    [
        (DOUBLES_IN_SH, ["/bin/sh"], ["/1", "/1", "/drop", "/drop"]),
        (DROPS_IN_AWK, ["awk", "-f"], ["/1"]),
    ],
    ids=["sh", "awk"],
)
async def test_programs_in_sh_and_awk_run(program, source: str, command: list[str], arrived: list[str]) -> None:
    options = [("middleware", "  ".join(program(source, *command).split(" ")))]
    async with destination() as served, replayer([("output-http", served.url), *options]) as running:
        await running.replay(get("/1"), get("/drop"))
        assert await running.end() == 0
        assert sorted(targets(served.requests)) == arrived
        assert counted(running) == expected(given=2, taken=2, returned=len(arrived))


async def test_a_program_in_go_runs(tmp_path: Path) -> None:
    if not shutil.which("go"):
        needs.unavailable("there is no go", needs.GO)
    (tmp_path / "main.go").write_text(ADDS_A_HEADER_IN_GO)
    await trio.run_process(["go", "build", "-o", "added", "main.go"], cwd=tmp_path, env={**os.environ, "GOFLAGS": ""})
    options = [("middleware", f"{tmp_path}/added X-Added:yes")]
    async with destination() as served, replayer([("output-http", served.url), *options]) as running:
        await running.replay(*(post(f"/{n}", bytes(n * 1000)) for n in range(100)))
        assert await running.end() == 0
        assert sorted(targets(served.requests)) == sorted(f"/{n}" for n in range(100))
        assert all(b"\r\nX-Added:yes\r\n" in request for request in served.requests)
        assert counted(running) == expected(given=100, taken=100, returned=100)


async def test_with_split_output_each_line_goes_to_one_output(program) -> None:
    options = [("output-null", "true"), ("output-stdout", "true"), ("split-output", "true")]
    async with replayer([*options, ("middleware", program(ECHO))]) as running:
        await running.replay(*(get(f"/{n}") for n in range(10)))
        assert await running.end() == 0
        assert [output.received for output in running.final] == [5, 5]


async def test_what_is_printed_only_at_the_end_of_input_arrives_and_what_it_says_is_passed_on(program) -> None:
    options = [("middleware", program(SUMS_UP))]
    async with destination() as served, replayer([("output-http", served.url), *options]) as running:
        await running.replay(*(get(f"/{n}") for n in range(20)))
        assert await running.end() == 0
        assert sorted(targets(served.requests)) == sorted(f"/{n}" for n in range(20))
        assert counted(running) == expected(given=20, taken=20, returned=20)
        assert 'at=middleware-says level=info line="saw 20"' in await running.stderr()


async def test_lines_that_are_no_record_are_counted_and_said_once(program) -> None:
    async with replayer([("output-null", "true"), ("middleware", program(GARBAGE))]) as running:
        await running.replay(*(get(f"/{n}") for n in range(50)))
        assert await running.end() == 0
        assert counted(running) == expected(given=50, taken=50, returned=50, malformed=4 * 50 + 1)
        said = [line for line in (await running.stderr()).splitlines() if "at=middleware-malformed" in line]
        assert len(said) == 2 and sum(int(line.split(" lines=")[1].split()[0]) for line in said) == 201


async def test_a_program_that_dies_is_started_again(program) -> None:
    async with destination() as served:
        options = [("output-http", served.url), ("middleware", program(DIES))]
        async with replayer(options) as running:
            for round_ in range(3):
                await running.replay(get(f"/{round_}"))
                await running.until(told("returned", round_ + 1))
                await running.replay(get("/die"))
                await running.until(restarted(round_ + 1))
            await running.replay(get("/last"))
            await running.until(told("returned", 4))
            assert await running.end() == 0
            assert sorted(targets(served.requests)) == ["/0", "/1", "/2", "/last"]
            assert counted(running) == expected(given=7, taken=7, returned=4)
            said = await running.stderr()
            assert "at=middleware-restart" in said and "status=3 attempt=3" in said


async def test_what_a_killed_program_had_not_read_is_lost_and_nothing_is_sent_twice(program) -> None:
    """It reads one line and then nothing: the pipe is full of records when it is killed."""
    source = "import os, sys, time\nsys.stderr.write(f'pid={os.getpid()}\\n')\nos.read(0, 1)\ntime.sleep(999)\n"
    async with replayer([("output-null", "true"), ("middleware", program(source))], queue_bytes=100_000) as running:
        await running.replay(*(post(f"/{n}", bytes(1000)) for n in range(200)))
        await running.until(lambda line: isinstance(line, Account) and line.middleware is not None
                            and line.middleware.counters.dropped_full > 0)  # fmt: skip
        assert await running.end(drain_seconds=0.5) == 0
        counters = counted(running)
        assert counters["given"] == 200 and counters.get("taken", 0) == 0 and counters.get("returned", 0) == 0
        assert counters["lost"] >= 20 and counters["dropped_shutdown"] > 0 and counters["dropped_full"] > 0
        said = await running.stderr()
        assert "at=middleware-killed" in said
        pid = int(said.split("pid=")[1].split()[0].strip('"'))
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("descriptor", [0, 1], ids=["input", "output"])
async def test_a_program_that_closes_its_input_or_output_is_replaced(program, descriptor: int) -> None:
    source = f"import os, sys, time\nline = sys.stdin.buffer.readline()\nos.close({descriptor})\ntime.sleep(999)\n"
    async with replayer([("output-null", "true"), ("middleware", program(source))]) as running:
        await running.replay(get())
        await running.until(restarted(1))
        assert await running.end(drain_seconds=2) == 0
        assert counted(running)["given"] == 1
        assert "at=middleware-killed" in await running.stderr()


async def test_under_the_launcher_a_program_that_is_not_there_costs_its_copies_only() -> None:
    async with replayer([("output-null", "true"), ("middleware", "/no/such/program secret")]) as running:
        await running.replay(get(), get())
        await running.until(told("given", 2))
        assert await running.end() == 0
        assert counted(running) == expected(given=2, dropped_shutdown=2)
        said = await running.stderr()
        assert 'program=/no/such/program error="/no/such/program: no such file"' in said
        assert "secret" not in said and "Traceback" not in said


async def test_signals_to_all_processes_do_not_end_the_program_before_the_drain(program) -> None:
    async with replayer([("output-null", "true"), ("middleware", program(ECHO))]) as running:
        await running.replay(get())
        await running.until(told("returned", 1))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            for pid in children_of(running.process.pid):
                os.kill(pid, number)
        await running.replay(get())
        assert await running.end() == 0
        assert counted(running) == expected(given=2, taken=2, returned=2)


@pytest.mark.parametrize("null", [[], [("output-null", "true")]], ids=["http alone", "with an output for answers"])
async def test_it_gets_the_answers_of_the_last_requests_too(program, null: list[tuple[str, str]]) -> None:
    source = f"{ECHO}    if line.startswith('33'):\n        sys.stderr.write('answer\\n')\n"
    async with destination() as served:
        tracked = [("output-http", served.url), ("output-http-track-response", "true"), *null]
        async with replayer([*tracked, ("middleware", program(source))]) as running:
            await running.replay(*(get(f"/{n}") for n in range(20)))
            assert await running.end() == 0
            middleware = middleware_of(running.lines[-1])
            assert middleware is not None and middleware.counters.imbalance() == 0
            assert (middleware.counters.given, middleware.counters.taken, middleware.counters.returned) == (40, 40, 40)
            assert (await running.stderr()).count("line=answer") == 20
            assert [output.received for output in running.final] == ([40, 20] if null else [20])


# ---- by hand -------------------------------------------------------------------------------------------------------


async def test_by_hand_a_program_that_is_not_there_is_one_line_and_status_2() -> None:
    words = ["--input-http", "127.0.0.1:0", "--output-null", "--middleware", "no-such-program secret"]
    async with by_hand(*words) as running:
        assert await running.end() == 2
        assert running.said == "Error: --middleware can't be started: no-such-program: not found on PATH\n"


async def test_by_hand_what_the_program_holds_at_sigterm_is_sent_and_the_summary_has_its_line(program) -> None:
    source = SUMS_UP
    async with destination() as served:
        words = ["--input-http", "127.0.0.1:0", "--to", served.url, "--middleware", program(source)]
        async with by_hand(*words) as running:
            async with await trio.open_tcp_stream("127.0.0.1", await running.port()) as stream:
                await stream.send_all(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
            running.process.send_signal(signal.SIGTERM)
            assert await running.end() == 0
            assert targets(served.requests) == ["/held"]
            names = ("given", "taken", "returned", "lost", "dropped_full", "dropped_shutdown", "malformed")
            assert [running.final("middleware", name) for name in names] == [1, 1, 1, 0, 0, 0, 0]


async def test_a_second_sigint_does_not_wait_for_a_program_that_is_stuck(program) -> None:
    words = ["--input-http", "127.0.0.1:0", "--output-null", "--middleware", "sleep 999"]
    async with by_hand(*words) as running:
        async with await trio.open_tcp_stream("127.0.0.1", await running.port()) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
        running.process.send_signal(signal.SIGINT)
        await running.until("then=drain")
        running.process.send_signal(signal.SIGINT)
        assert await running.end() == 130
        assert (running.final("middleware", "given"), running.final("middleware", "lost")) == (1, 1)


async def test_a_slow_destination_and_a_slow_program_do_not_hold_each_other(program) -> None:
    async def hang(visit: Visit) -> None:
        await visit.request()
        await trio.sleep_forever()

    async with destination(hang) as stuck, destination() as served:
        options = [("output-http", stuck.url), ("output-http", served.url), ("middleware", program(ECHO))]
        async with replayer(options) as running:
            await running.replay(*(get(f"/{n}") for n in range(200)))
            assert await running.end(drain_seconds=1) == 0
            assert len(served.requests) == 200
            assert running.final[0].outcomes == {"unsent": 200} and running.final[1].outcomes == {"2xx": 200}
            assert counted(running) == expected(given=200, taken=200, returned=200)


# ---- lines ---------------------------------------------------------------------------------------------------------

RECORD = b"1 abc 5 -1\nGET / HTTP/1.1\r\n\r\n"
HEX = RECORD.hex().encode()


def read_in(pieces: list[bytes], max_bytes: int = 1000) -> list[object]:
    reader = HexLines(max_bytes)
    found = [each for piece in pieces for each in reader.receive(piece)] + reader.receive_eof()
    return ["malformed" if isinstance(each, Malformed) else each for each in found]


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (HEX + b"\n", [RECORD]),
        (HEX.upper() + b"\r\n\n\r\n" + HEX + b"\n", [RECORD, RECORD]),
        (HEX, ["malformed"]),
        (HEX[:-1] + b"\n" + HEX + b"\n", ["malformed", RECORD]),
        (b"00" * 501 + b"\n" + HEX + b"\n", ["malformed", RECORD]),
        (b"4 abc 5 -1\n".hex().encode() + b"\n" + b"1 abc 5 -1".hex().encode() + b"\n", ["malformed", "malformed"]),
        (b"\xff\xfe\n \n", ["malformed"]),
        (b"2 abc 5 7\nHTTP/1.1 200 OK\r\n\r\n".hex().encode() + b"\n", [b"2 abc 5 7\nHTTP/1.1 200 OK\r\n\r\n"]),
    ],
)
def test_lines_are_read_in_every_split(stream: bytes, found: list[object]) -> None:
    assert read_in([stream]) == found
    assert read_in([bytes([byte]) for byte in stream]) == found
    for cut in range(len(stream)):
        assert read_in([stream[:cut], stream[cut:]]) == found


def test_a_line_takes_the_memory_of_its_bytes_however_they_come() -> None:
    reader = HexLines(10**6)
    tracemalloc.start()
    for number in range(300_000):
        assert not reader.receive(b"%02x" % (number % 256))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 600_000


async def test_the_last_line_of_a_program_whose_child_keeps_its_output_open_is_counted(
    program: Callable[..., str],
) -> None:
    async with replayer([("output-null", "true"), ("middleware", program(LEAVES_A_CHILD))]) as running:
        await running.replay(get())
        assert await running.end() == 0
        assert counted(running) == {"given": 1, "taken": 1, "malformed": 1}
        assert "the last line has no end" in await running.stderr()


async def test_a_defect_costs_one_line_of_a_program_and_is_told(
    program: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    emitted: list[bytes] = []

    def emit(record: bytes) -> None:
        emitted.append(record)
        if len(emitted) == 1:
            raise KeyError("secret")

    poller = Poller()
    middleware = Middleware(program(ECHO).split(), poller, 1024**2, emit)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            nursery.start_soon(middleware.run)
            middleware.give(get("/1"))
            middleware.give(get("/2"))
            await middleware.finish(10)
            nursery.cancel_scope.cancel()
    middleware.tell_failures()
    log.close()
    assert [record.split()[5] for record in emitted] == [b"/1", b"/2"]
    counters = middleware.account().counters
    assert (counters.returned, counters.malformed) == (1, 1)
    said = capfd.readouterr().err
    assert "KeyError in test_middleware.py:" in said and "secret" not in said
