"""One child process: started, signalled, waited for; its exit status is a shell's, 128+N for a signal's end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Protocol

import trio

from launcher.executable import CANNOT_EXECUTE, CannotStart, Executable, as_shell_script, find_executable
from launcher.priority import session_stands_back, stand_back

_SESSION_AGAIN_SECONDS = 0.15  # more than the 0.1 s in which the kernel lets one in


class Process(Protocol):
    """What a child needs of trio's process, or of one that was there before trio."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    @property
    def stdout(self) -> trio.abc.ReceiveStream | None: ...
    @property
    def stderr(self) -> trio.abc.ReceiveStream | None: ...
    def send_signal(self, sig: signal.Signals, /) -> None: ...
    async def wait(self) -> int: ...


class Child:
    """A running child process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid
        self.session_must_stand_back = False  # its session, which it leads, does not stand back yet
        running.add(self.pid)

    async def stand_back_wholly(self) -> None:
        """Tries again until its session stands back, if it is to."""
        while self.session_must_stand_back:
            await trio.sleep(_SESSION_AGAIN_SECONDS)
            self.session_must_stand_back = not session_stands_back(self.pid)

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    @property
    def stdout(self) -> trio.abc.ReceiveStream | None:
        return self._process.stdout

    @property
    def stderr(self) -> trio.abc.ReceiveStream | None:
        return self._process.stderr

    def send_signal(self, number: int) -> None:
        """Signals the process, unless it has ended. Raises PermissionError when it has become another user's."""
        if self.is_running:
            self._process.send_signal(signal.Signals(number))

    def send_signal_to_group(self, number: int) -> None:
        """Signals all processes of the group that the child leads; those may outlive it."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return  # nobody is left

    async def wait(self) -> int:
        """The exit status as a shell would tell it, 0 to 255."""
        code = await self._process.wait()
        running.discard(self.pid)
        return 128 - code if code < 0 else code


running: set[int] = set()  # the children that are waited for by pid: `reap_adopted` must leave them alone
_starting = 0  # and those whose pid is not known yet


async def start(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    pass_fds: Sequence[int] = (),
    has_own_session: bool = True,
    stands_back: bool = False,
) -> Child:
    """Starts a child, in a session of its own unless it is to go with this process's group. Raises CannotStart.

    One that stands back lets everybody else go first, with all that it starts; `stand_back_wholly` does what is left.
    """
    global _starting
    executable = find_executable(argv, environ)

    async def open_process(file: Executable) -> trio.Process:
        try:
            return await trio.lowlevel.open_process(
                file.argv, executable=file.path, env=environ, stdin=stdin, stdout=stdout, stderr=stderr,
                start_new_session=has_own_session, pass_fds=tuple(pass_fds),
            )  # fmt: skip
        except RuntimeError as error:  # trio starts it from a thread
            raise CannotStart(CANNOT_EXECUTE, f"{file.path}: {error}") from None

    _starting += 1
    try:
        try:
            process = await open_process(executable)
        except OSError as error:
            process = await open_process(as_shell_script(executable, error))
        child = Child(process)
        if stands_back:  # at once, so that what it starts has the same
            stand_back(child.pid)
            child.session_must_stand_back = not session_stands_back(child.pid)
        return child
    finally:
        _starting -= 1
        if os.getpid() == 1:
            reap_adopted()


def adopt(process: subprocess.Popen[bytes]) -> Child:
    """A child that was started before trio ran; its streams are nobody's here."""
    return Child(_Adopted(process))


class _Adopted:
    """A process of the standard library, waited for by trio."""

    stdout = stderr = None

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self.send_signal = process.send_signal

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    async def wait(self) -> int:
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # no Linux of 5.3 or newer, or no descriptor left
            return await trio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)
        try:
            while (code := self._process.poll()) is None:
                await trio.lowlevel.wait_readable(descriptor)
            return code
        finally:
            os.close(descriptor)


PIPE = subprocess.PIPE
DEVNULL = subprocess.DEVNULL


def reap_adopted() -> None:
    """As PID 1, ends the zombies of processes whose own parents have died; while a child is started, not yet."""
    if _starting:
        return  # the end of the start looks again
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) not in running and _is_zombie_of_ours(entry):
            try:
                os.waitpid(int(entry), os.WNOHANG)
            except ChildProcessError:
                continue  # somebody else was quicker


def _is_zombie_of_ours(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, parent = file.read().rpartition(b")")[2].split()[:2]  # proc(5): after the name in parentheses
    except (OSError, ValueError):
        return False
    return state == b"Z" and int(parent) == os.getpid()
