"""The replayer as a process: its two pipes, signals, the drain, and what it refuses."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess

import pytest
import trio

from launcher.records import frame
from launcher.replay.record_format import SEPARATOR
from launcher.replay_protocol import MAX_FRAME_BYTES, Account, DestinationFailed, Ready, decode_line
from tests.replay.harness import (
    PROGRAM,
    ROOT,
    Visit,
    destination,
    get,
    has_failed,
    healthy,
    outcomes_are,
    peak_memory_bytes,
    post,
    received,
    replayer,
    settings,
)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


async def hang(visit: Visit) -> None:
    while await visit.request() is not None:
        pass


async def test_it_says_ready_with_its_outputs_in_gors_order_before_anything_else() -> None:
    options = [("output-http", "http://u:secret@127.0.0.1:9"), ("output-null", "true"), ("output-stdout", "true")]
    async with replayer(options) as replaying:
        assert await replaying.end() == 0
        ready = decode_line(replaying.lines[0])
        assert ready == Ready(replaying.process.pid, ("stdout", "null", "http://***@127.0.0.1:9"))


async def test_two_outputs_to_the_same_place_are_told_apart() -> None:
    async with destination() as served, replayer([("output-http", served.url)] * 2) as replaying:
        await replaying.replay(get())
        assert await replaying.end() == 0
        assert [output.destination for output in replaying.final] == [served.url, f"{served.url}#2"]
        assert len(served.requests) == 2


async def test_the_account_says_what_changed_while_it_runs() -> None:
    async with destination() as served, replayer([("output-http", served.url)]) as replaying:
        await replaying.replay(get())
        await replaying.until(outcomes_are(_2xx=1))
        assert await replaying.end() == 0
        assert replaying.final[0].latencies.max_seconds > 0


async def test_signals_are_ignored_until_the_pipe_ends() -> None:
    async with destination() as served, replayer([("output-http", served.url)]) as replaying:
        await replaying.until(lambda line: isinstance(line, Ready))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            replaying.process.send_signal(number)
        await replaying.replay(get("/1"), get("/2"))
        await replaying.until(outcomes_are(_2xx=2))
        replaying.process.send_signal(signal.SIGTERM)
        assert await replaying.end() == 0
        assert len(served.requests) == 2


async def test_the_launchers_death_ends_it_after_it_has_sent_what_it_got_whole() -> None:
    async with destination() as served, replayer([("output-http", served.url)]) as replaying:
        await replaying.replay(*(get(f"/{number}") for number in range(100)))
        await replaying.write(frame(get("/half"))[:-1])
        assert await replaying.end(drain_seconds=None) == 0
        assert replaying.final[0].outcomes == {"2xx": 100}
        assert sorted(request.split()[1] for request in served.requests) == sorted(b"/%d" % n for n in range(100))


async def test_what_is_not_sent_when_the_drain_is_over_is_unsent() -> None:
    async with destination(hang) as served:
        options = [("output-http", served.url), ("output-http-workers", "3"), ("output-stdout", "true")]
        async with replayer(options) as replaying:
            await replaying.replay(*(get(f"/{number}") for number in range(10)))
            assert await replaying.end(drain_seconds=0.3) == 0
            assert [output.outcomes for output in replaying.final] == [{"written": 10}, {"unsent": 10}]
            assert [output.held_bytes for output in replaying.final] == [0, 0]
            assert len(served.requests) == 3


async def test_a_queue_is_bounded_in_bytes_of_what_waits_and_what_is_under_way() -> None:
    record = post("/", bytes(1000))
    async with destination(hang) as served:
        options = [("output-http", served.url), ("output-http-timeout", "1m"), ("output-http-workers", "5")]
        async with replayer(options, queue_bytes=20 * (len(record) + 256) + 255) as replaying:
            await replaying.replay(*[record] * 100)
            assert await replaying.end(drain_seconds=0) == 0
            assert replaying.final[0].outcomes == {"queue_full": 80, "unsent": 20}


async def test_a_queue_is_bounded_in_records_by_its_own_option() -> None:
    async with destination(hang) as served:
        options = [("output-http", served.url), ("output-http-queue-len", "7"), ("output-http-workers", "1")]
        async with replayer(options) as replaying:
            await replaying.replay(get("/first"))
            await replaying.until(received(1))
            await replaying.replay(*[get()] * 20)
            assert await replaying.end(drain_seconds=0) == 0
            assert replaying.final[0].outcomes == {"queue_full": 13, "unsent": 8}


async def test_a_hung_destination_does_not_make_it_grow() -> None:
    record = post("/", bytes(1 << 20))
    async with (
        destination(hang) as served,
        replayer([("output-http", served.url)], queue_bytes=8 << 20) as replaying,
    ):
        await replaying.replay(get())
        await replaying.until(received(1))
        before = peak_memory_bytes(replaying.process.pid)
        for _ in range(200):
            await replaying.replay(record)
        await replaying.until(received(201))
        assert peak_memory_bytes(replaying.process.pid) - before < 40 << 20


async def test_standard_output_gets_records_in_gors_form_with_their_headers_set() -> None:
    options = [("output-stdout", "true"), ("http-set-header", "X-New: 1")]
    async with replayer(options, stdout=subprocess.PIPE) as replaying:
        record = post("/a", b"body")
        await replaying.replay(record, record)
        assert await replaying.end() == 0
        assert replaying.process.stdout is not None
        written = b"".join([bytes(data) async for data in replaying.process.stdout])
        assert written == (record.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nX-New: 1\r\n") + SEPARATOR) * 2
        assert replaying.final[0].outcomes == {"written": 2}


async def test_a_stuck_standard_output_costs_its_own_copies_only() -> None:
    async with destination() as served:
        options = [("output-stdout", "true"), ("output-http", served.url)]
        async with replayer(options, stdout=subprocess.PIPE) as replaying:
            await replaying.replay(*[post("/", bytes(50_000))] * 40)
            await replaying.until(lambda line: isinstance(line, Account) and line.outputs[1].outcomes == {"2xx": 40})
            assert await replaying.end(drain_seconds=0.1) == 0
            stdout, http = replaying.final
            assert http.outcomes == {"2xx": 40}
            assert set(stdout.outcomes) <= {"written", "unsent"} and stdout.outcomes["unsent"] >= 38
            assert sum(stdout.outcomes.values()) == stdout.received == 40


async def test_a_closed_standard_output_is_a_failed_write() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        async with replayer([("output-stdout", "true")], stdout=writer) as replaying:
            await replaying.replay(get(), get())
            assert await replaying.end() == 0
            assert replaying.final[0].outcomes == {"write_failed": 2}
    finally:
        os.close(writer)


async def test_an_account_that_nobody_reads_stops_nothing() -> None:
    account_out, account_in = os.pipe()
    fcntl.fcntl(account_in, 1031, 4096)  # F_SETPIPE_SZ; the constant is not in Python 3.10 everywhere
    os.write(account_in, bytes(4096))
    async with (
        destination() as served,
        replayer([("output-http", served.url)], account_pipe=(account_out, account_in)) as replaying,
    ):
        await replaying.replay(*(get(f"/{number}") for number in range(500)))
        await replaying.close_input()
        assert await replaying.process.wait() == 0
        assert len(served.requests) == 500


async def test_a_launcher_that_does_not_listen_any_more_stops_nothing() -> None:
    account_out, account_in = os.pipe()
    os.close(account_out)
    account_out = os.open(os.devnull, os.O_RDONLY)
    async with (
        destination() as served,
        replayer([("output-http", served.url)], account_pipe=(account_out, account_in)) as replaying,
    ):
        await replaying.replay(get())
        await replaying.close_input()
        assert await replaying.process.wait() == 0
        assert len(served.requests) == 1


async def test_failures_are_said_once_and_summed_up_each_interval_without_credentials() -> None:
    async def garbage(visit: Visit) -> None:
        request = await visit.request()
        await visit.send(b"echo: " + (request or b""))

    async with destination(garbage) as served:
        url = f"http://user:secret@127.0.0.1:{served.port}"
        options = [("output-http", url), ("http-set-header", "X-Key: hidden")]
        async with replayer(options, stats_interval=0.1) as replaying:
            for number in range(1, 4):
                await replaying.replay(get(), get())
                await replaying.until_all(has_failed(2 * number))
            assert await replaying.end() == 0
            first = replaying.failures[0]
            assert first == DestinationFailed(
                destination=f"http://***@127.0.0.1:{served.port}", kind="protocol", count=1,
                error="the answer does not start with HTTP/1.",
            )  # fmt: skip
            assert all(said.count <= 2 for said in replaying.failures)
            told = b"".join(replaying.lines) + (await replaying.stderr()).encode()
            assert b"secret" not in told and b"hidden" not in told and b"dXNlcjpzZWNyZXQ" not in told
            assert b"Authorization: Basic dXNlcjpzZWNyZXQ=\r\n" in served.requests[0]


async def test_a_frame_that_is_too_long_ends_it_after_what_came_before() -> None:
    async with destination() as served, replayer([("output-http", served.url)]) as replaying:
        await replaying.replay(get())
        await replaying.write((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))
        await replaying.until(lambda line: isinstance(line, Account) and line.final)
        assert await replaying.process.wait() == 1
        assert replaying.final[0].outcomes == {"2xx": 1}
        assert "Error: the launcher's pipe makes no sense: a frame of 67108865 bytes" in await replaying.stderr()


async def test_a_pipe_that_ends_before_the_settings_ends_it() -> None:
    async with replayer(first=b"\0\0") as replaying:
        assert await replaying.end(drain_seconds=None) == 0
        assert replaying.lines == []


async def test_a_first_frame_that_is_no_settings_ends_it() -> None:
    async with replayer(first=frame(get())) as replaying:
        assert await replaying.process.wait() == 1
        assert await replaying.stderr() == "Error: the launcher's pipe makes no sense: a JSON object must come here\n"


@pytest.mark.parametrize(
    ("option", "error"),
    [
        (("prettify-http", "true"), "does not have --prettify-http (true) yet"),
        (("output-binary", "h:1"), "does not have --output-binary (h:1) yet"),
    ],
)
async def test_what_it_does_not_have_is_refused_by_name(option: tuple[str, str], error: str) -> None:
    async with replayer(first=settings([option])) as replaying:
        assert await replaying.process.wait() == 2
        assert await replaying.stderr() == f"Error: the built-in replayer {error}: use --replayer gor\n"


def test_a_descriptor_that_is_not_open_is_refused() -> None:
    for word in ("99", "x", "99999999999999999999", "-1"):
        done = run("--launcher-pipe", word)
        assert done.returncode == 2
        assert done.stderr == f"Error: --launcher-pipe must be the number of an open descriptor, not {word!r}\n"


def test_help_names_the_options_that_it_has() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("output-http", "output-stdout", "output-null", "http-set-header", "http-original-host"):
        assert f"--{name}" in done.stdout
    assert "--output-binary" not in done.stdout


async def test_three_thousand_records_reach_two_destinations_exactly_once() -> None:
    async with (
        destination(healthy) as one,
        destination(healthy) as two,
        replayer([("output-http", one.url), ("output-http", two.url)]) as replaying,
    ):
        for start in range(0, 3_000, 500):
            await replaying.replay(*(get(f"/{number}") for number in range(start, start + 500)))
        assert await replaying.end() == 0
        expected = {b"/%d" % number for number in range(3_000)}
        for served, account in zip((one, two), replaying.final, strict=True):
            assert account.outcomes == {"2xx": 3_000}
            assert len(served.requests) == 3_000
            assert {request.split(b" ", 2)[1] for request in served.requests} == expected


async def test_a_request_arrives_byte_for_byte_but_for_its_host() -> None:
    head = b"PUT //a/../b%2F?q=1&q=2 HTTP/1.1\r\nhOST:  app:80 \r\nX-b: 2\r\nx-A:1\r\nContent-Length: 4\r\nX-b:\r\n\r\n"
    async with destination() as served, replayer([("output-http", served.url)]) as replaying:
        await replaying.replay(b"1 abc 0 -1\n" + head + b"\0\xff\r\n")
        assert await replaying.end() == 0
        assert served.requests == [head.replace(b"app:80", b"127.0.0.1:%d" % served.port) + b"\0\xff\r\n"]


@pytest.mark.parametrize("options", [[("http-original-host", "true")], [("http-set-header", "Host: other")]])
async def test_the_original_host_is_kept_when_it_is_asked_for_or_set(options: list[tuple[str, str]]) -> None:
    async with destination() as served, replayer([("output-http", served.url), *options]) as replaying:
        await replaying.replay(get())
        assert await replaying.end() == 0
        host = b"other" if options[0][0] == "http-set-header" else b"app"
        assert served.requests == [b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"]


async def test_an_old_request_is_sent_as_it_is_and_its_connection_ends() -> None:
    async with destination() as served, replayer([("output-http", served.url)]) as replaying:
        for number in range(2):
            await replaying.replay(b"1 abc 0 -1\nGET / HTTP/1.0\r\nA: b\r\n\r\n")
            await replaying.until(outcomes_are(_2xx=number + 1))
        assert await replaying.end() == 0
        assert served.requests == [b"GET / HTTP/1.0\r\nHost: 127.0.0.1:%d\r\nA: b\r\n\r\n" % served.port] * 2
        assert served.connections == 2


async def test_a_record_that_is_no_request_is_not_sent() -> None:
    async with destination() as served, replayer([("output-http", served.url), ("output-null", "true")]) as replaying:
        await replaying.replay(b"1 abc 0 -1\n", b"nothing", b"1 abc 0 -1\nGET /\r\n\r\n")
        assert await replaying.end() == 0
        assert [output.outcomes for output in replaying.final] == [{"written": 3}, {"protocol": 3}]
        assert served.connections == 0


async def test_records_are_read_while_every_output_is_stuck() -> None:
    async with destination(hang) as served:
        options = [("output-http", served.url), ("output-stdout", "true")]
        async with replayer(options, stdout=subprocess.PIPE, queue_bytes=100_000) as replaying:
            with trio.fail_after(20):  # 64 MB: far more than pipes and queues hold
                for _ in range(64):
                    await replaying.replay(post("/", bytes(1_000_000)))
            assert await replaying.end(drain_seconds=0) == 0
            assert [output.outcomes for output in replaying.final] == [{"queue_full": 64}] * 2
