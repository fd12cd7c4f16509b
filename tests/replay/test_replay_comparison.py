"""Real destinations compared by a real replayer: what is planted is found, and nothing else."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.replay.by_hand import by_hand

SEPARATOR = "\n🐵🙈🙉\n".encode()
Answer = tuple[int, dict[str, str], bytes]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def version(answer: Callable[[str], Answer]) -> Iterator[str]:
    """A server that answers so; its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            status, headers, body = answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Transfer-Encoding" in headers:
                half = len(body) // 2
                pieces = [piece for piece in (body[:half], body[half:]) if piece]
                body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def a_recording(path, paths: list[str], milliseconds: int = 1) -> str:
    """A file of GETs, so many milliseconds between them."""
    requests = (
        b"1 %024x %d -1\nGET %s HTTP/1.1\r\nHost: app\r\nX-Request-Id: r-%d\r\n\r\n"
        % (number, 1_700_000_000 * 10**9 + number * milliseconds * 10**6, target.encode(), number)
        for number, target in enumerate(paths)
    )
    path.write_bytes(b"".join(request + SEPARATOR for request in requests))
    return str(path)


def good(path: str) -> Answer:
    number = int(path.rpartition("/")[2])
    body = {"id": number, "price": number * 1.5, "token": uuid.uuid4().hex, "random": uuid.uuid4().int % 1000}
    headers = {"Content-Type": "application/json", "Set-Cookie": f"s={uuid.uuid4()}"}
    if path.startswith("/large/"):
        body["items"] = [{"id": each} for each in range(1000)]
        headers["Transfer-Encoding"] = "chunked"
    return 200, headers, json.dumps(body).encode()


def bad(path: str) -> Answer:
    """A wrong status for some ids, a changed type, a slow endpoint."""
    status, headers, body = good(path)
    number = int(path.rpartition("/")[2])
    if path.startswith("/users/") and number % 20 == 0:
        status = 500
    if path.startswith("/large/"):
        body = json.dumps({**json.loads(body), "price": str(number)}).encode()
    if path.startswith("/slow/"):
        time.sleep(0.03)
    return status, headers, body


PATHS = [f"/{('users', 'large', 'slow')[number % 3]}/{number}" for number in range(900)]


async def test_what_is_planted_is_found_and_nothing_else(tmp_path):
    recording, report = a_recording(tmp_path / "r.gor", PATHS, milliseconds=5), tmp_path / "report.json"
    with version(good) as one, version(good) as two, version(bad) as new:
        async with by_hand(
            "--input-file", recording, "--to", f"candidate={new}", "--to", f"baseline={one}", "--to",
            f"baseline2={two}", "--report-file", str(report), "--check", "status_mismatch<0.1%",
            "--output-http-timeout", "30s", "--keep-bodies", "3",
        ) as replayer:  # fmt: skip
            assert await replayer.end() == 1
    line = next(line for line in replayer.said.splitlines() if " at=compared " in line)
    assert "verdict=differs+slower pairs=900 dropped=0 coverage=100.0% status_mismatch=1.667%" in line
    assert "findings=2 slower_endpoints=1" in line
    assert 'what="GET /users/{id}: status 200 → 500" times=15 of=300' in replayer.said
    found = re.search(r'what="GET /large/{id}: \$\.price type number → string" times=(\d+) of=(\d+)', replayer.said)
    assert found[1] == found[2]
    assert 'endpoint="GET /slow/{id}" how="slower by ' in replayer.said
    assert "at=check level=error candidate=candidate check=status_mismatch<0.1%" in replayer.said
    assert report.stat().st_mode & 0o777 == 0o600
    kept = Path(re.search(r"written to (\S+)", replayer.said)[1])
    pairs = [json.loads(line) for line in kept.read_text().splitlines()]
    mode = kept.stat().st_mode & 0o777
    kept.unlink()
    assert (len(pairs), mode) == (3, 0o600)
    assert json.loads(pairs[0]["candidate"]["body"])["id"] == json.loads(pairs[0]["baseline"]["body"])["id"]
    facts = json.loads(report.read_text())
    assert [output["role"] for output in facts["outputs"]] == ["candidate", "baseline", "baseline2"]
    found = {row["where"] for row in facts["candidates"][0]["differences"] if row["candidate_only"] > 10}
    assert {"status", "$.price"} <= found


