"""gor's stream of records: `TYPE ID TIMESTAMP_NS LATENCY\\n`, raw HTTP, then a newline, three monkeys, a newline.

Files, standard output and TCP between gors have this form (gor's protocol.go). Nothing is escaped in it: a record that
holds the separator would be read as two, and a client could so put requests of its own making into a recording. So
`can_be_told_apart` is asked before anything is written.

`receive` takes bytes in any split, in time linear in them, and gives values: a Record, or Damaged for what is none, or
is no single request (sound_requests). It never raises on what comes; after what it can't use it goes on behind the
next separator. No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from launcher.replay.sound_requests import request_fault

SEPARATOR = "\n🐵🙈🙉\n".encode()  # gor's payloadSeparator
MAX_RECORD_BYTES = 5 * 1024 * 1024  # gor's --copy-buffer-size

UNTELLABLE = "it holds gor's separator, so that a reader would take it for two records"  # what outputs say

REQUEST, RESPONSE, REPLAYED_RESPONSE = b"1", b"2", b"3"

# The latency came with 0.16; before, a request's line ended behind the time.
_HEADER = re.compile(rb"([123]) ([!-~]{1,200}) ([0-9]{1,19})(?: -?[0-9]{1,19})? ?\n")


@dataclass(frozen=True)
class Record:
    """One record. `data` is all of it, header line included, without the separator."""

    type: bytes
    timestamp_ns: int
    data: bytes


@dataclass(frozen=True)
class Damaged:
    """Bytes that are no record, up to the next separator or the end."""

    kind: str  # `malformed`, `too_large`, `dropped_buffer` or `incomplete`: what inputs count
    error: str  # for people, without bytes of the record
    offset: int  # of its first byte in the stream


Event = Record | Damaged


def can_be_told_apart(record: bytes) -> bool:
    """Whether a reader will find the record's end where it is."""
    return SEPARATOR not in record and not record.endswith(SEPARATOR[:-1])


def identity(record: bytes) -> bytes:
    """The ID in the header line; empty if there is none."""
    match = _HEADER.match(record)
    return match[2] if match else b""


class RecordReader:
    """One stream's reader. Holds at most one record, which may have `max_bytes`, and what came behind it."""

    def __init__(self, max_bytes: int = MAX_RECORD_BYTES) -> None:
        self._max_bytes = max_bytes
        # Always starts with the newline that ends the separator before: a separator may begin with it, and then what
        # is between the two is an empty record.
        self._held = bytearray(b"\n")
        self._searched = 0
        self._offset = 0  # in the stream, of the record that is being read
        self._skipped = 0  # bytes of it that are no longer held, because it is too large, or was given up
        self._is_given_up = False

    def receive(self, data: bytes | bytearray) -> list[Event]:
        """Takes the next bytes; what they complete."""
        held = self._held
        held += data
        events: list[Event] = []
        start = 0
        end = held.find(SEPARATOR, self._searched)
        while end >= 0:
            events.append(self._event(start + 1, end))
            self._offset += self._skipped + end - start - 1 + len(SEPARATOR)
            self._skipped = 0
            start = end + len(SEPARATOR) - 1
            end = held.find(SEPARATOR, start)
        del held[:start]
        # Its last bytes may be of a separator, which is none of the record's.
        if len(held) - len(SEPARATOR) > self._max_bytes or self._skipped:
            self._skip()
        self._searched = max(0, len(held) - len(SEPARATOR) + 1)
        return events

    def give_up(self) -> None:
        """Lets go of the record that is being read: at its end it will be `dropped_buffer`."""
        if len(self._held) > len(SEPARATOR):
            self._is_given_up = True
            self._skip()
            self._searched = max(0, len(self._held) - len(SEPARATOR) + 1)

    @property
    def held_bytes(self) -> int:
        """Of the record that is being read."""
        return len(self._held)

    def _skip(self) -> None:
        """Keeps only what may be the start of a separator."""
        excess = len(self._held) - len(SEPARATOR)
        if excess > 0:
            self._skipped += excess
            del self._held[:excess]

    def receive_eof(self) -> list[Event]:
        """The stream's end."""
        left = len(self._held) - 1 + self._skipped
        if not left:
            return []
        return [Damaged("incomplete", f"the last record is cut short after {left} bytes", self._offset)]

    def _event(self, start: int, end: int) -> Event:
        size = max(end - start, 0) + self._skipped
        if self._is_given_up:
            self._is_given_up = False
            error = f"a record of {size} bytes found no room beside what other connections hold of records half read"
            return Damaged("dropped_buffer", error, self._offset)
        if size > self._max_bytes:
            error = f"a record of {size} bytes is larger than the {self._max_bytes} allowed"
            return Damaged("too_large", error, self._offset)
        with memoryview(self._held) as held:
            data = held[start:end].tobytes() if end > start else b""
        match = _HEADER.match(data)
        if match is None:
            error = "no record: it does not start with gor's header line, `1 <id> <unix ns> <latency>`"
            return Damaged("malformed", error, self._offset)
        if match[1] == REQUEST and (fault := request_fault(data[match.end() :])) is not None:
            return Damaged("malformed", f"a record can't be replayed: {fault}", self._offset)
        return Record(match[1], int(match[3]), data)
