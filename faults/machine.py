"""Machines that lack something: descriptors, processes, a place for files, memory, or time for the launcher."""

from __future__ import annotations

import os
import shutil
import signal

from faults.destination import WellServed
from faults.scenario import PROGRAMS, Place, Run, Seen, Setup

_NOBODY = "61234"  # a user without a process of its own


class PoorMachine(WellServed):
    group = "Machine"


class FewDescriptors(PoorMachine):
    name = "machine-descriptors"
    says = "has 80 descriptors for each process, and 24 clients more come than the launcher has descriptors for"
    connections = 16

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        setup.prefix = ["prlimit", "--nofile=80:80", "--"]
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
            "prlimit", "--nproc=2:2", "--",
        ]  # fmt: skip
        return setup

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            assert run.launched.facts("replayer-start-failed"), "it could start a replayer"


class BadFolder(PoorMachine):
    """HOME and TMPDIR are a file system of their own, in a mount namespace."""

    mount = ""

    def missing(self) -> str | None:
        return "it needs root, to mount" if os.geteuid() or not shutil.which("unshare") else None

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        folder = place.folder / "small"
        folder.mkdir()
        setup.environ |= {"HOME": str(folder), "TMPDIR": str(folder)}
        script = f'mount -t tmpfs {self.mount} none "$0" && {{ head -c 1M /dev/zero > "$0/all" 2>&-; exec "$@"; }}'
        setup.prefix = ["unshare", "-m", "sh", "-c", script, str(folder)]
        return setup


class DiskFull(BadFolder):
    name = "machine-disk-full"
    says = "has no room in HOME and TMPDIR"
    mount = "-o size=64k"


class ReadOnly(BadFolder):
    name = "machine-read-only"
    says = "has HOME and TMPDIR read-only"
    mount = "-o ro"


class Stopped(PoorMachine):
    name = "machine-stops-launcher"
    says = "stops the launcher for 0.2 s, twice (SIGSTOP, SIGCONT)"
    judges_latency = False  # nobody can answer meanwhile

    def fault(self, run: Run) -> None:
        for _ in range(2):
            run.wait(0.2)
            run.launched.send_signal(signal.SIGSTOP)
            run.wait(0.2)
            run.launched.send_signal(signal.SIGCONT)


class TermStorm(PoorMachine):
    name = "machine-sigterm-storm"
    says = "sends 200 SIGTERMs at the end"

    def stop(self, run: Run) -> None:
        for _ in range(200):
            if run.launched.is_running:
                run.launched.send_signal(signal.SIGTERM)
        status = run.launched.wait()
        assert status == 0, f"the status is {status}, and the app's is 0"
