"""The processor time of real process groups."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from launcher.processor_time import ProcessorTime

BURN = "import os\nwhile sum(os.times()[:2]) < 0.3: pass\n"
PYTHON = [sys.executable, "-I", "-S", "-c"]
CHILD_IN_BETWEEN = f"""
import subprocess, sys
print(flush=True); sys.stdin.readline()
subprocess.run({[*PYTHON, BURN]!r})
print(flush=True); sys.stdin.readline()
"""
CHILD_THAT_LIVES = f"""
import subprocess, sys
child = subprocess.Popen({[*PYTHON, BURN + 'print(flush=True); input()']!r}, stdin=subprocess.PIPE)
sys.stdin.read()
"""


class Group:
    """A process that leads a group."""

    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen(
            [*PYTHON, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )

    def __enter__(self) -> Group:
        self.process.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self.process.pid, 9)
        self.process.__exit__(None, None, None)

    def next(self) -> int:
        """Waits for its next line. Its number."""
        assert self.process.stdout is not None
        self.process.stdout.readline()
        return self.process.pid

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()


def test_a_child_counts_while_it_lives_and_when_it_has_ended():
    time = ProcessorTime()
    with Group(CHILD_THAT_LIVES) as group:
        assert time.look([group.next()]) >= 0.3
    with Group(CHILD_IN_BETWEEN) as group:
        before = time.look([group.next()])
        group.go_on()
        assert time.look([group.next()]) - before >= 0.3


def test_only_the_groups_that_are_asked_for_count():
    time = ProcessorTime()
    with Group(BURN + "print(flush=True); input()") as wanted, Group(BURN * 3 + "print(flush=True); input()") as other:
        other.next()
        assert 0.3 <= time.look([wanted.next()]) < 0.6


def test_it_goes_on_when_a_group_is_followed_by_another():
    time = ProcessorTime()
    for so_far in (0.3, 0.6):
        with Group(BURN + "print(flush=True); input()") as group:
            assert so_far <= time.look([group.next()])
    assert 0.6 <= time.look([]) == time.look([2**22 + 1])


def test_a_group_whose_leader_is_told_late_counts_whole():
    time = ProcessorTime()
    with Group(CHILD_THAT_LIVES) as group:
        pid = group.next()
        assert time.look([]) == 0
        assert time.look([pid]) >= 0.3


def test_without_proc_it_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        ProcessorTime(str(tmp_path / "none")).look([1])
