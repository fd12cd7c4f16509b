"""gor's stream of records: the same however it is cut, nothing made up, and each request that is handed on is one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from launcher.replay.record_format import REQUEST, SEPARATOR, Damaged, Event, Record, RecordReader, can_be_told_apart
from launcher.replay.sound_requests import request_fault
from tests.framing_cases import CASES
from tests.framing_oracles import Llhttp, completed, cut, framed, single_bytes

STEERING_BYTES = 4  # of an input, before the stream
MAX_RECORD_BYTES = (10_000, 200)
HEADER = b"1 abc 1700000000000000000 -1\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
WORDS = (
    SEPARATOR, HEADER, GET, HEADER + GET, b"2 abc 17 5\n", b"3 abc 17\n", b"HTTP/1.1 200 OK\r\n\r\n", SEPARATOR[1:],
    SEPARATOR[:-1], b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n",
)  # fmt: skip


def seeds() -> dict[str, bytes]:
    """Streams of all kinds, and each short case of the framer's as a record."""
    one = HEADER + GET + SEPARATOR
    streams = {
        "three types": one + b"2 abc 17 5\nHTTP/1.1 200 OK\r\n\r\n" + SEPARATOR + b"3 abc 17\nx" + SEPARATOR,
        "garbage between": one + b"garbage" + SEPARATOR + one,
        "empty records": SEPARATOR + SEPARATOR[1:] + one,
        "cut short": one + HEADER + GET,
        "too large": one + HEADER + GET + b"x" * 300 + SEPARATOR + one,
    }
    few = [case for case in CASES[::4] if len(case.data) < 300]
    cases = {f"a record of {case.name}": HEADER + case.data + SEPARATOR + one for case in few}
    return {title: bytes([number % 2, 9, 30, 77]) + stream for number, (title, stream) in enumerate(
        {**streams, **cases}.items())}  # fmt: skip


def check(data: bytes) -> Hashable:
    """Raises AssertionError if the reader breaks a promise. Returns what it made of the first records."""
    steering, stream = data[:STEERING_BYTES].ljust(STEERING_BYTES, b"\0"), data[STEERING_BYTES:]
    max_bytes = MAX_RECORD_BYTES[steering[0] % len(MAX_RECORD_BYTES)]
    events = read([stream], max_bytes)
    for pieces in (single_bytes(stream), cut(stream, steering[1:])):
        assert read(pieces, max_bytes) == events, "the records depend on how the stream is cut"
    assert_is_what_stands_between_separators(stream, events, max_bytes)
    for event in events:
        if isinstance(event, Record) and event.type == REQUEST:
            assert_is_one_request(event.data.partition(b"\n")[2])
    return tuple(getattr(event, "kind", type(event)) for event in events[:4])


def read(pieces: Iterable[bytes], max_bytes: int) -> list[Event]:
    reader = RecordReader(max_bytes)
    events = [event for piece in pieces for event in reader.receive(piece)]
    assert reader.held_bytes <= max_bytes + len(SEPARATOR)
    return events + reader.receive_eof()


def assert_is_what_stands_between_separators(stream: bytes, events: list[Event], max_bytes: int) -> None:
    """A separator may begin with the newline that ends the one before."""
    expected = []
    start = 0
    text = b"\n" + stream
    while (end := text.find(SEPARATOR, start)) >= 0:
        expected.append((start, text[start + 1 : end]))
        start = end + len(SEPARATOR) - 1
    if start + 1 < len(text):
        expected.append((start, b""))  # cut short
    assert len(events) == len(expected), "a record is lost, or made up"
    for event, (offset, between) in zip(events, expected, strict=True):
        if isinstance(event, Damaged):
            assert event.offset == offset
        else:
            assert event.data == between and len(between) <= max_bytes
            assert can_be_told_apart(event.data)


def assert_is_one_request(request: bytes) -> None:
    """What we and llhttp read is one request, and the same."""
    assert request_fault(request) is None
    ours = completed(framed([request], max(len(request), 1) + 1))
    llhttp = Llhttp()
    llhttp.receive(request)
    theirs = [each.blurred() for each in llhttp.requests]
    assert len(ours) == 1 and theirs == [ours[0].blurred()], "a record is handed on that is not one request"
