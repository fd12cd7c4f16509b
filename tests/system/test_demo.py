"""What `build.py demo` runs: what a person reads, its exit status, and that nothing of it stays."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from launcher.gor.binary import Gor
from tests.system.launched import SYSTEM_PATH, Product
from tests.system.sink import wait_until

PATIENCE_SECONDS = 120
BUILTIN = "the built-in replayer"
DEMO = Path(__file__).resolve().parents[2] / "demo"

SCENE = """
   requests --> launcher, 127.0.0.1:N --> {app}
                   |
                   +-- {replayer} --> destination, 127.0.0.1:N

"""
EXCHANGES = """\
   request                                the app                the destination
ok GET /search?q=tea&page=2 (a query)     200                    1 copy, intact
ok POST /orders (JSON)                    200, got 28 bytes      1 copy, intact
ok POST /photos (a chunked upload)        200, got 200,000 bytes 1 copy, intact
ok PUT /reports/7 (Expect: 100-continue)  200, got 50,000 bytes  1 copy, intact
ok GET /download (1 MB)                   200, 1,048,576 bytes   1 copy, intact
ok GET /chat (a WebSocket upgrade)        101, echoed Hello      not copied
ok GET /users/1 (a connection...)         200                    1 copy, intact
ok PATCH /users/1 (...the same)           200, got 15 bytes      1 copy, intact
ok DELETE /users/1 (...the same)          200                    1 copy, intact

"""
COUNTERS = """\
   counter                                the launcher           counted here
ok requests seen                          9                      9
ok given to the replayer                  8                      8
ok not copied: WebSocket upgrades         1                      1
ok taken by the replayer                  8                      8
ok answered 2xx by the destination        8                      8
ok every request is accounted for         true                   true

"""
END = """\
   N s until the app listened, N s for the requests, N s for the copies

All 9 requests reached the app, all 8 copies reached the destination.
(1 WebSocket upgrade is not copied.)
"""
VISITS = """\
   request                                the app                the destination
ok GET /                                  200, 6 bytes           1 copy, intact
ok GET /                                  200, 6 bytes           1 copy, intact
ok GET /                                  200, 6 bytes           1 copy, intact
ok GET /                                  200, 6 bytes           1 copy, intact
ok GET /                                  200, 6 bytes           1 copy, intact

   counter                                the launcher           counted here
ok requests seen                          5                      5
ok given to the replayer                  5                      5
ok not copied: WebSocket upgrades         0                      0
ok taken by the replayer                  5                      5
ok answered 2xx by the destination        5                      5
ok every request is accounted for         true                   true

   N s until the app listened, N s for the requests, N s for the copies

