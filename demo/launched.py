"""The launcher as the demo runs it: started, awaited, ended, and what its log said at the end."""

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
FACT = re.compile(r'(\S+?)=("(?:[^"\\]|\\.)*"|\S*)')


class DemoError(Exception):
    """What went wrong, and what to do about it."""


class Launched:
    """The launcher, an app behind it, and all that they start. A context: at its end every process has ended.

    Nothing of what the user has set for the launcher counts here: copies go to the demo's destination alone.
    """

    def __init__(self, file: Path, command: Sequence[str], destination: str, replayer: str) -> None:
        self.port = free_port()
        self._mark = f"TRAFFIC_DUPLICATOR_DEMO_RUN={uuid.uuid4().hex}"
        given = {name: value for name, value in os.environ.items() if not name.startswith("TRAFFIC_DUPLICATOR_")}
        given.pop("DYNO", None)
        options = ["--port", str(self.port), "--host", "127.0.0.1", "--to", destination, "--replayer", replayer]
        options += ["--gor-options", os.devnull, "--stats-interval", "5", "--strict", "--"]
        self.log = tempfile.NamedTemporaryFile(prefix="traffic-duplicator-demo-", suffix=".log")  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [file, *options, *command],
                env={**given, **dict([self._mark.split("=")])},
                stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                start_new_session=True,  # Ctrl-C is for the demo, which ends the launcher in its own time
            )  # fmt: skip
        except OSError as error:
            raise DemoError(f"{file} does not start: {error.strerror}; python3 build.py makes it") from None

    def __enter__(self) -> Launched:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.log.close()

    def wait_until_it_listens(self) -> None:
        """Returns when clients can connect, which is when the app accepts. Raises DemoError."""
        end = time.monotonic() + LISTEN_SECONDS
        while "at=listening" not in (facts := self.facts()):
            if self._process.poll() is not None:
                raise self._failed(f"The launcher ended with status {self._process.returncode}: the app never listened.")
            if "at=port-taken" in facts or "at=listen-failed" in facts:
                raise self._failed(f"Port {self.port} was free a moment ago, and now it is taken.")
            if time.monotonic() > end:
                raise self._failed(
                    f"The app did not listen within {LISTEN_SECONDS} s. Its port is in the variable PORT,\n"
                    "and in place of {port} in its command."
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends the launcher as a platform would, then whatever is left of all that was started."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # this lasts some seconds at most
        self._process.terminate()
        wait_until(lambda: self._process.poll() is not None, STOP_SECONDS)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self._left():
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
            wait_until(lambda: self._process.poll() is not None and not self._left(), 2)
        self._process.kill()  # where there is no /proc to look into
        self._process.wait()

    def _left(self) -> list[int]:
        """Processes that carry our mark in their environment, whoever their parents are now."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self._mark.encode() in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
            except OSError:
                continue  # it has ended, or is somebody else's
        return found

    def log_text(self) -> str:
        return Path(self.log.name).read_text(errors="backslashreplace")

    def facts(self) -> dict[str, dict[str, str]]:
        """What the log's lines say by their first word, such as `at=end`; of several, the last."""
        lines = [line.split(maxsplit=2) for line in self.log_text().splitlines()]
        return {
            words[1]: dict(FACT.findall(words[2] if len(words) > 2 else ""))
            for words in lines
            if words[:1] == ["traffic-duplicator"] and len(words) > 1
        }

    def _failed(self, reason: str) -> DemoError:
        return DemoError(f"{reason}\n\nThe log:\n{self.log_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(is_so: Callable[[], bool], seconds: float) -> None:
    """Returns when it is so, or after `seconds`."""
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.02)
