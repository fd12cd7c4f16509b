"""The reader of recordings, plain and gzip, merged: it never raises, and hands on what the files' streams hold."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections import Counter
from collections.abc import Hashable
from pathlib import Path

from fuzz.records import GET, HEADER, SEPARATOR
from fuzz.records import WORDS as RECORD_WORDS
from launcher.replay.record_files import InFile, merged
from launcher.replay.record_format import Record, RecordReader
from tests.framing_oracles import cut, single_bytes

STEERING_BYTES = 4  # of an input, before the bytes of the files
DEPTHS = (100, 1, 2)
WORDS = (*RECORD_WORDS, b"\x1f\x8b\x08\0\0\0\0\0\0\xff", b"1 x 9 -1\n", b"1 x 1 -1\n", b"1 x 9999999999999999999 -1\n")

_folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))


def seeds() -> dict[str, bytes]:
    """Plain, packed, packed twice, and with a packed part that is cut or changed."""
    records = b"".join(HEADER.replace(b"17", b"%d7" % n) + GET + SEPARATOR for n in (3, 1, 2))
    packed = gzip.compress(records, mtime=0)
    streams = {
        "plain": records,
        "packed": packed,
        "packed in parts": packed + packed,
        "packed and cut": packed[:-5],
        "packed and changed": packed[:20] + b"\0" + packed[21:],
        "packed, then not": packed + records,
        "an empty file": b"",
    }
    return {title: bytes([number % 4, number % 3, 0, 100]) + stream for number, (title, stream) in enumerate(
        streams.items())}  # fmt: skip


def check(data: bytes) -> Hashable:
    """Raises AssertionError if the reader breaks a promise. Returns what kinds of things it told."""
    steering, stream = data[:STEERING_BYTES].ljust(STEERING_BYTES, b"\0"), data[STEERING_BYTES:]
    parts = cut(stream, [int.from_bytes(steering[2:4], "big")])[: 1 + (steering[0] & 1)] or [b""]
    if steering[0] & 2:
        parts = [gzip.compress(part, 1, mtime=0) for part in parts]
    paths = [_folder / str(number) for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(part)
    told = list(merged([str(path) for path in paths], DEPTHS[steering[1] % len(DEPTHS)]))
    for number, part in enumerate(parts):
        found = [item.data for index, item in told if index == number and isinstance(item, Record)]
        content, is_sound = unpacked(part)
        if content is None:
            continue
        expected = [event.data for event in RecordReader().receive(content) if isinstance(event, Record)]
        assert not Counter(found) - Counter(expected), "a record is made up"
        assert len(found) == len(expected) or not is_sound, "a record is lost"
        assert is_sound or any(index == number and isinstance(item, InFile) for index, item in told), "untold damage"
    if len(parts) == 1 and DEPTHS[steering[1] % len(DEPTHS)] == 100:
        times = [item.timestamp_ns for _, item in told if isinstance(item, Record)]
        assert times == sorted(times) or len(times) > 100, "records are not in the order of their times"
    return tuple(sorted({item.kind if isinstance(item, InFile) else "record" for _, item in told}))


def unpacked(part: bytes) -> tuple[bytes | None, bool]:
    """A file's bytes, of a gzip file those before its first fault, and whether it has none. None where zlib and gzip
    judge a header's flags each in its own way: the reserved ones, and the checksum of the header."""
    if not part.startswith(b"\x1f\x8b"):
        return part, True
    whole = b""
    while part:
        if part[3:4] and part[3] & 0xE2:
            return None, False
        member = zlib.decompressobj(31)
        try:
            for byte in single_bytes(part):  # so that what comes before a fault is there
                whole += member.decompress(byte)
                part = part[1:]
                if member.eof:
                    break
        except zlib.error:
            return whole, False
        if not member.eof:
            return whole, False
        part = part.lstrip(b"\0")  # padding between members: gzip(1)
    return whole, True