All 5 requests reached the app, all 5 copies reached the destination.
"""


@dataclass
class Demo:
    """Runs demo.py, and finds every process that it has started by a mark in its environment."""

    product: Product
    cwd: Path
    folder: Path = DEMO
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def start(self, *words: str, file: Path | None = None, gor: Path | None = None) -> subprocess.Popen[str]:
        environ = {"PATH": SYSTEM_PATH, "HOME": str(self.product.home), "DEMO_TEST_MARK": self.mark}
        return subprocess.Popen(
            [sys.executable, str(self.folder / "demo.py"), str(file or self.product.file), *words],
            env={**environ, **({"GOR": str(gor)} if gor else {})}, cwd=self.cwd,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *words: str, file: Path | None = None, gor: Path | None = None) -> tuple[int, str, str]:
        """Status, standard output without what changes from run to run, standard error."""
        process = self.start(*words, file=file, gor=gor)
        out, errors = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, plain(out), plain(errors)

    def app(self, *lines: str) -> str:
        """Makes a command of these lines of Python."""
        path = self.cwd / "my-app"
        path.write_text("\n".join([f"#!{sys.executable}", "import os, signal, subprocess, sys, time", *lines]))
        path.chmod(0o755)
        return "./my-app"

    def change(self, name: str, old: str, new: str) -> None:
        """Runs a copy of the demo from now on, in which this is different."""
        if self.folder == DEMO:
            self.folder = Path(shutil.copytree(DEMO, self.cwd / "demo", ignore=shutil.ignore_patterns("__pycache__")))
        text = (self.folder / name).read_text()
        assert text.count(old) == 1, f"demo/{name} has changed: a test of its checks looked for {old!r}"
        (self.folder / name).write_text(text.replace(old, new))

    def processes(self) -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self.mark.encode() in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found


def plain(text: str) -> str:
    return re.sub(r"\d+\.\d+ s\b", "N s", re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:N", text))


@pytest.fixture
def demo(product: Product, tmp_path: Path) -> Iterator[Demo]:
    """Fails the test if a process stays."""
    demo = Demo(product, tmp_path)
    yield demo
    left = demo.processes()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


SERVE = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello\\n")
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

# ---- what balances -------------------------------------------------------------------------------------------------


def test_shows_every_request_at_the_app_and_its_copy_at_the_destination(demo: Demo) -> None:
    scene = SCENE.format(app="demo/app.py", replayer=BUILTIN)
    assert demo.run() == (0, scene + EXCHANGES + COUNTERS + END, "")


def test_no_line_is_longer_than_80_columns(demo: Demo) -> None:
    out, _ = demo.start().communicate(timeout=PATIENCE_SECONDS)
    assert len(out.splitlines()) > 20
    assert [line for line in out.splitlines() if len(line) > 80] == []


def test_takes_the_gor_that_the_environment_names(demo: Demo, gor: Gor) -> None:
    scene = SCENE.format(app="demo/app.py", replayer=gor.path.name)
    own_account = re.compile("^ok answered.*\n", re.MULTILINE)  # which no gor keeps
    assert demo.run(gor=gor.path) == (0, scene + EXCHANGES + own_account.sub("", COUNTERS) + END, "")


def test_shows_any_app_that_listens_on_its_port(demo: Demo) -> None:
    app = demo.app(SERVE)
    assert demo.run("--", app) == (0, SCENE.format(app="./my-app", replayer=BUILTIN) + VISITS, "")


def test_ends_what_the_app_leaves_behind(demo: Demo) -> None:
    app = demo.app("subprocess.Popen(['sleep', '1000'], start_new_session=True)", SERVE)
    assert demo.run("--", app)[0] == 0
    assert demo.processes() == []


def test_keep_stays_until_ctrl_c_with_addresses_that_work(demo: Demo) -> None:
    process = demo.start("--keep")
    guard = threading.Timer(PATIENCE_SECONDS, process.kill)
    guard.start()
    assert process.stdout is not None
    said = ""
    while not re.search("tail -f .*\n\n", said) and (line := process.stdout.readline()):
        said += line
    launcher, destination = re.findall(r"curl .*?(http://127\.0\.0\.1:\d+)", said)
    with urllib.request.urlopen(f"{launcher}/by-hand", timeout=PATIENCE_SECONDS) as answer:
        assert json.load(answer)["target"] == "/by-hand"
    wait_until(lambda: "GET /by-hand " in fetch(destination), "the copy of a request by hand")
    assert fetch(destination).startswith("9 copies have arrived.")
    assert len(demo.processes()) >= 4  # the demo, the launcher, the app, the replayer
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate()
    guard.cancel()
    counters = """
   counter                                the launcher           counted here
ok requests seen                          10
ok given to the replayer                  9                      9
ok not copied: WebSocket upgrades         1
ok taken by the replayer                  9                      9
ok answered 2xx by the destination        9                      9
ok every request is accounted for         true                   true

