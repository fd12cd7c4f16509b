"""Records: what a gor reads, and what can be read back from it."""

from __future__ import annotations

import re
import time

import pytest

from launcher.records import frame, new_record, request_of

HEAD, BODY = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", b"a\nb"


def test_a_record_is_gor_s_header_line_and_then_the_request_as_it_is():
    before = time.time_ns()
    record = new_record(HEAD, BODY)
    match = re.fullmatch(rb"1 [0-9a-f]{24} (\d{19}) -1\n(.*)", record, re.DOTALL)
    assert match is not None and match[2] == HEAD + BODY
    assert before <= int(match[1]) <= time.time_ns()


def test_no_two_records_have_the_same_identity():
    records = [new_record(HEAD, BODY) for _ in range(300)]
    assert len({record.split(b" ")[1] for record in records}) == 300


def test_the_request_of_a_record_is_what_came_whatever_lines_it_has():
    assert request_of(new_record(HEAD, BODY)) == HEAD + BODY
    assert request_of(b"1 a 1 -1\n") == b""


@pytest.mark.parametrize("record", [b"", b"1 a 1 -1", b"2 a 1 -1\nHTTP/1.1 200 OK\r\n\r\n", b"12 a 1\nx", b"\n1 a 1\n"])
def test_what_is_no_record_of_a_request_is_refused_with_what_one_starts_with(record):
    with pytest.raises(ValueError, match=r"^a record starts with gor's header line, `1 <id> <unix ns> <latency>`$"):
        request_of(record)


@pytest.mark.parametrize(
    ("payload", "framed"), [(b"", b"\0\0\0\0"), (b"ab", b"\0\0\0\2ab"), (b"x" * 258, b"\0\0\1\2" + b"x" * 258)]
)
def test_a_frame_has_its_length_in_four_bytes_before_it(payload, framed):
    assert frame(payload) == framed
