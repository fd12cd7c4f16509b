"""The account pipe: JSON lines for the launcher (launcher/replay_protocol.py). A reader that is stuck stops nothing.

Accounts are totals, so of those that the pipe does not take only the newest is kept; of other lines the last thousand.
"""

from __future__ import annotations

import os
from collections import deque

import trio

from launcher.replay_protocol import Account, Compared, Told, encode_line

_MAX_WAITING_LINES = 1000


class AccountPipe:
    """Owns the descriptor's other uses: it makes it non-blocking. Raises OSError if there is no such descriptor."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._lines: deque[bytes] = deque(maxlen=_MAX_WAITING_LINES)
        self._account = b""
        self._compared = b""
        self._rest = b""  # of a line that the pipe took half
        self._is_broken = False

    def tell(self, told: Told) -> None:
        """Writes the line as soon as the pipe takes it. Never waits."""
        if isinstance(told, Account):
            self._account = encode_line(told)
        elif isinstance(told, Compared):
            self._compared = encode_line(told)
        else:
            self._lines.append(encode_line(told))
        self.flush()

    def sum_up(self) -> None:
        """The launcher tells people in intervals of its own."""

    def flush(self) -> bool:
        """Writes what the pipe takes; True when nothing is left."""
        while not self._is_broken:
            if not self._rest:
                self._rest = self._next_line()
            if not self._rest:
                return True
            try:
                self._rest = self._rest[os.write(self._fd, self._rest) :]
            except BlockingIOError:
                return False
            except OSError:  # the launcher is gone, and with it who wanted to know
                self._is_broken = True
        return True

    def _next_line(self) -> bytes:
        if self._lines:
            return self._lines.popleft()
        if self._compared:
            compared, self._compared = self._compared, b""
            return compared
        account, self._account = self._account, b""
        return account

    async def finish(self, seconds: float) -> None:
        """Waits until everything is written, at most so long."""
        with trio.move_on_after(seconds):
            while not self.flush():
                await trio.lowlevel.wait_writable(self._fd)
