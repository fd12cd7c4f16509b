"""The launcher as the demo runs it: started, awaited, ended, and what its log said."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

LISTEN_SECONDS = 30
STOP_SECONDS = 10
KILL_SECONDS = 2
LINE = re.compile(r"^traffic-duplicator at=(\S+)(.*)", re.MULTILINE)
FACT = re.compile(r'(\S+?)=("(?:[^"\\]|\\.)*"|\S*)')


class DemoError(Exception):
    """What went wrong, and what to do about it."""


class Launched:
    """The launcher, an app behind it, and all that they start. A context: at its end every process has ended."""

    def __init__(self) -> None:
        self.log = tempfile.NamedTemporaryFile(prefix="traffic-duplicator-demo-", suffix=".log")  # noqa: SIM115
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._mark = ("DEMO_RUN_OF_TRAFFIC_DUPLICATOR", uuid.uuid4().hex)  # in the environment of all that is started

    def __enter__(self) -> Launched:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.log.close()

    def start(self, file: Path, options: Sequence[str], command: Sequence[str]) -> None:
        """Starts the file. Nothing of what the user has set for a launcher counts here."""
        given = {name: value for name, value in os.environ.items() if not name.startswith("TRAFFIC_DUPLICATOR_")}
        given.pop("DYNO", None)
        ours = ["--host", "127.0.0.1", "--port", str(self.port), "--gor-options", os.devnull]
        ours += ["--stats-interval", "5", "--strict"]
        try:
            self._process = subprocess.Popen(
                [file, *ours, *options, "--", *command], env=dict([*given.items(), self._mark]),
                stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                start_new_session=True,  # Ctrl-C is for the demo, which ends the launcher in order
            )  # fmt: skip
        except OSError as error:
            raise DemoError(f"{file} does not start: {error.strerror}. python3 build.py makes it.") from None

    def wait_until_it_listens(self) -> None:
        """Returns when clients can connect, which is when the app accepts. Raises DemoError."""
        wait_until(lambda: not self.is_running() or "listening" in self.facts(), LISTEN_SECONDS)
        if not self.is_running():
            told = self.log_text() or "(nothing)\n"
            raise DemoError(f"the app, or the launcher, ended before it listened. They said:\n\n{told}")
        if "listening" not in self.facts():
            hint = "It finds its port in the variable PORT;\nin its command, {port} stands for it."
            raise DemoError(f"the app did not listen within {LISTEN_SECONDS} s. {hint}\n\n{self.log_text()}")

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> bool:
        """Ends the launcher as a platform would, then whatever is left. False if the launcher had to be killed."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # it takes a second, and it must not be interrupted
        if self._process is not None:
            self._process.terminate()
            wait_until(lambda: not self.is_running(), STOP_SECONDS)
        has_ended = not self.is_running()
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self._left():
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
            wait_until(lambda: not self.is_running() and not self._left(), KILL_SECONDS)
        if self._process is not None:
            self._process.kill()  # where there is no /proc to find it by
            self._process.wait()
        return has_ended

    def _left(self) -> list[int]:
        """Processes that carry our mark, whoever their parents are now."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if "=".join(self._mark).encode() in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue  # it has ended, or is somebody else's
        return found

    def log_text(self) -> str:
        """All that the launcher and the app have written."""
        return Path(self.log.name).read_text(errors="backslashreplace")

    def facts(self) -> dict[str, dict[str, str]]:
        """What the launcher's lines say, by their `at`; of several lines, the last."""
        return {at: dict(FACT.findall(facts)) for at, facts in LINE.findall(self.log_text())}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(is_so: Callable[[], object], seconds: float) -> None:
    """Returns when it is so, or after `seconds`."""
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.02)
