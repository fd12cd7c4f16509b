"""Private folders in places for temporary files, and what launchers that were killed have left of them.

Whoever makes one gives it a name of `PREFIX`, a kind and a random end, mode 0700 and, if it is to last, a lock:
flock(2) on the folder, which goes with its process, and which systemd-tmpfiles respects, too (tmpfiles.d(5)). It is
left over if it is this user's alone, an hour old, not locked, and nobody listens at a socket in it. No link is followed
and no folder below it entered: one that is not as a launcher leaves it stays as it is.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice

PREFIX = "traffic-duplicator-"
_NAME = re.compile(rf"{PREFIX}(?:gor|app|run)-[0-9a-z_]{{8,12}}")  # mkdtemp's alphabet; others' names have no kind
_STALE_SECONDS = 3600.0  # an app may still be on its way to its socket when its launcher is killed
_MOST_LOOKED_AT = 10_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def temporary_folders() -> list[str]:
    """Where a private folder may be made, best first; not each of them need be there."""
    import tempfile  # half a millisecond, before the app starts; few need it then

    try:
        found = [tempfile.gettempdir()]
    except FileNotFoundError:  # no usable folder: the errors of the others will tell
        found = []
    return list(dict.fromkeys([*found, "/tmp", "/dev/shm", f"/run/user/{os.getuid()}"]))


def lock(folder: str) -> int | None:
    """Tells everybody that the folder is in use, until the descriptor is closed; None where that can't be told."""
    try:
        fd = os.open(folder, _FOLDER)
    except OSError:
        return None
    with suppress(OSError):  # a file system without locks: nobody can take one there, and so nobody removes it
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def remove_leftovers(parents: Iterable[str]) -> None:
    """Removes what is left over in these folders. Never raises OSError: what can't be removed stays."""
    for parent in parents:
        with suppress(OSError):
            _remove_in(parent)


def _remove_in(parent: str) -> None:
    with os.scandir(parent) as entries:
        names = [entry.name for entry in islice(entries, _MOST_LOOKED_AT) if _NAME.fullmatch(entry.name)]
    for name in names:
        with suppress(OSError):
            _remove_if_left(os.path.join(parent, name))


def _remove_if_left(folder: str) -> None:
    """Raises OSError if anything about it is not as it should be."""
    fd = os.open(folder, _FOLDER)
    try:
        found = os.fstat(fd)
        is_ours_alone = found.st_uid == os.geteuid() and not found.st_mode & 0o077
        if not is_ours_alone or time.time() - found.st_mtime < _STALE_SECONDS:
            return
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        names = os.listdir(fd)
        if any(_is_in_use(folder, name, fd) for name in names):
            return
        for name in names:
            os.unlink(name, dir_fd=fd)
        os.rmdir(folder)
    finally:
        os.close(fd)


def _is_in_use(folder: str, name: str, fd: int) -> bool:
    mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
    return stat.S_ISDIR(mode) or (stat.S_ISSOCK(mode) and not is_refused(os.path.join(folder, name)))


def is_refused(path: str) -> bool:
    """Whether nobody listens at this Unix socket any more; False if that can't be told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            sock.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False
