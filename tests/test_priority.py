"""Processes that let everybody else go first, started as root and as a user without privileges."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from launcher import child
from launcher.priority import session_stands_back, stand_back
from tests.system.accounts import BACKMOST, NICENESS, rank

ROOT = Path(__file__).resolve().parent.parent
NOBODY = 65534

# Several at once: without privileges the kernel lets one of them set its session's niceness every 0.1 s.
STARTS_THREE = """
import os
import sys

import trio

from launcher import child
from tests.system.accounts import rank

os.setuid(int(sys.argv[1]))

async def main():
    children = [await child.start(["/bin/sleep", "60"], {}, stands_back=True) for _ in range(3)]
    with trio.fail_after(30):
        for child_ in children:
            await child_.stand_back_wholly()
    for child_ in children:
        print(rank(child_.pid))
        child_.send_signal(9)
        await child_.wait()

trio.run(main)
"""


@pytest.mark.parametrize("as_nobody", [False, True])
def test_all_that_are_started_at_once_stand_back_in_the_end(as_nobody):
    user = NOBODY if as_nobody and os.geteuid() == 0 else os.geteuid()
    done = subprocess.run(
        [sys.executable, "-c", STARTS_THREE, str(user)], cwd=ROOT, text=True, capture_output=True, check=True
    )
    assert done.stdout.splitlines() == [str(BACKMOST)] * 3
    assert not done.stderr  # no warning


async def test_a_session_that_may_not_stand_back_at_once_does_later(monkeypatch):
    answers = [False, False]  # the kernel's, by way of EAGAIN

    def at_the_third_time(pid: int) -> bool:
        return answers.pop() if answers else session_stands_back(pid)

    monkeypatch.setattr(child, "session_stands_back", at_the_third_time)
    started = await child.start(["/bin/sleep", "60"], {}, stands_back=True)
    assert started.session_must_stand_back
    with trio.fail_after(10):
        await started.stand_back_wholly()
    assert rank(started.pid) == BACKMOST
    started.send_signal(signal.SIGKILL)
    await started.wait()


@pytest.mark.parametrize("before", [15, 19])
async def test_one_that_stands_back_further_already_is_not_brought_forward(before):
    started = await child.start(["/usr/bin/nice", "-n", str(before - NICENESS), "/bin/sleep", "60"], {})
    with trio.fail_after(10):
        while os.getpriority(os.PRIO_PROCESS, started.pid) != before:
            await trio.sleep(0.01)
    stand_back(started.pid)
    assert rank(started.pid).niceness == before
    assert rank(started.pid).oom_score_adj == BACKMOST.oom_score_adj
    started.send_signal(signal.SIGKILL)
    await started.wait()


def test_a_process_that_has_ended_is_no_reason_to_warn(capfd):
    with subprocess.Popen(["/bin/true"]) as ended:
        pass
    stand_back(ended.pid)
    assert session_stands_back(ended.pid)
    assert "replayer-priority" not in capfd.readouterr().err
