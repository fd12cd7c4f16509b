"""The app's process, started before trio is imported: a boot must not wait for what only the launcher needs.

From then on until the supervisor takes the signals over they are noted, so that none is lost between the two.
"""

from __future__ import annotations

import errno
import signal
import subprocess
from contextlib import suppress
from types import FrameType

from launcher.app_command import AppCommand
from launcher.executable import Executable, as_shell_script, find_executable

CONCERNING_THE_APP = (
    "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU", "SIGWINCH",
)  # fmt: skip
_LAST_WORDS_SECONDS = 2.0
_NO_MORE_PROCESSES = (errno.EAGAIN, errno.ENOMEM)  # fork(2): RLIMIT_NPROC, a cgroup's pids.max; memory


class AppProcess:
    """The app, running; and the signals that have come for it so far."""

    def __init__(self, app: AppCommand) -> None:
        """Starts it in a session of its own, with every descriptor that the launcher was given.

        Raises CannotStart; OSError where no process can be started beside this one.
        """
        # One that was ignored stays so, for the app too (nohup).
        self.signals = [
            number
            for number in (getattr(signal, name) for name in CONCERNING_THE_APP if hasattr(signal, name))
            if signal.getsignal(number) is not signal.SIG_IGN
        ]
        self.noted: list[int] = []
        executable = find_executable(app.argv, app.environ)
        for number in self.signals:
            signal.signal(number, self._note)
        try:
            self.process = _open(executable, app)
        except OSError as error:
            if error.errno in _NO_MORE_PROCESSES:
                raise
            self.process = _open(as_shell_script(executable, error), app)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.noted.append(number)

    def status(self) -> int | None:
        """The exit status as a shell would tell it; None while the app runs."""
        code = self.process.poll()
        return code if code is None or code >= 0 else 128 - code

    def terminate(self) -> None:
        """Asks the app to end, unless it has; one that has become another user's can't be asked."""
        with suppress(PermissionError):
            self.process.terminate()

    def take_back(self) -> None:
        """Ends the app that has just been started, and lets signals do what they did before."""
        for number in self.signals:
            signal.signal(number, signal.SIG_DFL)
        self.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_LAST_WORDS_SECONDS)
        self.process.kill()
        self.process.wait()


def _open(file: Executable, app: AppCommand) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        file.argv, executable=file.path, env=app.environ, start_new_session=True,
        close_fds=False,  # a descriptor of the launcher's own is never inheritable
    )  # fmt: skip
