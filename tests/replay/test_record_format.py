"""gor's stream of records: any split, garbage, bounds, and what can't be told apart."""

from __future__ import annotations

import time

import pytest

from launcher.replay.hex_lines import HexLines, Malformed
from launcher.replay.record_format import SEPARATOR, Damaged, Event, Record, RecordReader, can_be_told_apart, identity

ONE = b"1 abc 1795456664802883550 -1\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
TWO = b"2 abc 1795456664802883559 20\nHTTP/1.1 200 OK\r\n\r\nbody\n"
THREE = b"3 abc 5\nHTTP/1.1 200 OK\r\n\r\n"
MALFORMED = "no record: it does not start with gor's header line, `1 <id> <unix ns> <latency>`"


def read(stream: bytes, piece: int, max_bytes: int = 1000) -> list[Event]:
    reader = RecordReader(max_bytes)
    pieces = (stream[start : start + piece] for start in range(0, len(stream), piece))
    return [event for data in pieces for event in reader.receive(data)] + reader.receive_eof()


def with_body(body: bytes) -> bytes:
    return ONE[:-2] + b"Content-Length: %d\r\n\r\n" % len(body) + body


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
    "half a separator in a record": (with_body(SEPARATOR[:-1] + b"-") + SEPARATOR,
                                     [recorded(with_body(SEPARATOR[:-1] + b"-"))]),
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
    ("body", "expected"),
    [(b"", True), (SEPARATOR, False), (SEPARATOR[:-1], False), (b"-" + SEPARATOR[1:], True),
     (SEPARATOR + ONE, False), (b"\n", True)],
)  # fmt: skip
def test_a_record_that_holds_the_separator_can_not_be_told_apart(body: bytes, expected: bool) -> None:
    record = with_body(body)
    assert can_be_told_apart(record) is expected
    assert (read(record + SEPARATOR, 1000) == [recorded(record)]) is expected


def test_the_identity_is_in_the_header_line() -> None:
    assert (identity(ONE), identity(b"nothing")) == (b"abc", b"")


@pytest.mark.parametrize("spare", range(-1, 16))
def test_a_record_just_below_its_bound_is_taken_however_it_is_cut(spare: int) -> None:
    """The bytes of the separator that have come by then are none of the record's."""
    stream = (ONE + SEPARATOR) * 2
    for piece in (1, 3, 5, 1000):
        kinds = [getattr(event, "kind", "record") for event in read(stream, piece, max_bytes=len(ONE) + spare)]
        assert kinds == ["record" if spare >= 0 else "too_large"] * 2


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


MORE = "more follows behind the end of its request"


@pytest.mark.parametrize(
    ("request_bytes", "fault"),
    [
        (b"GET / HTTP/1.1\r\n\r\nGET /admin HTTP/1.1\r\n\r\n", MORE),
        (b"GET / HTTP/1.1\r\n\r\nGET /adm", MORE),
        (b"GET / HTTP/1.1\r\nUpgrade: a\r\n\r\nGET /admin HTTP/1.1\r\n\r\n", MORE),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET / HTTP/1.1\r\n\r\n", MORE),
        (b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx", "its request is cut short"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", "its request is cut short"),
        (b"", "its request is cut short"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", "its request is cut short"),
        (b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "(both-lengths)"),
        (b"GET / HTTP/1.1\r\nA: b\nContent-Length: 5\r\n\r\n", "(bare-lf)"),
        (b"GET / HTTP/1.1\r\nA: b\r\rX: y\r\n\r\n", "(bare-cr)"),
        (b"GET / HTTP/1.1\r\nA: b\x1b[31m\r\n\r\n", "(control-character)"),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n", "(data-after-close)"),
    ],
)  # fmt: skip
def test_a_record_that_is_not_one_request_is_not_replayed(request_bytes: bytes, fault: str) -> None:
    """Else the destination would be sent requests that no filter has seen."""
    record = ONE.partition(b"\n")[0] + b"\n" + request_bytes
    (event,) = read(record + SEPARATOR, 1000)
    assert isinstance(event, Damaged) and (event.kind, event.offset) == ("malformed", 0)
    assert event.error.startswith("a record can't be replayed: ") and event.error.endswith(fault)
    (line,) = HexLines(10_000).receive(record.hex().encode() + b"\n")
    assert isinstance(line, Malformed) and line.error.endswith(fault)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nUpgrade: a\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx\r\n",  # some clients end a body so: RFC 9112 section 2.2
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: y\r\n\r\n",
    ],
)
def test_a_record_of_one_request_is_replayed_as_it_is(request_bytes: bytes) -> None:
    record = ONE.partition(b"\n")[0] + b"\n" + request_bytes
    assert read(record + SEPARATOR, 1000, max_bytes=100_000) == [recorded(record)]
    assert HexLines(10**6).receive(record.hex().encode() + b"\n") == [record]
