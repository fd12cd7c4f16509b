"""What a record becomes on its way to a destination: what gor 1.2.0 makes of it, but where another way is named."""

from __future__ import annotations

import pytest

from launcher.replay.requests import Request, RequestError, header_setter, outgoing

PREFIX = b"1 abc 123 -1\n"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"Host: a\r\nX-V:  1  \r\nx-v: 2\r\n", b"Host: a\r\nX-V:  9  \r\nx-v: 2\r\n"),  # the first one, in place
        (b"x-v:1\r\n", b"x-v:9\r\n"),
        (b"X-V:\r\nB: c\r\n", b"X-V:9\r\nB: c\r\n"),
        (b"Host: a\r\nX-VV: 1\r\n", b"X-V: 9\r\nHost: a\r\nX-VV: 1\r\n"),  # else put first
        (b"", b"X-V: 9\r\n"),
        (b"A: X-V: 1\r\n", b"X-V: 9\r\nA: X-V: 1\r\n"),
    ],
)
def test_a_header_is_set_where_it_first_stands_or_put_first(head: bytes, expected: bytes) -> None:
    edited = header_setter(b"X-V", b"9")(b"GET / HTTP/1.1\r\n" + head + b"\r\n")
    assert edited == b"GET / HTTP/1.1\r\n" + expected + b"\r\n"


def test_a_long_header_is_replaced_without_quadratic_time() -> None:
    """That would be half a minute."""
    edited = header_setter(b"Host", b"b")(b"GET / HTTP/1.1\r\nhost: a" + b" " * 60_000 + b"a \t\r\n\r\n")
    assert edited == b"GET / HTTP/1.1\r\nhost: b \t\r\n\r\n"


def test_a_value_is_taken_literally() -> None:
    edited = header_setter(b"X.V", rb"\1\g<0>$1")(b"GET / HTTP/1.1\r\nXyV: 1\r\nX.V: 2\r\n\r\n")
    assert edited == b"GET / HTTP/1.1\r\nXyV: 1\r\nX.V: " + rb"\1\g<0>$1" + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET /a/../b//c%2F?x=1#f HTTP/1.1", b"GET /a/../b//c%2F?x=1#f HTTP/1.1"),
        (b"purge /x y HTTP/1.0", b"purge /x y HTTP/1.0"),
        (b"OPTIONS * HTTP/1.1", b"OPTIONS * HTTP/1.1"),
        (b"CONNECT h:443 HTTP/1.1", b"CONNECT h:443 HTTP/1.1"),
        (b"GET /http://h/ HTTP/1.1", b"GET /http://h/ HTTP/1.1"),
        # absolute targets: as gor 1.3.2, which makes the origin form of them
        (b"GET http://other:99/abs?x HTTP/1.1", b"GET /abs?x HTTP/1.1"),
        (b"GET HTTPS://u:p@other HTTP/1.1", b"GET / HTTP/1.1"),
        (b"GET http://other?x=http://y/ HTTP/1.1", b"GET /?x=http://y/ HTTP/1.1"),
        (b"OPTIONS http://other HTTP/1.1", b"OPTIONS * HTTP/1.1"),
    ],
)
def test_the_target_is_sent_as_recorded_but_for_an_absolute_one(line: bytes, expected: bytes) -> None:
    request = outgoing(PREFIX + line + b"\r\nHost: h\r\n\r\n", [])
    assert request.head == expected + b"\r\nHost: h\r\n\r\n"
    assert request.method == line.split(b" ")[0]
    assert request.is_http10 == line.endswith(b"1.0")


def test_head_and_body_are_told_apart() -> None:
    request = outgoing(PREFIX + b"POST / HTTP/1.1\r\nHost: h\r\n\r\n\r\n\r\nbody", [header_setter(b"Host", b"d")])
    assert request == Request(b"POST", False, b"POST / HTTP/1.1\r\nHost: d\r\n\r\n", memoryview(b"\r\n\r\nbody"))


@pytest.mark.parametrize(
    ("request_text", "is_retryable"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"HEAD / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", False),
        (b"POST / HTTP/1.1\r\n\r\n", False),
        (b"OPTIONS / HTTP/1.1\r\n\r\n", False),
        (b"DELETE / HTTP/1.1\r\n\r\n", False),
        (b"get / HTTP/1.1\r\n\r\n", False),
    ],
)
def test_only_get_and_head_without_body_may_be_sent_twice(request_text: bytes, is_retryable: bool) -> None:
    assert outgoing(PREFIX + request_text, []).is_retryable == is_retryable


@pytest.mark.parametrize(
    "record", [b"", b"no newline", PREFIX, PREFIX + b"GET / HTTP/1.1\r\nHost: h\r\n", PREFIX + b"GET /\r\n\r\n",
               PREFIX + b"GET / HTTP/2.0\r\n\r\n", PREFIX + b"\r\n\r\n"],
)  # fmt: skip
def test_a_record_that_holds_no_request_is_refused(record: bytes) -> None:
    with pytest.raises(RequestError):
        outgoing(record, [])
