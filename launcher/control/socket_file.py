"""Where a launcher's control socket is, and how another process finds it.

The socket has the mode 0600 and lies in a folder of the launcher's user that nobody else can enter (0700). Which folder
that is depends on the launcher's environment (`$XDG_RUNTIME_DIR`, `$HOME`, `$TMPDIR`, else /tmp), so whoever looks for
it, perhaps in another environment, does not guess: /proc/net/unix has the path of every socket of this network
namespace. Paths in folders that are not private are no launcher's, whatever they are called.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import stat
import struct
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from launcher.leftovers import PREFIX, is_refused, remove_leftovers

_NAME = re.compile(r"traffic-duplicator-[0-9]+-[0-9a-f]{8}\.sock")
_MAX_PATH_BYTES = 107  # unix(7): sun_path
_BACKLOG = 16
_STALE_SECONDS = 5.0  # one that is younger may be between bind(2) and listen(2)
_MOST_LOOKED_AT = 1000
_LISTENS = 0x10000  # __SO_ACCEPTCON, in the flags of /proc/net/unix
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


@dataclass(frozen=True)
class Peer:
    """Who is at the other end; pid 0: a process of another pid namespace."""

    pid: int
    uid: int


class HasOptions(Protocol):
    """A socket, or trio's."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...


def peer_of(sock: HasOptions) -> Peer | None:
    """SO_PEERCRED, unix(7): who connected, or who called listen(2). None where the system doesn't tell (macOS)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    pid, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return Peer(pid, uid)


# ---- the launcher's side -------------------------------------------------------------------------------------------


@contextmanager
def listening(environ: Mapping[str, str]) -> Iterator[tuple[socket.socket, str]]:
    """A non-blocking listening socket and its path; both go in the end. Raises OSError if it has no place."""
    sock, path, is_new_folder = _open_somewhere(environ)
    folder = os.path.dirname(path)
    try:
        _remove_stale(folder)
        if is_new_folder:
            remove_leftovers([os.path.dirname(folder)])
        yield sock, path
    finally:
        sock.close()
        with suppress(OSError):
            os.unlink(path)
        if is_new_folder:
            with suppress(OSError):
                os.rmdir(folder)


def _open_somewhere(environ: Mapping[str, str]) -> tuple[socket.socket, str, bool]:
    """The socket, its path, and whether its folder was made for it alone, because no other would do."""
    refusals = []
    for folder in _folders(environ):
        try:
            return *_listen(_private(folder)), False
        except OSError as error:
            refusals.append(f"{folder}: {error.strerror or error}")
    try:
        return *_listen(tempfile.mkdtemp(prefix=f"{PREFIX}run-")), True
    except OSError as error:
        refusals.append(f"a new folder: {error.strerror or error}")
    raise OSError(f"there is no place for the control socket ({'; '.join(refusals)}): set TMPDIR to a writable folder")


def _folders(environ: Mapping[str, str]) -> Iterator[str]:
    """Where it may be, best first."""
    for variable, below in (("XDG_RUNTIME_DIR", "traffic-duplicator"), ("HOME", ".traffic-duplicator")):
        if os.path.isabs(environ.get(variable, "")):
            yield os.path.join(environ[variable], below, "run")
    for parent in dict.fromkeys((environ.get("TMPDIR", ""), "/tmp", "/var/tmp", "/dev/shm")):
        if os.path.isabs(parent):
            yield os.path.join(parent, f"traffic-duplicator-{os.geteuid()}", "run")


def _private(folder: str) -> str:
    """The folder and its parent, made if need be. Raises OSError unless they are this user's alone."""
    for each in (os.path.dirname(folder), folder):
        with suppress(FileExistsError):
            os.mkdir(each, 0o700)
        found = os.lstat(each)
        may_not = 0o077 if each == folder else 0o022  # the parent may be read: it holds the unpacked launcher
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & may_not:
            raise PermissionError(f"{each} is not ours alone")
    return folder


def _listen(folder: str) -> tuple[socket.socket, str]:
    path = os.path.join(folder, f"traffic-duplicator-{os.getpid()}-{secrets.token_hex(4)}.sock")
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise OSError(f"{path} is longer than {_MAX_PATH_BYTES} bytes")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        os.chmod(path, 0o600)  # before listen(2): until then nobody can connect
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        with suppress(OSError):
            os.unlink(path)
        raise
    return sock, path


def _remove_stale(folder: str) -> None:
    """Removes the sockets of launchers that were killed."""
    for path in _sockets_in(folder):
        with suppress(OSError):
            if time.time() - os.lstat(path).st_mtime > _STALE_SECONDS and is_refused(path):
                os.unlink(path)


# ---- the side of who looks for it ----------------------------------------------------------------------------------


def find_sockets(environ: Mapping[str, str]) -> list[str]:
    """The paths of what may be launchers' sockets: those in private folders of this user's, or for root of any's."""
    listed = [path for path in _listening_paths() if _NAME.fullmatch(os.path.basename(path))]
    beside = [path for folder in _folders(environ) for path in _sockets_in(folder)]
    found: dict[tuple[int, int], str] = {}
    for path in [*listed, *beside]:
        with suppress(OSError):
            if _is_safe(path):
                inode = os.lstat(path)
                found.setdefault((inode.st_dev, inode.st_ino), path)
    return list(found.values())


def may_be_asked(path: str, peer: Peer | None) -> bool:
    """Whether who listens at `path` is who could put it there: this user or root; root asks anybody's."""
    return peer is None or peer.uid in (0, os.geteuid()) or (os.geteuid() == 0 and peer.uid == os.lstat(path).st_uid)


def _is_safe(path: str) -> bool:
    """A socket in a folder that only its owner can enter, who is this user; or anybody, for root."""
    folder, file = os.lstat(os.path.dirname(path)), os.lstat(path)
    is_ours = folder.st_uid == file.st_uid and os.geteuid() in (0, file.st_uid)
    return is_ours and stat.S_ISDIR(folder.st_mode) and not folder.st_mode & 0o077 and stat.S_ISSOCK(file.st_mode)


def _listening_paths() -> Iterator[str]:
    """Of all listening Unix sockets of this network namespace that have one; none where there is no such file."""
    try:
        lines = Path("/proc/net/unix").read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split(None, 7)  # Num RefCount Protocol Flags Type St Inode Path
        with suppress(ValueError):
            if len(words) == 8 and words[7].startswith(b"/") and int(words[3], 16) & _LISTENS:
                yield os.fsdecode(words[7])


def _sockets_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _MOST_LOOKED_AT)]
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names if _NAME.fullmatch(name)]
