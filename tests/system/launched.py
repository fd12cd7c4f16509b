"""Runs the built file with real children, and watches it from outside: its log, its clients, its processes.

`Product.launch` gives a `Launched`, to be used in a `with` block; `Product.run` runs to the end. The environment is
exactly what is asked for, on top of PATH, HOME, PORT and a mark by which every process of the run is found again.
Whatever happens in the block, no process survives it; one that the launcher leaves behind fails the test, and so
does a mirror whose counters don't balance. The log tells them: a run whose log can't be read says so (`has_log=False`).
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, NoReturn, TypeVar

from tests.system.log_lines import Facts, facts_at
from tests.system.machine import all_pids, free_port, is_dying, proc, with_descendants

PATIENCE_SECONDS = 30.0  # for an event that takes milliseconds: a noisy machine must not fail a test
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
APPS = Path(__file__).resolve().parent / "apps"

Found = TypeVar("Found")

_MARK = "SYSTEM_TEST_MARK"
_POLL_SECONDS = 0.02
_ORPHANS_SECONDS = 5.0  # a replayer whose launcher was killed ends by its pipe's end
_END_BEHIND_LOG_SECONDS = 1.0  # a process closes its standard error a moment before it is gone
_NOT_OUTCOMES = {
    "at", "level", "destination", "received", "retries", "held_bytes", "final", "responses", "tracked", "untracked",
}  # fmt: skip
_FEED_ENDS = ("taken", "dropped_full", "dropped_shutdown", "lost")


def app(name: str, *arguments: str) -> list[str]:
    """The words that start one of the small apps beside this file."""
    return [sys.executable, "-I", "-S", "-u", str(APPS / name), *arguments]


@dataclass(frozen=True)
class Product:
    """The built file, and a home in which it unpacks once for all tests."""

    file: Path
    home: Path

    def launch(
        self,
        options: Sequence[str],
        command: Sequence[str | Path],
        *,
        environ: Mapping[str, str | None] | None = None,
        port: int | None = None,
        cwd: Path | None = None,
        prefix: Sequence[str] = (),
        has_log: bool = True,
    ) -> Launched:
        """`FILE options command` in a session of its own; a variable that is None is not set. Without a log, because
        `prefix` sends it elsewhere, the counters are not judged."""
        words = [*prefix, str(self.file), *options, *map(str, command)]
        return Launched(words, self._environ(environ or {}, port), cwd=cwd, has_log=has_log)

    def run(
        self,
        options: Sequence[str],
        command: Sequence[str | Path] = (),
        *,
        environ: Mapping[str, str | None] | None = None,
        port: int | None = None,
        cwd: Path | None = None,
        prefix: Sequence[str] = (),
        has_log: bool = True,
    ) -> Finished:
        """The same, to its end, without input."""
        with self.launch(
            options, command, environ=environ, port=port, cwd=cwd, prefix=prefix, has_log=has_log
        ) as launched:
            launched.close_stdin()
            status = launched.wait()
            return Finished(status, launched.output, launched.log, launched.port)

    def _environ(self, asked: Mapping[str, str | None], port: int | None) -> dict[str, str]:
        base = {"PATH": SYSTEM_PATH, "HOME": str(self.home), "PORT": str(port or free_port())}
        return {name: value for name, value in {**base, **asked}.items() if value is not None}


@dataclass(frozen=True)
class Finished:
    """What a run left behind: status, standard output, standard error, and the port in PORT."""

    status: int
    output: str
    log: str
    port: int

    def facts(self, at: str) -> list[Facts]:
        return facts_at(self.log.splitlines(), at)


@dataclass(frozen=True)
class Answer:
    """A response as the client saw it; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Launched:
    """A running launcher."""

    def __init__(
        self, words: Sequence[str], environ: Mapping[str, str], *, cwd: Path | None = None, has_log: bool = True
    ) -> None:
        self.words = list(words)
        self.mark = uuid.uuid4().hex
        self.environ = {**environ, _MARK: self.mark}
        self.port = int(environ["PORT"]) if environ.get("PORT", "").isdigit() else 0
        self._cwd = cwd
        self._changed = threading.Condition()
        self._output_lines: list[str] = []
        self._log_lines: list[str] = []
        self._open_streams = 2
        self._readers: list[threading.Thread] = []
        self._was_killed = False
        self._has_log = has_log
        self._log_ended_early = False  # standard error went elsewhere
        self._answered = 0  # requests of `http`

    def __enter__(self) -> Launched:
        self._process = subprocess.Popen(
            self.words, env=self.environ, cwd=self._cwd, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        for stream, lines in ((self._process.stdout, self._output_lines), (self._process.stderr, self._log_lines)):
            assert stream is not None
            reader = threading.Thread(target=self._collect, args=(stream, lines), daemon=True)
            reader.start()
            self._readers.append(reader)
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        has_failed = kind is not None
        survivors: list[str] = []
        try:
            if not has_failed and self._process.poll() is None:
                self.stop()
            if not has_failed:
                survivors = self._wait_until_all_are_gone()
        finally:
            self._kill_all()
            self.close_stdin()
            for reader in self._readers:
                reader.join(PATIENCE_SECONDS)
        if has_failed:
            print(self.story(), file=sys.stderr)
            return
        self.assert_printable()
        assert not survivors, f"these processes outlived the launcher: {survivors}\n{self.story()}"
        if self._has_log and not self._was_killed:
            assert not self._log_ended_early, f"the log can't be read: say has_log=False\n{self.story()}"
            if self._has_mirrored():
                self.assert_balanced()

    # ---- what it says -------------------------------------------------------------------------------------------

    @property
    def output(self) -> str:
        """Standard output so far: the app's alone, the launcher prints nothing there."""
        with self._changed:
            return "".join(self._output_lines)

    @property
    def log(self) -> str:
        """Standard error so far: the launcher's lines and the app's."""
        with self._changed:
            return "".join(self._log_lines)

    def facts(self, at: str) -> list[Facts]:
        """The launcher's lines of one kind so far, each as its facts."""
        with self._changed:
            return facts_at(self._log_lines, at)

    def wait_for_line(self, at: str, *, nth: int = 1, **expected: object) -> Facts:
        """The nth line `at=<at>` that states the expected facts (`port=5000`, `passed_on="yes"`), once it is there."""
        texts = {name: _text(value) for name, value in expected.items()}

        def find() -> Facts | None:
            found = [facts for facts in facts_at(self._log_lines, at) if texts.items() <= facts.items()]
            return found[nth - 1] if len(found) >= nth else None

        return self._wait_for(find, f"line {nth} of at={at} {texts}")

    def wait_for_output(self, line: str, *, nth: int = 1) -> None:
        """Waits until the app has written this line for the nth time to its standard output."""
        self._wait_for(lambda: self._output_lines.count(f"{line}\n") >= nth or None, f"output {nth} of {line!r}")

    def wait_for_output_start(self, start: str, *, nth: int = 1) -> str:
        """The rest of the nth line of standard output that starts so, once it is there."""

        def find() -> str | None:
            found = [line for line in self._output_lines if line.startswith(start) and line.endswith("\n")]
            return found[nth - 1][len(start) : -1] if len(found) >= nth else None

        return self._wait_for(find, f"output {nth} of {start!r}...")

    def wait_until_listening(self, *, nth: int = 1) -> Facts:
        """Waits until clients can connect."""
        return self.wait_for_line("listening", nth=nth)

    def story(self) -> str:
        """All that is known of the run, for a person who reads a failure."""
        return (
            f"$ {' '.join(self.words)}\nstatus: {self._process.poll()}\n"
            f"---- standard output\n{self.output}---- standard error\n{self.log}----"
        )

    # ---- what is done to it -------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, line: str) -> None:
        """Writes a line to the app's standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def close_stdin(self) -> None:
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                pass

    def send_signal(self, number: int) -> None:
        """Signals the launcher alone."""
        os.kill(self.pid, number)

    def send_signal_to_all(self, number: int) -> None:
        """Signals every process of the run, as the platform does to a dyno."""
        for pid in self.processes():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signals the launcher and waits for its end. The exit status."""
        self.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """SIGKILL to the launcher, and its end; its counters are not judged then. The app may live on."""
        self._was_killed = True
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        """The exit status, once all output up to it has been read; -N if signal N ended the launcher."""
        try:
            status = self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._fail("the launcher has not ended")
        deadline = time.monotonic() + _ORPHANS_SECONDS
        for reader in self._readers:  # a process that outlived the launcher may hold the streams open
            reader.join(max(0.0, deadline - time.monotonic()))
        return status

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def processes(self) -> list[int]:
        """All processes of the run: the launcher with its descendants, and those that carry the mark."""
        pids = all_pids()
        family = with_descendants(self.pid, pids) if self.is_running else set()  # nginx overwrites its environment
        return [pid for pid in pids if pid in family or self.mark.encode() in proc(pid, "environ")]

    # ---- its clients --------------------------------------------------------------------------------------------

    def http(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own. Raises OSError (ConnectionRefusedError...) as the client sees it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, target, body, dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, names, response.read())
            self._answered += 1
            return answer
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        """A client's raw connection. Raises ConnectionRefusedError."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_SECONDS)

    def is_refused(self) -> bool:
        """Whether a client that connects now is refused at once."""
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return True
        return False

    # ---- what it must never do ----------------------------------------------------------------------------------

    def assert_printable(self) -> None:
        """Nothing in the launcher's lines is obeyed by a terminal."""
        own = [line for line in self.log.splitlines() if line.startswith(("traffic-duplicator ", "Error: "))]
        odd = [line for line in own if not line.replace("\N{NO-BREAK SPACE}", " ").isprintable()]
        assert not odd, f"not printable: {odd}\n{self.story()}"

    # ---- the account --------------------------------------------------------------------------------------------

    def assert_balanced(self) -> None:
        """The launcher has ended, says that all balances, and it does; and it has seen what `http` got answers for."""
        assert not self.is_running, "the balance is told at the end"
        end = self._final("end")
        tap = {name: int(value) for name, value in end.items() if name not in ("at", "final", "level")}
        seen = tap.pop("seen")
        assert seen == sum(tap.values()), f"seen={seen}, but its ends are {tap}\n{self.story()}"
        assert seen >= self._answered, f"seen={seen}, but {self._answered} were answered\n{self.story()}"
        feeds = [facts for facts in self.facts("feed") if facts.get("final") == "true"]
        assert feeds, f"no feed told its end\n{self.story()}"
        for feed in feeds:
            ends = {name: int(feed.get(name, 0)) for name in _FEED_ENDS}
            assert int(feed["given"]) == sum(ends.values()), f"{feed} does not balance\n{self.story()}"
        given = [int(feed["given"]) for feed in feeds]
        is_split = len(given) > 1 and sum(given) == tap["offered"]  # --split-output: each to the next one
        assert is_split or set(given) == {tap["offered"]}, f"{given} of {tap['offered']} were given\n{self.story()}"
        for output in self.facts("output"):
            facts = {name: value for name, value in output.items() if not name.startswith("latency_")}
            outcomes = {name: int(value) for name, value in facts.items() if name not in _NOT_OUTCOMES}
            if output.get("final") == "true":
                assert int(output["received"]) == sum(outcomes.values()), f"{output}\n{self.story()}"
        assert self._final("balance").get("balanced") == "true", self.story()

    # ---- inside -------------------------------------------------------------------------------------------------

    def _collect(self, stream: IO[bytes], lines: list[str]) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    lines.append(line.decode(errors="backslashreplace"))
                    self._changed.notify_all()
        if lines is self._log_lines:
            self._log_ended_early = not self._ends_now()
        with self._changed:
            self._open_streams -= 1
            self._changed.notify_all()

    def _ends_now(self) -> bool:
        try:
            self._process.wait(_END_BEHIND_LOG_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _wait_for(self, find: Callable[[], Found | None], what: str) -> Found:
        with self._changed:
            self._changed.wait_for(lambda: find() is not None or not self._open_streams, PATIENCE_SECONDS)
            found = find()
        if found is None:
            self._fail(f"waited in vain for {what}")
        return found

    def _fail(self, what: str) -> NoReturn:
        raise AssertionError(f"{what}\n{self.story()}")

    def _final(self, at: str) -> Facts:
        found = self.facts(at)
        assert len(found) == 1, f"expected one line at={at}\n{self.story()}"
        return found[0]

    def _has_mirrored(self) -> bool:
        return bool(self.facts("end") or (self.facts("listening") and not self.facts("unmirrored")))

    def _wait_until_all_are_gone(self) -> list[str]:
        """What is left of the run, as text. A launcher that has ended well leaves only what it has killed itself, for
        the kernel to take away; what one that was killed leaves may take a while to find out."""
        deadline = time.monotonic() + _ORPHANS_SECONDS
        while (pids := self.processes()) and time.monotonic() < deadline:
            if not self._was_killed and not all(map(is_dying, pids)):
                pids = [pid for pid in pids if not is_dying(pid)]
                break
            time.sleep(_POLL_SECONDS)
        return [f"{pid} {proc(pid, 'cmdline').replace(bytes(1), b' ').decode(errors='replace')}" for pid in pids]

    def _kill_all(self) -> None:
        self.send_signal_to_all(signal.SIGKILL)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
