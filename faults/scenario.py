"""What a scenario is: what is set up, what goes wrong meanwhile, and what must hold. README.md tells how to add one.

A scenario is a subclass of `Scenario` with a group and a name; defining it registers it. Each half of a pair (with the
launcher, and with TRAFFIC_DUPLICATOR_ENABLED=false) makes a new instance, so it may keep what it needs on itself.
"""

from __future__ import annotations

import json
import math
import select
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tests.needs import NAMESPACES
from tests.system.launched import PATIENCE_SECONDS, Launched
from tests.system.sink import wait_until

PROGRAMS = Path(__file__).resolve().parent / "programs"
MIB = 1024**2
BUFFER_BYTES = 8 * MIB  # --buffer in every scenario: small enough to be filled within a half
SPARE_BYTES = 8 * MIB  # the launcher's memory above --buffer: docs/performance.md
WORK_US = 200  # of processor for each of the app's answers: a quick app
ANSWER_SECONDS = 10.0  # a client of a scenario's own waits for what it reads
OK_END = b"\r\n\r\nok\n"  # of the answers of programs/
DRAIN_SECONDS = 25.0  # --drain-timeout, by default


@dataclass
class Destination:
    """A programs/destination.py that runs."""

    mode: str
    process: subprocess.Popen[str]
    _has_come: bool = False
    _told: dict[str, int] | None = None

    def wait_for_first(self) -> None:
        """Until a copy has come: a replayer that stands back needs a while to start, where others are busy."""
        if self._has_come:
            return
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], PATIENCE_SECONDS)[0], "no copy has come"
        assert self.process.stdout.readline() == "first\n", "the destination has ended"
        self._has_come = True

    def account(self) -> dict[str, int]:
        """Its own, once the launcher has ended: what has `arrived` whole, how many answers were `begun`, and of how
        many bytes the `longest` was."""
        if self._told is None:
            self.process.terminate()
            told, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
            self._told = {name: int(count) for name, count in json.loads(told.splitlines()[-1]).items()}
        return self._told


@dataclass
class Place:
    """Where one half runs; what is entered into `stack` ends with it."""

    folder: Path
    stack: ExitStack
    is_mirrored: bool
    is_quick: bool
    destinations: dict[str, Destination] = field(default_factory=dict)  # ours, by URL


