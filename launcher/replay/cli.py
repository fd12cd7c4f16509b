"""The replayer's command line: `start-traffic-duplicator --replay --launcher-pipe FD`, as the launcher starts it.

SIGTERM, SIGINT and SIGHUP are ignored from the first moment to the last: Heroku sends SIGTERM to every process of a
dyno, and what the launcher has handed over is to be sent all the same. The end of standard input ends the replayer.
Exit status: 0 after the drain, 1 if the launcher's bytes made no sense, 2 for wrong words or options.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from launcher.options import ConfigurationError, UsageError

HELP = """\
Usage: start-traffic-duplicator --replay --launcher-pipe FD

The built-in replayer: sends copies of requests on to the destinations. The launcher starts it.

  --launcher-pipe FD
      settings and records come on standard input, the account goes to descriptor FD (launcher/replay_protocol.py)
  --help
      this text

Options that it has, in config/gor.options: {options}
"""

_NEEDS = "--replay needs --launcher-pipe FD: only the launcher can start it, as no input of its own is built yet"


def main(argv: Sequence[str]) -> int:
    """The program, given the words after `--replay`; the exit status."""
    try:
        if "--help" in argv:
            return _help()
        return _replay(_launcher_pipe(argv))
    except (UsageError, ConfigurationError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2


def _help() -> int:
    from launcher.gor_flags import FLAGS

    print(HELP.format(options=", ".join(f"--{flag.name}" for flag in FLAGS.values() if flag.builtin)), end="")
    return 0


def _launcher_pipe(argv: Sequence[str]) -> int:
    if len(argv) != 2 or argv[0] != "--launcher-pipe":
        raise UsageError(_NEEDS)
    try:
        fd = int(argv[1])
        os.fstat(fd)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"--launcher-pipe must be the number of an open descriptor, not {argv[1]!r}") from None
    return fd


def _replay(account_fd: int) -> int:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    import trio  # slow to import: the signals are to be ignored before

    from launcher.replay.pipeline import run_under_launcher

    return trio.run(run_under_launcher, account_fd)
