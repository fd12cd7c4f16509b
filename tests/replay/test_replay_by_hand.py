"""The replayer run by hand: words, inputs, signals, the summary."""

from __future__ import annotations

import signal
import socket
import subprocess

import pytest
import trio

from launcher.gor.flags import FLAGS
from launcher.replay.only_gors import REFUSED
from tests.replay.by_hand import by_hand
from tests.replay.harness import OK, PROGRAM, ROOT, Visit, destination

ANSWER_END = b"\r\n\r\nOK\n"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


async def answers(port: int, data: bytes, count: int = 1, end: bytes = ANSWER_END) -> bytes:
    """What is answered to these bytes, up to so many answers."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(data)
        answer = b""
        while answer.count(end) < count and (more := await stream.receive_some()):
            answer += more
        return answer


async def test_a_request_is_answered_as_gor_does_and_reaches_the_destination() -> None:
    async with destination() as served, by_hand("--input-http", "127.0.0.1:0", "--to", served.url) as running:
        port = await running.port()
        request = (
            b"PUT //a/../b%2F?q HTTP/1.1\r\nhOST: app\r\nX-b: 2\r\nx-A:1\r\nConnection: close, x-c\r\nX-C: 3\r\n"
            b"Content-Length: 2\r\nX-b:\r\n\r\nhi"
        )
        answer = await answers(port, request)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n")
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == 0
        host = b"127.0.0.1:%d" % served.port
        assert served.requests == [
            b"PUT //a/../b%2F?q HTTP/1.1\r\nhOST: " + host + b"\r\nX-b: 2\r\nx-A:1\r\nContent-Length: 2\r\nX-b:\r\n"
            b"X-Traffic-Duplicator: 1\r\n\r\nhi"
        ]
        assert (running.final("input", "received"), running.final("output", "2xx")) == (1, 1)


async def test_pipelined_chunked_and_old_requests_are_taken() -> None:
    chunked = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    async with by_hand("--input-http", "127.0.0.1:0", "--output-null") as running:
        port = await running.port()
        pipelined = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + chunked + b"GET / HTTP/1.0\r\n\r\n"
        answer = await answers(port, pipelined, 3)
        assert answer.count(b"HTTP/1.1 200 OK") == 3 and answer.count(ANSWER_END) == 2
        kept = await answers(port, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"\r\nConnection: keep-alive\r\n" in kept
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == 0
        assert running.final("output", "written") == 4


async def test_a_client_that_expects_100_is_told_to_go_on() -> None:
    async with (
        by_hand("--input-http", "127.0.0.1:0", "--output-null") as running,
        await trio.open_tcp_stream("127.0.0.1", await running.port()) as stream,
    ):
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        assert await stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await stream.send_all(b"x")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("request_", "status", "counter"),
    [
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"400", "malformed"),
        (b"\x16\x03\x01\x00\x05", b"400", "malformed"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n", b"431", "malformed"),
        (b"POST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n", b"413", "too_large"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"x" * 2000, b"413", "too_large"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", b"405", "refused"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nx-traffic-duplicator: 1\r\n\r\n", b"200", "skipped_loop"),
    ],
)
async def test_what_is_not_taken_is_refused_and_counted(request_: bytes, status: bytes, counter: str) -> None:
    words = ("--input-http", "127.0.0.1:0", "--output-null", "--copy-buffer-size", "1kb")
    async with by_hand(*words) as running:
        answer = await answers(await running.port(), request_, end=b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 " + status)
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == 0
        assert (running.final("input", counter), running.final("input", "received")) == (1, 0)
        assert f"outcome={counter}" in running.said


async def test_a_request_cut_short_is_incomplete() -> None:
    async with by_hand("--input-http", "127.0.0.1:0", "--output-null") as running:
        async with await trio.open_tcp_stream("127.0.0.1", await running.port()) as stream:
            await stream.send_all(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nx")
            await stream.send_eof()
            assert await stream.receive_some() == b""
        running.process.send_signal(signal.SIGINT)
        assert await running.end() == 0
        assert running.final("input", "incomplete") == 1


async def test_a_limit_behind_the_address_leaves_out_what_is_too_much() -> None:
    async with by_hand("--input-http", "127.0.0.1:0|1", "--output-null") as running:
        await answers(await running.port(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 500, 500)
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == 0
        received = running.final("input", "received")
        assert 1 <= received < 100 and received + running.final("input", "limited") == 500


async def test_5000_records_held_at_sigterm_are_all_delivered() -> None:
    async def slow(visit: Visit) -> None:
        while await visit.request() is not None:
            await trio.sleep(0.02)
            await visit.send(OK)

    async with destination(slow) as served, by_hand("--input-http", "127.0.0.1:0", "--to", served.url) as running:
        request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        await answers(await running.port(), request * 5000, 5000)
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == 0
        assert running.final("input", "received") == 5000
        ended = [running.final("output", name) for name in ("2xx", "unsent", "timeout", "reset")]
        assert sum(ended) == 5000 and ended[0] == len(served.requests) == 5000


async def test_a_second_sigint_ends_it_at_once_with_all_counted() -> None:
    async def hang(visit: Visit) -> None:
        while await visit.request() is not None:
            await trio.sleep_forever()

    words = ("--input-http", "127.0.0.1:0", "--output-http-timeout", "1h")
    async with destination(hang) as served, by_hand(*words, "--to", served.url) as running:
        await answers(await running.port(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100, 100)
        running.process.send_signal(signal.SIGINT)
        await running.until("at=signal level=info signal=SIGINT then=drain")
        running.process.send_signal(signal.SIGINT)
        assert await running.end() == 130
        assert running.final("output", "unsent") == 100


async def test_exit_after_ends_it_with_a_summary() -> None:
    async with by_hand("--input-http", "127.0.0.1:0", "--output-null", "--exit-after", "100ms") as running:
        assert await running.end() == 0
        assert running.final("output", "received") == 0


async def test_counters_are_told_each_interval() -> None:
    words = ("--input-http", "127.0.0.1:0", "--output-null", "--stats-interval", "1", "--verbose", "3")
    async with by_hand(*words) as running:
        await answers(await running.port(), b"GET /a?key=secret HTTP/1.1\r\nHost: a\r\n\r\n")
        await running.until(r"at=output level=info destination=null received=1 written=1\n")
        assert "at=request level=info id=" in running.said and "path=/a?... bytes=" in running.said.replace('"', "")
        assert "secret" not in running.said


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--input-http", f"127.0.0.1:{port}", "--output-null")
    assert done.returncode == 1
    assert done.stderr == f"Error: --input-http 127.0.0.1:{port} can't be listened on: address already in use\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "there is no input"),
        (["--output-null"], "there is no input"),
        (["--input-http", ":81"], "there is no output"),
        (["--input-http", "81", "--output-null"], "argument 2: --input-http must be an address to listen on"),
        (["-input-raw", ":80"], "argument 1: --input-raw can't be used here: only a real gor captures packets"),
        (["--output-kafka-host", "h"], "only a real gor writes to Kafka (0.16 or later"),
        (["--prettify-http"], "only a real gor (0.16 or later) decodes bodies"),
        (["--input-http", ":81", "--output-null", "--stats-interval", "x"], "--stats-interval must be a number"),
        (["--queue-memory"], "argument 1: --queue-memory needs a value"),
        (["--launcher-pipe"], "--launcher-pipe FD stands alone"),
        (["--nope"], "argument 1: gor has no option --nope"),
    ],
)
def test_wrong_words_get_one_line(words: list[str], text: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ") and text in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_explains_every_option_that_it_has() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for name in (flag.name for flag in FLAGS.values() if flag.builtin):
        assert f"  --{name}" in done.stdout


def test_what_is_refused_here_and_what_is_had_are_never_the_same() -> None:
    assert not [name for name in REFUSED if name in FLAGS and FLAGS[name].builtin]
