"""A machine whose memory ends while a replayer takes it: a memory cgroup around launcher, app and replayer."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from faults.machine import PoorMachine
from faults.replayer import FakeGor
from faults.scenario import MIB, Place, Run, Seen, Setup, app_command
from tests.cgroups import new_memory_cgroup
from tests.needs import CGROUPS

_APP_MIB = 200  # more than the replayer can have: by its size it would be the app that the kernel kills
_LIMIT_MIB = 320
_LOOK_SECONDS = 0.001


class MemoryEnds(PoorMachine):
    """While what a killed process had is not yet free, the kernel may take the next one for memory that somebody else
    asks for, as if it had not just killed one: so the replayer grows once, few ask, and the limit is raised at once."""

    name = "machine-memory"
    says = f"has {_LIMIT_MIB} MiB, the app half of them; a replayer takes the rest, and is what the kernel kills"
    needs = CGROUPS
    seconds = quick_seconds = 2.5
    rate = 50.0

    def missing(self) -> str | None:
        with ExitStack() as stack:
            try:
                stack.enter_context(new_memory_cgroup(_LIMIT_MIB * MIB))
            except OSError as error:
                return f"no memory cgroup can be made, which needs root: {error}"
        return None

    def prepare(self, place: Place) -> Setup:
        self.cgroup = place.stack.enter_context(new_memory_cgroup(_LIMIT_MIB * MIB))
        gor = FakeGor()
        gor.mode = f"grow-once {place.folder / 'grown'}"
        setup = gor.prepare(place)
        setup.options = ["--replayer-memory", "1GiB", *setup.options]  # nobody of ours steps in before
        setup.command = [*app_command(), "--hold-mib", str(_APP_MIB)]
        setup.prefix = self.cgroup.prefix
        return setup

    def until_ready(self, run: Run) -> None:
        super().until_ready(run)
        self.raising = threading.Thread(target=self.raise_limit, args=(run,), daemon=True)
        self.raising.start()

    def raise_limit(self, run: Run) -> None:
        """Once somebody was killed; in the unmirrored half at the end."""
        while not self.cgroup.killed and not run.wait(_LOOK_SECONDS):
            pass
        self.cgroup.limit.write_text(str(4 * _LIMIT_MIB * MIB))

    def fault(self, run: Run) -> None:
        self.raising.join()
        run.ended.wait()
        self.killed = self.cgroup.killed

    def judge(self, run: Run, seen: Seen) -> None:
        assert self.killed == run.place.is_mirrored, f"the kernel has killed {self.killed}"
        if run.place.is_mirrored:
            ended = [facts["status"] for facts in run.launched.facts("replayer-restart")]
            assert ended == ["137"], f"it was not the replayer: {ended}"
