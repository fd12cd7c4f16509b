"""Cuts the launcher's byte stream into frames: four bytes of length, big-endian, then as many bytes. No I/O.

`receive` takes bytes in any split; `next_frame` returns the next whole payload, None for "more", and raises FrameError
when a length is impossible: then the two sides are out of step, and nothing that follows can be understood.
"""

from __future__ import annotations

from launcher.records import LENGTH_PREFIX
from launcher.replay_protocol import MAX_FRAME_BYTES


class FrameError(Exception):
    """The pipe's bytes are no frames."""


class FrameReader:
    """One pipe's reader."""

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._held = bytearray()

    def receive(self, data: bytes | bytearray) -> None:
        """Takes the next bytes."""
        self._held += data

    def next_frame(self) -> bytes | None:
        """The next payload, which may be empty."""
        if len(self._held) < LENGTH_PREFIX.size:
            return None
        (length,) = LENGTH_PREFIX.unpack_from(self._held)
        if length > self._max_frame_bytes:
            raise FrameError(f"a frame of {length} bytes is longer than the {self._max_frame_bytes} allowed")
        end = LENGTH_PREFIX.size + length
        if len(self._held) < end:
            return None
        with memoryview(self._held) as held:
            payload = held[LENGTH_PREFIX.size : end].tobytes()
        del self._held[:end]  # cheap: a bytearray moves its start, not its bytes
        return payload
