"""Answers in every split, and against h11."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from launcher.replay.responses import MAX_HEAD_BYTES, Response, ResponseError, ResponseReader
from tests.linear import assert_linear, traced_memory
from tests.replay.response_oracles import agrees_with_h11, read

TAIL = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n"


def splits(data: bytes) -> Iterable[list[bytes]]:
    """Whole, byte by byte, and in two at every place."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    yield from ([data[:i], data[i:]] for i in range(1, len(data)))


WHOLE = [
    # answer, method, status, reusable
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"GET", 200, True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"GET", 200, True),
    (b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", b"GET", 200, True),
    (b"HTTP/1.1 999 \xe4\xf6\r\ncontent-LENGTH:3, 3\r\nContent-Length: 3 \r\n\r\nabc", b"POST", 999, True),
    (b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", b"GET", 200, True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Close\r\n\r\nabcde", b"GET", 200, False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, close\r\n\r\n", b"GET", 200, False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", b"GET", 200, False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", b"GET", 200, True),
    (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n", b"GET", 200, False),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", b"GET", 304, True),
    (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", b"GET", 204, True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"HEAD", 200, True),
    (b"HTTP/1.1 200 OK\r\n\r\n", b"HEAD", 200, True),
    (b"HTTP/1.1 200 Connected\r\n\r\n", b"CONNECT", 200, False),
    (b"HTTP/1.1 405 No\r\nContent-Length: 1\r\n\r\nx", b"CONNECT", 405, True),
    (CHUNKED + b"Content-Length: 9\r\n\r\n3;a=b\r\nabc\r\n0A \r\n0123456789\r\n0\r\n\r\n", b"GET", 200, True),
    (CHUNKED + b"\r\n1\r\nx\r\n000\r\nX-T: 1\r\nY:\r\n\r\n", b"GET", 200, True),
    (INTERIM + b"HTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\nx", b"GET", 201, True),
    (b"HTTP/1.1 200 OK\r\nX-Long: a\r\n  b\r\n\tc\r\nContent-Length: 1\r\n\r\nx", b"GET", 200, True),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "method", "status", "is_reusable"), WHOLE)
def test_an_answer_ends_where_its_framing_says_in_every_split(
    answer: bytes, method: bytes, status: int, is_reusable: bool
) -> None:
    for pieces in splits(answer):
        assert read(pieces, method) == Response(status, is_reusable)
    assert read([answer[:-1]], method) is None


@pytest.mark.parametrize(("answer", "method", "status", "is_reusable"), WHOLE)
def test_bytes_after_an_answer_make_its_connection_unusable(
    answer: bytes, method: bytes, status: int, is_reusable: bool
) -> None:
    assert read([answer + TAIL], method) == Response(status, is_reusable=False)


@pytest.mark.parametrize(("answer", "method", "status", "is_reusable"), WHOLE)
def test_an_answer_cut_short_by_the_end_of_the_connection_is_none(
    answer: bytes, method: bytes, status: int, is_reusable: bool
) -> None:
    for end in range(1, len(answer)):
        assert read([answer[:end]], method, ends=True) is None


def test_without_a_length_the_end_of_the_connection_is_the_end_of_the_answer() -> None:
    answer = b"HTTP/1.1 500 Oops\r\nConnection: keep-alive\r\n\r\nwords"
    for pieces in splits(answer):
        assert read(pieces, ends=True) == Response(500, is_reusable=False)
        assert read(pieces) is None


def test_switching_protocols_is_an_answer() -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"
    assert read([answer]) == Response(101, is_reusable=False)


def test_after_a_request_of_http_1_0_only_keep_alive_makes_a_connection_reusable() -> None:
    silent = b"HTTP/1.1 204 No Content\r\n\r\n"
    said = b"HTTP/1.1 204 No Content\r\nConnection: Keep-Alive\r\n\r\n"
    assert read([silent], needs_keep_alive=True) == Response(204, is_reusable=False)
    assert read([said], needs_keep_alive=True) == Response(204, is_reusable=True)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n6\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFFFF\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n01234567890",
    ],
)
def test_a_body_longer_than_the_bound_is_not_read_and_its_connection_not_used_again(answer: bytes) -> None:
    for pieces in splits(answer):
        assert read(pieces, max_body_bytes=10) == Response(200, is_reusable=False)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2",
        b"\x15\x03\x01\x00\x02\x02P",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nSpace : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n Folded: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNul: \0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nLone: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        CHUNKED + b"\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n",
        CHUNKED + b"\r\n0\r\nX: y\r\nContent-Length: 1, 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 123456789012345678901\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n 1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n Folded: x\r\n\r\n",
    ],
)
def test_what_is_no_answer_or_an_ambiguous_one_is_refused_in_every_split(answer: bytes) -> None:
    for pieces in splits(answer):
        with pytest.raises(ResponseError):
            read(pieces)


