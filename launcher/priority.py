"""How a process lets everybody else go first: its niceness, its session's, and its turn when memory runs out.

Where the scheduler groups tasks by session (CONFIG_SCHED_AUTOGROUP, on by default in most kernels, for what is in no
cgroup of its own for the processor), niceness counts within a session only, and each session gets an equal share: the
session has a niceness, too (sched(7), "The autogroup feature").
"""

from __future__ import annotations

import errno
import os

from launcher.log import log

_NICE = 10
_OOM_SCORE_ADJ = 1000  # proc(5): the first to go when memory runs out


def stand_back(pid: int) -> None:
    """For all threads of a process that leads its group, and for what it starts from now on."""
    try:
        if os.getpriority(os.PRIO_PROCESS, pid) < _NICE:  # the launcher may stand back further itself
            os.setpriority(os.PRIO_PGRP, pid, _NICE)
    except OSError as error:
        _tell(error)
    try:
        _write(pid, "oom_score_adj", _OOM_SCORE_ADJ)
    except OSError as error:
        _tell(error)


def session_stands_back(pid: int) -> bool:
    """For the session that a process leads. False if that must be tried again.

    All users without privileges together may do so ten times a second (kernel/sched/autogroup.c).
    """
    try:
        _write(pid, "autogroup", _NICE)
    except BlockingIOError:
        return False
    except OSError as error:
        _tell(error)
    return True


def _write(pid: int, name: str, value: int) -> None:
    with open(f"/proc/{pid}/{name}", "w") as file:
        file.write(str(value))


def _tell(error: OSError) -> None:
    if error.errno not in (errno.ESRCH, errno.ENOENT):  # else it has ended, or this kernel groups nobody by session
        log("replayer-priority", level="warning", error=str(error))