@pytest.mark.parametrize("seed", range(2))
async def test_the_same_version_is_found_the_same(tmp_path, seed):
    with version(good) as one, version(good) as two, version(good) as new:
        async with by_hand(
            "--input-file", a_recording(tmp_path / "r.gor", PATHS[:600]), "--to", f"baseline={one}", "--to",
            f"baseline2={two}", "--to", f"candidate={new}", "--check", "findings<1 body_mismatch<5%",
            "--output-http-timeout", "30s",
        ) as replayer:  # fmt: skip
            assert await replayer.end() == 0, replayer.said
    assert " pairs=600 dropped=0 " in replayer.said
    assert " findings=0 " in replayer.said


async def test_without_a_baseline_the_candidate_is_shown_alone(tmp_path):
    page = tmp_path / "report.html"
    with version(good) as new:
        async with by_hand(
            "--input-file", a_recording(tmp_path / "r.gor", PATHS[:50]), "--to", f"candidate={new}", "--report-file",
            str(page),
        ) as replayer:  # fmt: skip
            assert await replayer.end() == 0
    assert "verdict=no_baseline pairs=0" in replayer.said
    assert "hint=\"add --to baseline=URL to compare with\"" in replayer.said
    assert "there is no baseline to compare with" in page.read_text()


async def test_recorded_answers_are_the_baseline_if_there_is_no_other(tmp_path):
    report = tmp_path / "report.json"
    recording = tmp_path / "r.gor"
    a_recording(recording, PATHS[:300])
    parts = recording.read_bytes().split(SEPARATOR)[:-1]
    with version(good) as new:
        answered = []
        for part in parts:
            status, _, body = good(part.split(b" ")[4].decode())
            number = int(part.split(b" ")[1], 16)
            head = f"HTTP/1.1 {404 if number % 30 == 0 else status} X\r\nContent-Type: application/json\r\n"
            times = part.split(b" ")[2].decode()
            answer = f"2 {number:024x} {times} 5000000\n{head}Content-Length: {len(body)}\r\n\r\n"
            answered += [answer.encode() + body, part]  # in any order
        recording.write_bytes(b"".join(part + SEPARATOR for part in answered))
        async with by_hand(
            "--input-file", str(recording), "--to", f"candidate={new}", "--report-file", str(report), "--ignore",
            "$.random", "--ignore", "Set-Cookie",
        ) as replayer:  # fmt: skip
            assert await replayer.end() == 0
    facts = json.loads(report.read_text())
    assert (facts["baseline"], facts["sets"]["compared"]) == ("recorded", 300)
    assert ': status 404 → 200" times=10 of=100' in replayer.said
    assert "compared_response=300" in replayer.said
    assert "the baseline is what was recorded" in replayer.said


async def test_a_destination_that_is_down_is_no_answer_and_ends_nothing(tmp_path):
    with version(good) as one, version(good) as gone:
        pass
    with version(good) as one:
        async with by_hand(
            "--input-file", a_recording(tmp_path / "r.gor", PATHS[:300]), "--to", f"candidate={gone}", "--to",
            f"baseline={one}",
        ) as replayer:  # fmt: skip
            assert await replayer.end() == 0
    assert " verdict=differs pairs=300 dropped=0 coverage=100.0% status_mismatch=100.000% " in replayer.said
    assert ': status 200 → refused" times=100 of=100' in replayer.said


@pytest.mark.parametrize(("words", "error"), [
    (["--to", "candidate=http://a", "--to", "candidate=http://b"], "2 destinations are called candidate="),
    (["--to", "baseline=http://a"], "there is a baseline but no candidate"),
    (["--to", "candidate=http://a", "--to", "baseline2=http://b"], "baseline2= shows what differs"),
    (["--to", "candidate=http://a", "--to", "baseline=http://b", "--split-output"], "--split-output"),
    (["--to", "http://a", "--ignore", "$.id"], "--ignore is for comparisons"),
    (["--to", "candidate=http://a", "--check", "speed<1"], "--check must be checks of"),
    (["--to", "candidate=http://a", "--ignore", "a b"], "--ignore must be a path in JSON"),
])  # fmt: skip
async def test_what_can_not_be_compared_is_refused_in_words(words, error):
    async with by_hand("--input-http", "127.0.0.1:0", *words) as replayer:
        assert await replayer.end() == 2
    assert f"Error: {error}" in replayer.said
    assert "Traceback" not in replayer.said