@pytest.mark.parametrize(
    "endless",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES,
        b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * MAX_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES,
    ],
)
def test_what_does_not_end_is_refused_before_it_is_held(endless: bytes) -> None:
    with pytest.raises(ResponseError):
        read(endless[start : start + 4096] for start in range(0, len(endless), 4096))


CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LONGEST_LINE = 16 * 1024  # of a chunk


@pytest.mark.parametrize("line", [b"1;", b"1 ", b"1;a=\t"])
def test_a_chunk_s_first_line_has_a_bound_whether_its_end_is_there_or_not(line: bytes) -> None:
    for spare in (0, 1):
        filled = line.ljust(LONGEST_LINE - 2 + spare, line[-1:]) + b"\r\nx\r\n0\r\n\r\n"
        for pieces in ([CHUNKS + filled], [CHUNKS, *(filled[i : i + 1000] for i in range(0, len(filled), 1000))]):
            if spare:
                with pytest.raises(ResponseError):
                    read(pieces)
            else:
                assert read(pieces) == Response(200, is_reusable=True)


# Where an answer may have many of something, and an end that makes it none.
SPITEFUL = {
    "blanks in a chunk's line": (CHUNKS + b"1;", b" ", b"\n\r\n"),
    "blanks after a chunk's size": (CHUNKS + b"1", b" ", b"\n\r\n"),
    "CRs in a chunk's line": (CHUNKS + b"1;", b"\r", b"\n\r\n"),
    "digits of a chunk": (CHUNKS, b"0", b"\r\n"),
    "chunks": (CHUNKS, b"1\r\nx\r\n", b"g\r\n"),
    "trailers": (CHUNKS + b"0\r\n", b"a:\n", b"b\r\n\r\n"),
    "a trailer's folds": (CHUNKS + b"0\r\na:", b"\r\n\t", b"\0\r\n\r\n"),
    "fields": (TAIL, b"a:\n", b"b\r\n\r\n"),
    "blanks in a field": (TAIL + b"a:", b" ", b"\0\r\n\r\n"),
    "folds": (TAIL + b"a:", b"\n ", b"\0\r\n\r\n"),
    "a name": (TAIL, b"a", b"\r\n\r\n"),
    "a reason": (b"HTTP/1.1 200 ", b" ", b"\0\r\n\r\n"),
    "lengths": (TAIL + b"Content-Length: 1", b",1", b",2\r\n\r\n"),
    "lengths in lines": (TAIL, b"Content-Length: 1\n", b"\r\n\0"),
    "connections": (TAIL, b"Connection:a\n", b"b\r\n\r\n"),
    "interim answers": (b"", b"HTTP/1.1 100\n\n", b"\0"),
    "blank lines that are none": (b"HTTP/1.1 100\n", b"\r", b"\0\r\n\r\n"),
}


