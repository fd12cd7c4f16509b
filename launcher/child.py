"""One child process: found as a shell would find it, started, signalled, waited for.

Exit statuses are a shell's: 126 for what can't be executed, 127 for what isn't there, 128+N for a signal's end
(POSIX XCU §2.8.2).
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import trio

CANNOT_EXECUTE = 126
NOT_FOUND = 127

_SHELL = "/bin/sh"
_IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFSZ")  # which a program that is executed must not inherit


class CannotStart(Exception):
    """The command can't be started; `status` is what a shell would exit with."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Executable:
    """A file to execute, and the words for it."""

    path: str
    argv: tuple[str, ...]


def find_executable(argv: Sequence[str], environ: Mapping[str, str]) -> Executable:
    """The file that a shell would execute for these words. Raises CannotStart."""
    name = argv[0]
    if not name:
        raise CannotStart(NOT_FOUND, "the command is an empty word")
    if "/" in name:
        return Executable(_checked(name), tuple(argv))
    refusal = CannotStart(NOT_FOUND, f"{name}: not found on PATH")
    for directory in environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(directory or ".", name)
        try:
            return Executable(_checked(path), tuple(argv))
        except CannotStart as error:
            if error.status == CANNOT_EXECUTE:
                refusal = error  # a shell looks on, but remembers this one
    raise refusal


def _checked(path: str) -> str:
    if not os.path.lexists(path):
        raise CannotStart(NOT_FOUND, f"{path}: no such file")
    if os.path.isdir(path):
        raise CannotStart(CANNOT_EXECUTE, f"{path}: is a directory")
    if not os.path.exists(path):
        raise CannotStart(NOT_FOUND, f"{path}: the link points nowhere")
    if not os.access(path, os.X_OK):
        raise CannotStart(CANNOT_EXECUTE, f"{path}: permission denied")
    return path


def execute(argv: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Becomes the command. Raises CannotStart."""
    executable = find_executable(argv, environ)
    for name in _IGNORED_BY_PYTHON:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(executable.path, executable.argv, environ)
    except OSError as error:
        script = _as_shell_script(executable, error)
        os.execve(script.path, script.argv, environ)


def _as_shell_script(executable: Executable, error: OSError) -> Executable:
    """What a shell does with a file that the kernel doesn't know: a text is a script of its own. Raises CannotStart."""
    if error.errno == errno.ENOENT:
        raise CannotStart(NOT_FOUND, f"{executable.path}: its interpreter is missing") from None
    if error.errno == errno.ENOEXEC and not _is_binary(executable.path):
        return Executable(_SHELL, (_SHELL, executable.path, *executable.argv[1:]))
    raise CannotStart(CANNOT_EXECUTE, f"{executable.path}: {error.strerror}") from None


def _is_binary(path: str) -> bool:
    """As bash judges: a NUL in the first line."""
    try:
        with open(path, "rb") as file:
            return b"\0" in file.read(80).partition(b"\n")[0]
    except OSError:
        return True


class Child:
    """A running child process."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self.pid = process.pid
        running.add(self.pid)

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
    inherit_fds: bool = False,
) -> Child:
    """Starts a child in a session of its own. Raises CannotStart.

    `inherit_fds` hands down what the launcher itself was given (a descriptor of its own is never inheritable).
    """
    global _starting
    executable = find_executable(argv, environ)

    async def open_process(file: Executable) -> trio.Process:
        return await trio.lowlevel.open_process(
            file.argv, executable=file.path, env=environ, stdin=stdin, stdout=stdout, stderr=stderr,
            start_new_session=True, close_fds=not inherit_fds, pass_fds=tuple(pass_fds),
        )  # fmt: skip

    _starting += 1
    try:
        try:
            process = await open_process(executable)
        except OSError as error:
            process = await open_process(_as_shell_script(executable, error))
        return Child(process)
    finally:
        _starting -= 1
        if os.getpid() == 1:
            reap_adopted()


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
