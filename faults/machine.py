"""Machines that lack something: descriptors, processes, or time for the launcher."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time

from faults.destination import WellServed
from faults.replayer import FakeGor
from faults.scenario import ANSWER_SECONDS, OK_END, PROGRAMS, Place, Run, Seen, Setup, read_answer
from tests.system import accounts
from tests.system.launched import PATIENCE_SECONDS
from tests.system.sink import wait_until

_STOP_SEEN_MS = 100.0  # half of the time for which nobody answers
_NOBODY = "61234"  # a user without a process of its own


class PoorMachine(WellServed):
    group = "Machine"


class WellGor(FakeGor):
    mode = "well"


class FewDescriptors(PoorMachine):
    name = "machine-descriptors"
    says = "has 64 descriptors for each process, and 24 clients more come than the launcher has descriptors for"
    connections = 12

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        setup.prefix = ["prlimit", "--nofile=64:64", "--"]
        return setup

    def missing(self) -> str | None:
        return None if shutil.which("prlimit") else "prlimit is not here"

    def fault(self, run: Run) -> None:
        run.wait(0.2)
        clients = [run.launched.connect() for _ in range(24)]
        run.wait(run.seconds / 2)
        for client in clients:
            client.close()

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            assert run.launched.facts("accept-paused"), "it did not run out of descriptors"


class NoProcesses(PoorMachine):
    """Of a user who may have one process beside the launcher's, the app; a thread counts, too: there is no replayer,
    and no thread that writes the log."""

    name = "machine-processes"
    says = "allows no process and no thread beside launcher and app (RLIMIT_NPROC)"
    python = "/usr/bin/python3"  # ours may be in a folder of root's
    processes = 2
    copies_arrive = False

    def missing(self) -> str | None:
        if os.geteuid():
            return "it needs root, to become another user"
        needed = ("setpriv", "prlimit", self.python)
        return next((f"{program} is not here" for program in needed if not shutil.which(program)), None)

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        place.folder.chmod(0o755)
        app = place.folder / "app.py"
        shutil.copy(PROGRAMS / "app.py", app)
        app.chmod(0o644)
        setup.command = [self.python, "-I", "-S", "-u", str(app), "--work-us", "200"]
        setup.prefix = [
            "setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--",
            "prlimit", f"--nproc={self.processes}:{self.processes}", "--",
        ]  # fmt: skip
        return setup

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            assert run.launched.facts("replayer-start-failed"), "it could start a replayer"


class OneProcess(NoProcesses):
    """No shell can fork a Python to look at, so the word becomes the app."""

    name = "machine-one-process"
    says = "allows one process, and that is the app (RLIMIT_NPROC): it runs unmirrored"
    processes = 1
    no_balance = "it runs unmirrored"

    def until_served(self, run: Run) -> None:
        wait_until(lambda: not run.launched.is_refused(), "the app listens", PATIENCE_SECONDS)

    def judge(self, run: Run, seen: Seen) -> None:
        [line] = run.launched.facts("unmirrored")
        assert line["level"] == ("error" if run.place.is_mirrored else "info"), line


class Stopped(PoorMachine):
    name = "machine-stops-launcher"
    says = "stops the launcher for 0.2 s, twice (SIGSTOP, SIGCONT)"
    judges_latency = False  # nobody can answer meanwhile

    def fault(self, run: Run) -> None:
        for _ in range(2):
            run.wait(0.2)
            run.launched.send_signal(signal.SIGSTOP)
            try:
                wait_until(lambda: accounts.is_stopped(run.launched.pid), "the launcher stands still")
                run.wait(0.2)
            finally:
                run.launched.send_signal(signal.SIGCONT)

    def judge(self, run: Run, seen: Seen) -> None:
        assert seen.max and seen.max > _STOP_SEEN_MS, f"no client had to wait: at most {seen.max} ms"


class LauncherKilled(PoorMachine):
    """SIGKILL can't be handed down: docs/signals.md says what becomes of the app, and so it must be."""

    name = "machine-kills-launcher"
    says = "kills the launcher: clients are cut off and refused, the replayer ends; the app lives on, out of reach"
    app_may_fail = ends_with_app = True
    more_errors = 32  # one a connection
    judges_latency = False  # of the few that are answered
    rate = 400.0
    no_balance = "the launcher is killed"
    ends_within_seconds = 4.0

    def until_ready(self, run: Run) -> None:
        if run.place.is_mirrored:
            accounts.process(run.launched, self.is_replayer)

    def fault(self, run: Run) -> None:
        run.wait(run.seconds / 2)
        app_port = int(run.launched.facts("listening")[0]["app"].rpartition(":")[2]) if run.place.is_mirrored else 0
        replayers = [pid for pid in run.launched.processes() if self.is_replayer(pid)]
        killed_at = time.monotonic()
        run.launched.kill()
        assert bool(replayers) is run.place.is_mirrored, f"the replayers are {replayers}"
        if run.place.is_mirrored:
            wait_until(lambda: len(run.launched.processes()) == 1, "only the app is left", PATIENCE_SECONDS)
            self.ended_after = time.monotonic() - killed_at
            with socket.create_connection(("127.0.0.1", app_port), ANSWER_SECONDS) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")
                assert read_answer(client).endswith(OK_END), "the app does not live on"
            run.launched.send_signal_to_all(signal.SIGKILL)
        assert run.launched.is_refused(), "somebody listens on $PORT"

    def is_replayer(self, pid: int) -> bool:
        return accounts.is_builtin(pid)

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            assert self.ended_after < self.ends_within_seconds, f"the replayer lived on for {self.ended_after:.1f} s"


class LauncherOfGorKilled(LauncherKilled):
    name = "machine-kills-launcher-gor"
    says = "kills the launcher, whose replayer is a gor: the same"

    def prepare(self, place: Place) -> Setup:
        self.gor = WellGor()
        return self.gor.prepare(place)

    def fault(self, run: Run) -> None:
        if run.place.is_mirrored:  # a helper that does not read yet waits longer for its launcher
            wait_until(lambda: bool(self.gor.count("copies")), "gor reads", PATIENCE_SECONDS)
        super().fault(run)

    def is_replayer(self, pid: int) -> bool:
        return accounts.is_gor(pid)


class TermStorm(PoorMachine):
    name = "machine-sigterm-storm"
    says = "sends up to 200 SIGTERMs at the end, as long as the launcher lives"

    def stop(self, run: Run) -> None:
        sent = 0
        while sent < 200 and run.launched.is_running:
            run.launched.send_signal(signal.SIGTERM)
            sent += 1
        assert sent > 1 or not run.place.is_mirrored, "it has ended at the first one"
        status = run.launched.wait()
        assert status == 0, f"the status is {status}, and the app's is 0"
