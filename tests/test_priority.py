"""Processes that let everybody else go first, started as root and as a user without privileges."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.accounts import BACKMOST, has_sessions

ROOT = Path(__file__).resolve().parent.parent
NOBODY = 65534

# Several at once: without privileges the kernel lets one of them set its session's niceness at a time.
STARTS_THREE = """
import os
import sys

import trio

from launcher import child
from tests.system.accounts import rank

os.setuid(int(sys.argv[1]))

async def main():
    children = [await child.start(["/bin/sleep", "60"], {}, stands_back=True) for _ in range(3)]
    print(sum(child.must_try_again for child in children))
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
    first, *ranks = done.stdout.splitlines()
    assert ranks == [str(BACKMOST)] * 3
    assert not done.stderr  # no warning
    assert (int(first) > 0) == (user != 0 and has_sessions()), "how many had to try again"
