"""Accepts connections for an input that listens, until it is stopped; and then those that wait already."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import trio

from launcher.replay.inputs import InputTally
from launcher.sockets import set_tcp_options

_ACCEPTS_AT_ONCE = 64
_ACCEPTS_AT_THE_END = 1025  # the backlog and one: clients that come without end must not hold up the end
_NO_DESCRIPTORS_SECONDS = 0.1  # the listener stays readable: without a pause it would spin


class Acceptor:
    """One listener's. What it can't accept is told through the input's tally."""

    def __init__(self, tally: InputTally) -> None:
        self._tally = tally
        self._scope = trio.CancelScope()

    @property
    def is_stopping(self) -> bool:
        return self._scope.cancel_called

    def stop(self) -> None:
        """Ends `run` soon. May be called at any time, and again."""
        self._scope.cancel()

    async def run(self, listener: socket.socket, begin: Callable[[socket.socket], None]) -> None:
        """Hands each accepted socket to `begin`, which never waits."""
        with self._scope:
            while True:
                await trio.lowlevel.wait_readable(listener)
                if not self._accept_waiting(listener, begin, _ACCEPTS_AT_ONCE):
                    await trio.sleep(_NO_DESCRIPTORS_SECONDS)
        self._accept_waiting(listener, begin, _ACCEPTS_AT_THE_END)  # these clients believe that they are connected

    def _accept_waiting(self, listener: socket.socket, begin: Callable[[socket.socket], None], most: int) -> bool:
        """Accepts what waits; False if there are no descriptors left for it."""
        for _ in range(most):
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                break
            except OSError as error:
                self._tally.failures.add("refused", f"no connection can be accepted: {error.strerror}")
                return False
            with suppress(OSError):  # where a client that is gone has no options (macOS)
                set_tcp_options(sock)
            begin(sock)
        return True
