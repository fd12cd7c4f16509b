"""Writes a file that a user has named, to where the name leads.

A file is replaced at once, when the new one is whole, and only its owner may read it. Links stay: what they lead to is
replaced. Devices and pipes are written to, and where standard output or error goes already, it goes behind what is
there: were they replaced, /dev/null or /dev/stdout would be gone for everybody.

In a folder that everybody may write to, /tmp say, a stranger can have laid a link or a pipe under a name that is easy
to guess. It is used only if its owner is this user or the folder's, as Linux has it with fs.protected_symlinks.
"""

from __future__ import annotations

import errno
import math
import os
import select
import stat
import time
from contextlib import suppress

_MOST_LINKS = 40  # as the kernel has it: path_resolution(7)
_OPEN_PLACES = (1, 2)  # standard output and error


def write_file(path: str, data: bytes, patience_seconds: float | None) -> None:
    """Raises OSError, with nothing left behind but what a device or a pipe has taken.

    The reader of a pipe has `patience_seconds` to take all of it; None: as long as it likes.
    """
    target = _followed(path)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        _replace(target, data)
        return
    for fd in _OPEN_PLACES:
        if _leads_to(fd, found):
            _write(fd, data, patience_seconds)
            return
    if stat.S_ISREG(found.st_mode):
        _replace(target, data)
        return
    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)  # waits for no reader of a named pipe
    try:
        _write(fd, data, patience_seconds)
    finally:
        os.close(fd)


def _followed(path: str) -> str:
    """The name to which the links lead, whether it is there or not."""
    for _ in range(_MOST_LINKS):
        folder = os.path.dirname(path) or "."
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return path
        where = os.stat(folder)
        is_for_all = where.st_mode & stat.S_ISVTX and where.st_mode & stat.S_IWOTH
        if is_for_all and found.st_uid not in (os.geteuid(), where.st_uid):
            raise PermissionError(errno.EACCES, "it is somebody else's, in a folder that everybody may write to")
        if not stat.S_ISLNK(found.st_mode):
            return path
        path = os.path.join(folder, os.readlink(path))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _leads_to(fd: int, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), found)
    except OSError:  # it is closed
        return False


def _replace(path: str, data: bytes) -> None:
    import tempfile  # only who writes a report needs it

    fd, new = tempfile.mkstemp(prefix="traffic-duplicator-", suffix=".new", dir=os.path.dirname(path) or ".")  # 0600
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        os.replace(new, path)
    except BaseException:  # a Ctrl-C, too
        with suppress(OSError):
            os.unlink(new)
        raise


def _write(fd: int, data: bytes, patience_seconds: float | None) -> None:
    """In pieces that a pipe which is writable takes at once, pipe(7): standard output can't be made non-blocking,
    because others have it, too."""
    until = math.inf if patience_seconds is None else time.monotonic() + patience_seconds
    ready = select.poll()
    ready.register(fd, select.POLLOUT)
    rest = memoryview(data)
    while rest:
        left = until - time.monotonic()
        if left <= 0 or not ready.poll(None if left == math.inf else left * 1000):
            raise TimeoutError(f"its reader has not taken all of it within {patience_seconds:g} s")
        with suppress(BlockingIOError):
            rest = rest[os.write(fd, rest[: select.PIPE_BUF]) :]
