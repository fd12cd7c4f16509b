"""Moves bytes from socket to socket inside the kernel: splice(2) through a pipe, so that they never enter Python.

A pipe is filled only when it is empty: that a full one takes nothing can't be told from a source that has nothing
(EAGAIN means either, and a pipe's room is counted in slots, not in bytes). Pipes are kept for the next transfer, but
one with bytes left in it is closed. They are few and of a moderate size: what all pipes of a *user* may hold together
is bounded (/proc/sys/fs/pipe-user-pages-soft, by default 64 MiB), and beyond it the app's own new pipes would hold
8 KiB. So clients that ask for much and don't read can't have more than a quarter of that.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

PIPE_BYTES = 256 * 1024
_MOST_PIPES = 64
_MOST_KEPT = 16
_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)  # fcntl(2); Python names it from 3.10 on
_F_GETPIPE_SZ = getattr(fcntl, "F_GETPIPE_SZ", 1032)

_NONBLOCK = getattr(os, "SPLICE_F_NONBLOCK", 2) | getattr(os, "SPLICE_F_MOVE", 1)  # splice(2)

IS_POSSIBLE = hasattr(os, "splice")


class Pipe:
    """A pipe between two sockets. Its methods raise OSError as the sockets do; BlockingIOError: not now."""

    __slots__ = ("_reader", "_size", "_writer", "held_bytes")

    def __init__(self) -> None:
        """Raises OSError when there is no descriptor left."""
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        set_pipe_size(self._writer)
        self._size = fcntl.fcntl(self._writer, _F_GETPIPE_SZ)
        self.held_bytes = 0  # from the source, not yet taken by the sink

    def fill(self, source: int, most_bytes: int) -> int:
        """Takes from a socket what it has, up to `most_bytes`. 0: the source has ended. The pipe must be empty."""
        assert not self.held_bytes, "a pipe is filled when it is empty"
        moved = os.splice(source, self._writer, min(self._size, most_bytes), flags=_NONBLOCK)
        self.held_bytes = moved
        return moved

    def drain(self, sink: int) -> int:
        """Gives a socket what it takes of what is held. Bytes moved."""
        moved = os.splice(self._reader, sink, self.held_bytes, flags=_NONBLOCK)
        self.held_bytes -= moved
        return moved

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)


def set_pipe_size(fd: int) -> None:
    """Makes a pipe hold PIPE_BYTES, where that is allowed; else it keeps the size that it has."""
    with suppress(OSError):
        fcntl.fcntl(fd, _F_SETPIPE_SZ, PIPE_BYTES)


class PipePool:
    """The pipes of all transfers, and those that no transfer uses."""

    def __init__(self) -> None:
        self._free: list[Pipe] = []
        self._pipes = 0  # those in use, too
        self._is_possible = IS_POSSIBLE

    @property
    def free_pipes(self) -> int:
        return len(self._free)

    def take(self) -> Pipe | None:
        """A pipe; None where there can't be one, or no more: then bytes are copied, as always."""
        if not self._is_possible:
            return None
        if self._free:
            return self._free.pop()
        if self._pipes == _MOST_PIPES:
            return None
        try:
            pipe = Pipe()
        except OSError:
            return None
        self._pipes += 1
        return pipe

    def give_up(self) -> None:
        """This kernel does not splice such sockets: nobody tries again."""
        self._is_possible = False

    def give_back(self, pipe: Pipe) -> None:
        if pipe.held_bytes or len(self._free) >= _MOST_KEPT:
            pipe.close()
            self._pipes -= 1
        else:
            self._free.append(pipe)

    def close(self) -> None:
        while self._free:
            self._free.pop().close()
