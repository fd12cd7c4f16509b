"""What a command's words execute: found as a shell would find it, refused with a shell's status.

126 is for what can't be executed, 127 for what isn't there (POSIX XCU §2.8.2). Nothing here needs trio: a command that
runs without the launcher should not wait for its import.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from launcher.command_hints import why_no_command

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
    hint = why_no_command(argv)
    refusal = CannotStart(NOT_FOUND, f"{name}: not found on PATH" + (f"; {hint}" if hint else ""))
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


def missing_interpreter(path: str, environ: Mapping[str, str]) -> str | None:
    """What the script at `path` asks for in its first line and is not there (execve(2), env(1)); None if all is."""
    try:
        with open(path, "rb") as file:
            first_line = file.readline(256)
    except OSError:
        return None  # a program may be executable and unreadable
    if not first_line.startswith(b"#!"):
        return None
    words = os.fsdecode(first_line[2:].rstrip(b"\n")).strip(" \t").split(" ")
    if first_line.endswith(b"\r\n"):
        return f"{path}: its first line ends as on Windows, so its interpreter is not found: save the file with LF"
    if words[0] and not os.path.exists(words[0]):
        return f"{path}: its interpreter {words[0]} is missing"
    if len(words) == 2 and os.path.basename(words[0]) == "env" and not words[1].startswith("-"):
        try:
            find_executable(words[1:], environ)
        except CannotStart:
            return f"{path}: its interpreter {words[1]} is not on PATH"
    return None


def execute(argv: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Becomes the command. Raises CannotStart."""
    executable = find_executable(argv, environ)
    ignored = [number for name in _IGNORED_BY_PYTHON if (number := getattr(signal, name, None)) is not None]
    ignored = [number for number in ignored if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(executable.path, executable.argv, environ)
    except OSError as error:
        script = as_shell_script(executable, error)
        os.execve(script.path, script.argv, environ)
    finally:  # it can't be executed: that must be told, even where nobody reads it
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


def as_shell_script(executable: Executable, error: OSError) -> Executable:
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
