"""What `--status --watch` shows of a launcher under traffic: the README's picture of it, from a real run."""

from __future__ import annotations

import http.client
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from destination import Destination
from launched import Launched

CLIENTS = 4
PAUSE_SECONDS = 0.01
WATCHED_SECONDS = 5.0
CTRL_C = b"\x03"
USUAL_SCREEN = "\x1b[?1049l"


def watched(file: Path, folder: Path) -> str:
    """The last that it shows. The app is called `bundle`; one destination answers, the other is down."""
    program = folder / "bundle"
    app = Path(__file__).with_name("app.py")
    program.write_text(f"#!/bin/sh\nexec {shlex.join([sys.executable, str(app)])}\n")
    program.chmod(0o755)
    down = "http://127.0.0.1:9"
    with ExitStack() as stack:
        answering = Destination()
        launched = stack.enter_context(Launched())
        options = ["--to", f"http://{answering.address}", "--to", down, "--sample", "50", "--replayer", "builtin"]
        launched.start(file, options, [str(program)])
        launched.wait_until_it_listens()
        stack.enter_context(_traffic(launched.port))
        shown = _shown_in_a_terminal([str(file), "--status", "--watch", "--port", str(launched.port)])
    return f"$ start-traffic-duplicator --status --watch\n{shown.replace(str(program), 'bundle')}"


@contextmanager
def _traffic(port: int) -> Iterator[None]:
    is_over = threading.Event()

    def visit() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        with suppress(OSError, http.client.HTTPException):
            while not is_over.wait(PAUSE_SECONDS):
                connection.request("GET", "/cart")
                connection.getresponse().read()
        connection.close()

    threads = [threading.Thread(target=visit) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def _shown_in_a_terminal(words: list[str]) -> str:
    """What is on the screen after a few seconds and Ctrl-C, without its colours."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # becomes the controlling terminal
        env={"PATH": os.environ["PATH"], "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    said, ends_at, has_pressed = b"", time.monotonic() + WATCHED_SECONDS, False
    while True:
        if not has_pressed and time.monotonic() > ends_at:
            os.write(ours, CTRL_C)
            has_pressed = True
        if select.select([ours], [], [], 0.1)[0]:
            try:
                data = os.read(ours, 1 << 16)
            except OSError:  # EIO: the other end has closed
                break
            if not data:
                break
            said += data
    process.wait()
    os.close(ours)
    text = said.decode().replace("\r\n", "\n").rpartition(USUAL_SCREEN)[2]
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
