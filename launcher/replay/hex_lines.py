"""gor's protocol with a middleware: each record is one line of hex (gor's middleware.go). Bytes in, records out.

Lines may come in any split; empty ones mean nothing. The line that the stream's end cuts short is no record: what is
there may be half of one. A request that is not exactly one (sound_requests) is none, either. No I/O.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

from launcher.replay.record_format import REQUEST, identity
from launcher.replay.sound_requests import request_fault


@dataclass(frozen=True)
class Malformed:
    """A line that holds no record."""

    error: str  # for people, without bytes of the line


class HexLines:
    """One stream's reader. Of a line over `max_bytes` nothing is kept."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._line = bytearray()  # that is not complete: small pieces, kept apart, would take many times their bytes
        self._size = 0  # of that line, kept or not

    def receive(self, data: bytes) -> list[bytes | Malformed]:
        """What the next bytes complete."""
        *lines, rest = data.split(b"\n")
        found: list[bytes | Malformed] = []
        for line in lines:
            self._hold(line)
            found += self._complete()
        self._hold(rest)
        return found

    def receive_eof(self) -> list[bytes | Malformed]:
        """The stream's end."""
        size, self._line, self._size = self._size, bytearray(), 0
        return [Malformed("the last line has no end")] if size else []

    def _hold(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max_bytes:
            self._line = bytearray()
        else:
            self._line += piece

    def _complete(self) -> list[bytes | Malformed]:
        size, line = self._size, self._line.strip()
        self._line, self._size = bytearray(), 0
        if size > self._max_bytes:
            return [Malformed(f"a line of {size} bytes is longer than the {self._max_bytes} allowed")]
        return [_record(line)] if line else []


def _record(line: bytearray) -> bytes | Malformed:
    try:
        record = binascii.unhexlify(line)
    except ValueError:
        return Malformed("a line is not hex")
    if not identity(record):
        return Malformed("a line's hex does not start with gor's header line, `1 <id> <unix ns> <latency>`")
    if record.startswith(REQUEST) and (fault := request_fault(record[record.index(b"\n") + 1 :])) is not None:
        return Malformed(f"a line's record can't be sent on: {fault}")
    return record
