"""The launcher's pipe on standard input: settings, records, the closing frame (launcher/replay_protocol.py).

It is read promptly whatever the outputs do: what they can't take is their own to count.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import trio

from launcher.replay.frames import FrameError, FrameReader
from launcher.replay_protocol import Closing, ReplaySettings

_RECEIVE_BYTES = 256 * 1024


class PipeInput:
    """Reads a descriptor, which it makes non-blocking: a pipe has no other reader."""

    def __init__(self, fd: int = 0) -> None:
        self._stream = trio.lowlevel.FdStream(os.dup(fd))
        self._reader = FrameReader()

    async def settings(self) -> ReplaySettings | None:
        """The first frame; None if the launcher ended before it. Raises FrameError."""
        payload = await self._next()
        if payload is None:
            return None
        try:
            return ReplaySettings.decode(payload)
        except ValueError as error:
            raise FrameError(str(error)) from None

    async def read(self, receive: Callable[[bytes], None]) -> Closing:
        """Hands every record to `receive`, until the end: the launcher's word, or its death. Raises FrameError."""
        while record := await self._next():
            receive(record)
        closing = await self._next() if record is not None else None
        if closing is None:
            return Closing()
        try:
            return Closing.decode(closing)
        except ValueError as error:
            raise FrameError(str(error)) from None

    async def _next(self) -> bytes | None:
        """The next frame; None at the pipe's end. A frame cut short by the end is none."""
        while (payload := self._reader.next_frame()) is None:
            data = await self._stream.receive_some(_RECEIVE_BYTES)
            if not data:
                return None
            self._reader.receive(data)
        return payload
