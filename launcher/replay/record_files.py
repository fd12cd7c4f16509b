"""Reads files of records, plain or gzip, several merged by their records' times. For a thread: it blocks.

Within a file, records are put in order of time inside a window of `depth` of them, because gor writes them as answers
come. A file is opened when its first record is due to be compared, so a recording in a thousand chunks needs one
descriptor at a time.
"""

from __future__ import annotations

import gzip
import heapq
import io
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.replay.record_format import Damaged, Record, RecordReader

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_READ_BYTES = 64 * 1024
_WINDOW_BYTES = 4 * 1024 * 1024  # of each file that is open
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class InFile:
    """What went wrong in a file. `kind` is a counter of inputs."""

    kind: str
    error: str  # with file and position


Item = Record | InFile
_Heads = list[tuple[int, int, Record, Iterator[Item]]]  # of each open file: time, index, its next record, the others


def merged(paths: Sequence[str], depth: int) -> Iterator[tuple[int, Item]]:
    """All records of the files by time, each with its file's index in `paths`.

    Never raises: a file that can't be read is an InFile.
    """
    waiting: list[tuple[int, int, str]] = []  # the first record's time, index; not opened yet
    for number, path in enumerate(paths):
        first = _first_time(path) if len(paths) > 1 and os.path.isfile(path) else 0  # what is no file is opened once
        heapq.heappush(waiting, (first, number, path))
    reading: _Heads = []
    while waiting or reading:
        while waiting and (not reading or waiting[0][0] <= reading[0][0]):
            _, number, path = heapq.heappop(waiting)
            yield from ((number, wrong) for wrong in _advance(reading, number, _in_order(_items(path), depth)))
        if reading:
            _, number, record, items = heapq.heappop(reading)
            yield number, record
            yield from ((number, wrong) for wrong in _advance(reading, number, items))


def _advance(reading: _Heads, number: int, items: Iterator[Item]) -> list[InFile]:
    """Puts the file's next record into the heap; what went wrong before it."""
    wrong: list[InFile] = []
    for item in items:
        if isinstance(item, Record):
            heapq.heappush(reading, (item.timestamp_ns, number, item, items))
            break
        wrong.append(item)
    return wrong


def _in_order(items: Iterator[Item], depth: int) -> Iterator[Item]:
    window: list[tuple[int, int, Record]] = []
    nbytes = 0
    for number, item in enumerate(items):
        if not isinstance(item, Record):
            yield item
            continue
        heapq.heappush(window, (item.timestamp_ns, number, item))
        nbytes += len(item.data)
        while window and (len(window) >= depth or nbytes > _WINDOW_BYTES):
            record = heapq.heappop(window)[2]
            nbytes -= len(record.data)
            yield record
    while window:
        yield heapq.heappop(window)[2]


def _first_time(path: str) -> int:
    """0 for a file without one: it is read at once, and says itself what is wrong with it."""
    return next((item.timestamp_ns for item in _items(path) if isinstance(item, Record)), 0)


def _items(path: str) -> Iterator[Item]:
    reader = RecordReader()
    try:
        for data in _bytes(path):
            yield from (_told(event, path) for event in reader.receive(data))
        yield from (_told(event, path) for event in reader.receive_eof())
    except EOFError:
        yield InFile("incomplete", f"the gzip file is cut short: {path}")
    except (zlib.error, gzip.BadGzipFile):
        yield InFile("malformed", f"no sound gzip from some byte on: {path}")
    except OSError as error:
        yield InFile("malformed", f"{(error.strerror or 'error').lower()}: {path}")


def _told(event: Record | Damaged, path: str) -> Item:
    if isinstance(event, Record):
        return event
    return InFile(event.kind, f"{event.error}: {path}, byte {event.offset}")


def _bytes(path: str) -> Iterator[bytes]:
    """The file's bytes, or those of its gzip members. Raises OSError, zlib.error, and EOFError at a cut member."""
    with open(path, "rb") as file:
        start = file.read(len(_GZIP_MAGIC))  # all of it, however a pipe brings it
        source: io.BufferedIOBase = io.BufferedReader(_Rejoined(start, file))
        if start == _GZIP_MAGIC:
            source = gzip.GzipFile(fileobj=source)
        while data := source.read1(_READ_BYTES):
            yield data


class _Rejoined(io.RawIOBase):
    """A file whose start was read already; a pipe can't go back."""

    def __init__(self, start: bytes, rest: io.BufferedReader) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if not self._start:
            return self._rest.readinto1(buffer)
        with memoryview(buffer).cast("B") as room:
            start, self._start = self._start[: len(room)], self._start[len(room) :]
            room[: len(start)] = start
        return len(start)
