"""A middleware's lines: the same however they are cut, bounded, and each request that is handed on is one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from fuzz.records import GET, HEADER, assert_is_one_request
from launcher.replay.hex_lines import HexLines, Malformed
from tests.framing_cases import CASES
from tests.framing_oracles import cut, single_bytes

STEERING_BYTES = 4  # of an input, before the stream
MAX_LINE_BYTES = (100_000, 150)
LINE = (HEADER + GET).hex().encode() + b"\n"
WORDS = (
    *(LINE, LINE[:-1], HEADER.hex().encode(), GET.hex().encode(), b"0d0a0d0a", b"0a", b"\n", b"\r\n", b"32206120310a"),
)


def seeds() -> dict[str, bytes]:
    """Lines of all kinds, and each short case of the framer's."""
    streams = {
        "lines": LINE + LINE.upper() + b"\n\n" + LINE,
        "no hex": b"hello\n" + LINE + b"abc\n",
        "no record": b"abcd\n" + LINE,
        "an answer": b"2 a 1 1\nHTTP/1.1 200 OK\r\n\r\n".hex().encode() + b"\n",
        "no end": LINE + LINE[:-1],
        "a long line": b"61" * 200 + b"\n" + LINE,
        "CRLF": LINE[:-1] + b"\r\n",
    }
    cases = {f"a line of {case.name}": (HEADER + case.data).hex().encode() + b"\n" for case in CASES[::4]
             if len(case.data) < 300}  # fmt: skip
    return {title: bytes([number % 2, 9, 30, 77]) + stream for number, (title, stream) in enumerate(
        {**streams, **cases}.items())}  # fmt: skip


def check(data: bytes) -> Hashable:
    """Raises AssertionError if the reader breaks a promise. Returns what it made of the first lines."""
    steering, stream = data[:STEERING_BYTES].ljust(STEERING_BYTES, b"\0"), data[STEERING_BYTES:]
    max_bytes = MAX_LINE_BYTES[steering[0] % len(MAX_LINE_BYTES)]
    found = read([stream], max_bytes)
    for pieces in (single_bytes(stream), cut(stream, steering[1:])):
        assert read(pieces, max_bytes) == found, "the records depend on how the lines are cut"
    lines = [line for line in stream.split(b"\n")[:-1] if line.strip()]
    cut_short = bool(stream.rpartition(b"\n")[2])
    assert len(found) - cut_short <= len(lines) + stream.count(b"\n")
    records = [each for each in found if isinstance(each, bytes)]
    remaining = iter(line.strip().lower() for line in lines if len(line) <= max_bytes)
    assert all(record.hex().encode() in remaining for record in records), "a record is none of the lines"
    for record in records:
        if record.startswith(b"1"):
            assert_is_one_request(record.partition(b"\n")[2])
    return tuple(each.error[:30] if isinstance(each, Malformed) else each[:1] for each in found[:4])


def read(pieces: Iterable[bytes], max_bytes: int) -> list[bytes | Malformed]:
    reader = HexLines(max_bytes)
    return [each for piece in pieces for each in reader.receive(piece)] + reader.receive_eof()
