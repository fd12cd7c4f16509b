"""gor's stream of records: any split, garbage, bounds, and what can't be told apart."""

from __future__ import annotations

import time

import pytest

from launcher.replay.record_format import SEPARATOR, Damaged, Event, Record, RecordReader, can_be_told_apart, identity

ONE = b"1 abc 1795456664802883550 -1\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
TWO = b"2 abc 1795456664802883559 20\nHTTP/1.1 200 OK\r\n\r\nbody\n"
THREE = b"3 abc 5\nHTTP/1.1 200 OK\r\n\r\n"
MALFORMED = "no record: it does not start with gor's header line, `1 <id> <unix ns> <latency>`"


def read(stream: bytes, piece: int, max_bytes: int = 1000) -> list[Event]:
    reader = RecordReader(max_bytes)
    pieces = (stream[start : start + piece] for start in range(0, len(stream), piece))
    return [event for data in pieces for event in reader.receive(data)] + reader.receive_eof()


def recorded(data: bytes) -> Record:
    return Record(data[:1], int(data.split(b"\n")[0].split()[2]), data)


GOOD = ONE + SEPARATOR
CASES: dict[str, tuple[bytes, list[Event]]] = {
    "nothing": (b"", []),
    "three types": (b"".join(r + SEPARATOR for r in (ONE, TWO, THREE)), [recorded(r) for r in (ONE, TWO, THREE)]),
    "garbage between": (GOOD + b"xyz" + SEPARATOR + GOOD,
                        [recorded(ONE), Damaged("malformed", MALFORMED, len(GOOD)), recorded(ONE)]),
    "an empty record": (SEPARATOR + GOOD, [Damaged("malformed", MALFORMED, 0), recorded(ONE)]),
    "two separators": (GOOD + SEPARATOR[1:] + GOOD,
                       [recorded(ONE), Damaged("malformed", MALFORMED, len(GOOD)), recorded(ONE)]),
    "cut short": (GOOD + ONE, [recorded(ONE), Damaged("incomplete", f"the last record is cut short after {len(ONE)} "
                                                      "bytes", len(GOOD))]),
    "a separator cut short": (GOOD[:-1], [Damaged("incomplete", f"the last record is cut short after {len(GOOD) - 1} "
                                                  "bytes", 0)]),
    "too large": (GOOD + ONE + b"x" * 1000 + SEPARATOR + GOOD + b"?" + SEPARATOR,
                  [recorded(ONE),
                   Damaged("too_large", f"a record of {len(ONE) + 1000} bytes is larger than the 1000 allowed",
                           len(GOOD)),
                   recorded(ONE),
                   Damaged("malformed", MALFORMED, 2 * len(GOOD) + len(ONE) + 1000 + len(SEPARATOR))]),
    "too large and cut short": (b"x" * 3000, [Damaged("incomplete", "the last record is cut short after 3000 bytes",
                                                      0)]),
    "half a separator in a record": (ONE + SEPARATOR[:-1] + b"-" + SEPARATOR, [recorded(ONE + SEPARATOR[:-1] + b"-")]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_split_gives_the_same(name: str) -> None:
    stream, expected = CASES[name]
    for piece in (*range(1, 40), 997, 10_000):
        assert read(stream, piece) == expected, piece


@pytest.mark.parametrize(
    "header",
    [b"4 a 1 -1\n", b"1 a x -1\n", b"1  1 -1\n", b"1 a 1 -1", b"1 a -1 1\n", b"1 a 1 2 3\n", b"1 " + b"a" * 201
     + b" 1 1\n", b"1 a 12345678901234567890 1\n", b"GET / HTTP/1.1\r\n"],
)  # fmt: skip
def test_what_is_no_header_line_is_malformed(header: bytes) -> None:
    assert [getattr(event, "kind", None) for event in read(header + SEPARATOR, 1000)] == ["malformed"]


@pytest.mark.parametrize(
    ("record", "expected"),
    [(ONE, True), (ONE + SEPARATOR, False), (ONE + SEPARATOR[:-1], False), (ONE + b"-" + SEPARATOR[1:], True),
     (ONE + SEPARATOR + ONE, False), (ONE + b"\n", True)],
)  # fmt: skip
def test_a_record_that_holds_the_separator_can_not_be_told_apart(record: bytes, expected: bool) -> None:
    assert can_be_told_apart(record) is expected
    assert (read(record + SEPARATOR, 1000) == [recorded(record)]) is expected


def test_the_identity_is_in_the_header_line() -> None:
    assert (identity(ONE), identity(b"nothing")) == (b"abc", b"")


def test_a_large_record_in_small_pieces_takes_linear_time() -> None:
    def seconds(nbytes: int) -> float:
        stream = ONE + b"\n" * nbytes + SEPARATOR
        started = time.process_time()
        assert len(read(stream, 500, max_bytes=10**8)) == 1
        return time.process_time() - started

    seconds(100_000)
    assert seconds(4_000_000) < 10 * max(seconds(1_000_000), 0.002)


def test_what_it_holds_is_bounded() -> None:
    reader = RecordReader(1000)
    for _ in range(1000):
        reader.receive(b"x" * 1000)
        assert len(reader._held) < 2100