"""
    assert (process.returncode, plain(rest), errors) == (0, "\n" + counters + END, "")
    assert demo.processes() == []


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
        text: str = answer.read().decode()
        return text


# ---- what does not -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        ("app.py", "sha256(body)", "sha256(body[1:])", "The app's answer to POST /orders (JSON) is wrong: "),
        ("app.py", "258EAFA5", "258EAFA6", "The app's answer to GET /chat (a WebSocket upgrade) is wrong: "),
        ("app.py", "self.send(DOWNLOAD,", "self.send(DOWNLOAD[1:],", "The app's answer to GET /download (1 MB) is"),
        ("app.py", "number = next(App.numbers)", "number = next(App.numbers) + 1", "The app's answer to GET /search"),
        ("app.py", "self.read_body()", "self.read_body(); self.close_connection = True", "The app's answer to PATCH"),
        ("destination.py", "self.read_body())", "self.read_body()[1:])", "No copy of POST /orders (JSON) arrived."),
        ("destination.py", "self.path, self", "self.path[1:], self", "A copy arrived that nobody sent: GET users/1 "),
    ],
)
def test_says_what_does_not_balance(demo: Demo, name: str, old: str, new: str, problem: str) -> None:
    demo.change(name, old, new)
    demo.change("demo.py", "COPIES_SECONDS = 10", "COPIES_SECONDS = 1")
    status, out, errors = demo.run()
    before, _, after = out.partition("\nIt does not balance:\n")
    assert (status, errors) == (1, "")
    assert any(line.startswith("!! ") for line in before.splitlines())
    assert any(line.startswith(problem) for line in after.splitlines())
    assert "\nThe log:\ntraffic-duplicator at=listening " in after


def test_says_when_copies_arrive_twice(demo: Demo) -> None:
    """The launcher as a script that names the destination a second time."""
    twice = demo.cwd / "twice"
    twice.write_text(
        f"""#!/bin/sh
        for word; do case $word in http://*) destination=$word ;; esac; done
        exec {demo.product.file} --to "$destination" "$@"
        """
    )
    twice.chmod(0o755)
    status, out, _ = demo.run(file=twice)
    assert status == 1
    assert "The log says at=end offered=8; it should be 16.\n" in out


def test_shows_what_an_app_said_that_ends_at_once(demo: Demo) -> None:
    app = demo.app("print('no database')", "sys.exit(3)")
    status, out, errors = demo.run("--", app)
    assert (status, out) == (1, SCENE.format(app="./my-app", replayer=BUILTIN))
    first, _, rest = errors.partition("\n\n")
    assert first == "Error: the app, or the launcher, ended before it listened. They said:"
    assert rest.startswith("no database\ntraffic-duplicator at=app-exited level=info status=3\n")


def test_waits_for_an_app_that_never_listens_no_longer_than_it_says(demo: Demo) -> None:
    demo.change("launched.py", "LISTEN_SECONDS = 30", "LISTEN_SECONDS = 1")
    status, _, errors = demo.run("--", "sleep", "1000")
    assert status == 1
    assert errors.startswith(
        "Error: the app did not listen within 1 s. It finds its port in the variable PORT;\n"
        "in its command, {port} stands for it.\n"
    )


def test_kills_an_app_that_does_not_end_and_says_so(demo: Demo) -> None:
    demo.change("launched.py", "STOP_SECONDS = 10", "STOP_SECONDS = 1")
    status, out, _ = demo.run("--", demo.app("signal.signal(signal.SIGTERM, signal.SIG_IGN)", SERVE))
    assert status == 1
    assert "The app did not end when it was asked to, so all was killed, the launcher's account too.\n" in out
    assert demo.processes() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ends_everything_in_order_when_it_is_interrupted(demo: Demo, number: int) -> None:
    started = demo.cwd / "started"
    process = demo.start("--", demo.app(f"open({str(started)!r}, 'w')", "time.sleep(1000)"))
    wait_until(started.exists, "the app's start")
    process.send_signal(number)
    out, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, errors) == (130, "")
    assert out.endswith("\nInterrupted: all that was started has been ended.\n")
    assert demo.processes() == []


@pytest.mark.parametrize(("name", "reason"), [("missing", "No such file or directory"), ("unfit", "Permission denied")])
def test_says_that_the_launcher_does_not_start(demo: Demo, name: str, reason: str) -> None:
    (demo.cwd / "unfit").touch()
    path = demo.cwd / name
    assert demo.run(file=path) == (1, "", f"Error: {path} does not start: {reason}. python3 build.py makes it.\n")


def test_says_that_there_is_no_such_gor(demo: Demo) -> None:
    path = demo.cwd / "no-gor"
    status, _, errors = demo.run(gor=path)
    assert status == 1
    assert f"Error: --replayer {path}: {path} can't be used as gor: it does not exist\n" in errors