@pytest.mark.parametrize(("before", "piece", "end"), SPITEFUL.values(), ids=SPITEFUL)
@pytest.mark.parametrize("step", [1 << 20, 64])
def test_an_answer_meant_to_be_slow_takes_linear_time(before: bytes, piece: bytes, end: bytes, step: int) -> None:
    def make(nbytes: int) -> bytes:
        return before + piece * (nbytes // len(piece)) + end

    def work(answer: bytes) -> None:
        try:
            read(answer[start : start + step] for start in range(0, len(answer), step))
        except ResponseError:
            pass

    assert_linear(make, work, 65_000)


@pytest.mark.parametrize("line", ["Connection: {}\r\n", "Connection:{}, a\r\nContent-Length: 1\r\n"])
def test_nothing_large_is_kept_of_an_answer_that_has_ended(line: str) -> None:
    """Hundreds of megabytes, if the lines that frame were remembered of any head."""
    def head(number: int) -> bytes:
        words = ",".join(f"{number:x}.{word:x}" for word in range(8000))
        return b"HTTP/1.1 204 N\r\n" + line.format(words).encode() + b"Connection:\r\n" * 300 + b"\r\n"

    with traced_memory() as traced:
        for number in range(70):
            assert read([head(number)]) == Response(204, is_reusable=True)
        assert traced()[0] < 2_000_000


# ---- against h11 ---------------------------------------------------------------------------------------------------


TEXT = st.sampled_from(
    [b"", b" ", b"OK", b"\t", b"x y", b"\xff", b"\0", b"\r", b"\n", b"\x0b", b"\x01", b"\x7f", b",", b"1", b":"]
)
NAMES = st.sampled_from(
    [b"Content-Length", b"content-length", b"Transfer-Encoding", b"Connection", b"X", b"X Y", b"", b" X", b"X\0"]
)
VALUES = st.one_of(
    st.sampled_from([b"0", b"1", b"3", b" 3 ", b"3,3", b"3, 3", b"3,4", b"03", b"+3", b"3a", b"chunked", b" Chunked ",
                     b"gzip", b"chunked, chunked", b"close", b"keep-alive", b"Keep-Alive, Close", b"", b","]),
    TEXT,
)  # fmt: skip
END = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r\r\n", b"\r\n ", b"\n\t"])
FIELDS = st.lists(st.tuples(NAMES, st.just(b":"), VALUES, END).map(b"".join), max_size=3).map(b"".join)
STATUS_LINE = st.tuples(
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"http/1.1"]),
    st.just(b" "),
    st.sampled_from([b"200", b"204", b"304", b"404", b"500", b"100", b"103", b"20", b"2000", b"099"]),
    st.sampled_from([b"", b" ", b" OK", b" O K ", b"  "]),
    TEXT,
    END,
).map(b"".join)
BODY = st.lists(
    st.sampled_from([b"0\r\n", b"3\r\nabc\r\n", b"3\r\nabc\n", b"3;x=y\r\nabc\r\n", b"3 \r\nabc\r\n", b"0\r\n\r\n",
                     b"\r\n", b"abc", b"X: y\r\n", b" z\r\n", b"\n", b"0x3\r\n", b"00003\r\n", b"g\r\n"]),
    max_size=5,
).map(b"".join)  # fmt: skip


@given(
    st.tuples(STATUS_LINE, FIELDS, st.sampled_from([b"\r\n", b"\n", b""]), BODY).map(b"".join),
    st.sampled_from([b"GET", b"HEAD", b"POST", b"CONNECT"]),
)
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n z\r\n\r\n", b"GET")
def test_we_read_what_h11_reads_and_refuse_what_it_refuses(data: bytes, method: bytes) -> None:
    assert agrees_with_h11(data, method)


def test_a_redirect_s_location_is_taken_without_the_blanks_around_it():
    """And without quadratic time: in a head of 64 kB that would be half a minute."""
    value = b"/a" + b" " * 60_000 + b"b"
    head = b"HTTP/1.1 302 F\r\nlocation: \t" + value + b" \t\r\nContent-Length: 0\r\n\r\n"
    response = ResponseReader(b"GET").receive(head)
    assert response is not None
    assert response.location == value