@dataclass
class Setup:
    """What the launcher is started with; `pids` are helpers of the scenario, for `fault` to use."""

    options: Sequence[str] = ()
    command: Sequence[str] = ()  # the app; by default programs/app.py
    environ: dict[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()  # words before the launcher's
    cwd: Path | None = None
    has_log: bool = True  # False: standard error goes elsewhere, and the balance can't be judged


@dataclass
class Run:
    """One half while its client drives."""

    launched: Launched
    place: Place
    seconds: float
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return self.launched.port

    def wait(self, seconds: float) -> bool:
        """Waits so long; True if the client has ended meanwhile, and the fault should, too."""
        return self.ended.wait(seconds)

    def connect(self, answer_seconds: float = ANSWER_SECONDS) -> socket.socket:
        """A client's connection, which waits so long for what it reads."""
        client = self.launched.connect()
        client.settimeout(answer_seconds)
        return client

    def connect_for_all(self, answer_seconds: float = ANSWER_SECONDS) -> socket.socket:
        """One that is closed when the half ends, at the latest."""
        client = self.connect(answer_seconds)
        self.place.stack.callback(client.close)
        return client


@dataclass
class Seen:
    """What was measured in one half. Times are milliseconds; None where there was nothing to measure."""

    answered: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    p50: float | None = None
    p99: float | None = None
    max: float | None = None
    grown_mib: float | None = None  # the launcher's peak resident memory, more than before the load
    processor_us: float | None = None  # the launcher's, for each answered request
    stop_seconds: float = 0.0  # from SIGTERM to the end
    missed: list[str] = field(default_factory=list)
    told: str = ""  # what else there is to tell, for the command's output
    launched: Launched | None = None  # has ended: its log can be read


class Scenario:
    """One thing that goes wrong. Every hook may be left as it is."""

    group: ClassVar[str] = ""
    name: ClassVar[str] = ""  # the command's word for it, unique
    says: ClassVar[str] = ""  # for the table: "is killed every 0.5 s"
    # What does not apply to this scenario; for each `says` or the README gives the reason.
    judges_latency: ClassVar[bool] = True
    judges_memory: ClassVar[bool] = True
    most_grown_bytes: int = BUFFER_BYTES + SPARE_BYTES  # the launcher's memory under load
    app_may_fail: ClassVar[bool] = False  # the app loses requests by itself: pytest compares with the other half, too
    more_errors: ClassVar[int] = 0  # with `app_may_fail`: by so many the halves may differ, by chance
    rate: ClassVar[float] = 0.0  # requests a second; 0: a quarter of what the unmirrored run carries
    body_bytes: ClassVar[int] = 8192
    connections: ClassVar[int] = 32
    ends_with_app: ClassVar[bool] = False  # the client ends once it is refused; else it goes on trying, and that counts
    judges_door: ClassVar[bool] = False  # the app ends while clients come: door.py
    has_own_app: ClassVar[bool] = False  # what that carries is measured for itself
    seconds: ClassVar[float] = 2.0  # of load, a half
    quick_seconds: ClassVar[float] = 1.0
    longest_alone_seconds: ClassVar[float] = math.inf  # of an unmirrored half; with --quick a tenth
    pairs: ClassVar[int] = 0  # of halves; 0: --pairs. Where latencies are not judged there is one
    times: ClassVar[int] = 0  # more halves with the launcher than pairs: so many in all, some at once
    quick_times: ClassVar[int] = 1
    # What account.py may conclude:
    beside: int | None = 0  # requests of others than the load, all of which were seen; None: nobody knows how many
    replayer_dies: bool = False  # what it had read has no end that is known
    copies_arrive: bool = True  # where a destination does well
    no_balance: ClassVar[str] = ""  # why the launcher tells none
    longest_stop_seconds: ClassVar[float] = 4.0  # from SIGTERM to the launcher's end: 2 s for the mirror, and spare

    def __init_subclass__(cls) -> None:
        if cls.name:
            assert cls.name not in SCENARIOS, f"two scenarios are called {cls.name}"
            SCENARIOS[cls.name] = cls

    needs: ClassVar[str] = NAMESPACES  # tests/needs.py: the gate insists on what `missing` looks for

    def missing(self) -> str | None:
        """Why it can't run on this machine."""
        return None

    def prepare(self, place: Place) -> Setup:
        """Starts what the launcher needs; called before each half."""
        return Setup(options=["--to", "http://127.0.0.1:9"])

    def until_served(self, run: Run) -> None:
        """Waits until clients can connect; or until what else must be, where they never can."""
        if run.place.is_mirrored:
            run.launched.wait_until_listening()
        else:
            wait_until(lambda: not run.launched.is_refused(), "the app listens", PATIENCE_SECONDS)

    def client_prefix(self) -> Sequence[str]:
        """Words in front of the client's, after `prepare`."""
        return ()

    def until_ready(self, run: Run) -> None:
        """Waits, before the client starts, for what the fault needs."""

    def crowd(self, run: Run) -> None:
        """Clients that are there before the load; the memory that they cost the launcher counts."""

    def fault(self, run: Run) -> None:
        """In a thread, while the client drives, in both halves: does it, and returns at the latest when `run.wait`
        tells the end. Raises AssertionError for what must not be."""

    def stop(self, run: Run) -> None:
        """Ends the launcher in the usual way."""
        run.launched.stop()

    def judge(self, run: Run, seen: Seen) -> None:
        """After the half: raises AssertionError for what else should hold. `seen.launched` has ended."""


SCENARIOS: dict[str, type[Scenario]] = {}


def python(program: str, *words: str) -> list[str]:
    """The words that run a program beside this file."""
    return [sys.executable, "-I", "-S", "-u", str(PROGRAMS / program), *words]


def read_answer(client: socket.socket) -> bytes:
    """One answer of programs/, or what came before the connection's end."""
    answer = b""
    while not answer.endswith(OK_END):
        data = client.recv(4096)
        if not data:
            break
        answer += data
    return answer


def app_command(*, work_us: float = WORK_US, wait_ms: float = 0) -> list[str]:
    return python("app.py", "--work-us", str(work_us), "--wait-ms", str(wait_ms))
