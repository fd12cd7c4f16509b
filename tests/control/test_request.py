"""The control socket's requests: what is understood, what is refused, and that nothing else happens."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.control.request import (
    MAX_BODY_BYTES,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    MAX_REQUEST_BYTES,
    Answer,
    ControlRequest,
    Refused,
    decode_answer,
    encode_answer,
    parse_request,
)
from tests.linear import assert_linear

CURLS = b"GET /status HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n"
POST = b"POST /control HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nsample 10"

UNDERSTOOD = [
    (CURLS, ControlRequest("GET", "/status")),
    (POST, ControlRequest("POST", "/control", body=b"sample 10")),
    (b"GET / HTTP/1.0\r\n\r\n", ControlRequest("GET", "/")),
    (b"GET /report?format=html&x HTTP/1.1\r\nX:\r\n\r\n", ControlRequest("GET", "/report", "format=html&x")),
    (b"GET /%2e%2e/ HTTP/1.1\r\nX: \xe4\t1 \r\n\r\n", ControlRequest("GET", "/%2e%2e/")),
    (b"PUT /a HTTP/1.1\r\ncontent-length: 1\r\nContent-Length: 1\r\n\r\nx", ControlRequest("PUT", "/a", body=b"x")),
]
REFUSED = [
    (b"\n", 400),
    (b"\x16\x03\x01\x02\x00", 400),
    (b"GET /status\r\n\r\n", 400),
    (b"GET /status HTTP/2.0\r\n\r\n", 400),
    (b"GET http://h/status HTTP/1.1\r\n\r\n", 400),
    (b"GET /st\x1b[atus HTTP/1.1\r\n\r\n", 400),
    (b"get /status HTTP/1.1\r\n\r\n", 400),
    (b"G" * 17, 400),
    (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nX : 1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nX: 1\r\n folded\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nX: a\nb\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: 1,1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413),
    (b"POST / HTTP/1.1\r\nContent-Length: 999999999999999999999\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
    (CURLS + b"x", 400),
    (CURLS + CURLS, 400),
    (b"GET /" + b"a" * MAX_HEAD_BYTES, 431),
    (b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * (MAX_HEAD_BYTES // 6), 431),
]


@pytest.mark.parametrize(("data", "expected"), UNDERSTOOD)
def test_a_request_is_understood_once_all_of_it_has_come(data, expected):
    for length in range(len(data)):
        assert parse_request(data[:length]) is None
    assert parse_request(data) == expected


@pytest.mark.parametrize(("data", "status"), REFUSED)
def test_what_is_no_request_of_ours_is_refused_in_words(data, status):
    with pytest.raises(Refused) as caught:
        parse_request(data)
    assert caught.value.status == status
    assert caught.value.reason.isprintable()


@given(st.one_of(st.binary(max_size=300), st.builds(
    lambda data, at, byte: data[:at] + bytes([byte]) + data[at + 1 :],
    st.sampled_from([CURLS, POST]), st.integers(0, 90), st.integers(0, 255),
)))  # fmt: skip
def test_whatever_comes_is_understood_refused_or_waited_for(data):
    try:
        request = parse_request(data)
    except Refused as refused:
        encode_answer(Answer(refused.status, refused.reason.encode()))
        return
    assert request is None or len(request.body) <= MAX_BODY_BYTES


@pytest.mark.parametrize("line", ["a:{}\0", "a{}\0", "a: b{}\0", "Content-Length: 1{}1", "Host: {}"])
@pytest.mark.parametrize("filling", [" ", "\t", "a", ":", "\r"])
def test_a_head_meant_to_be_slow_takes_linear_time(line, filling):
    """Eight kilobytes of blanks held the launcher, and all clients with it, up for minutes."""

    def work(data):
        with suppress(Refused):
            parse_request(data)

    assert_linear(
        lambda nbytes: f"GET / HTTP/1.1\r\n{line.format(filling * nbytes)}\r\n\r\n".encode(), work, MAX_HEAD_BYTES - 100
    )


def test_headers_without_number_are_refused_before_their_end():
    head = b"GET / HTTP/1.1\r\n" + b"a:\r\n" * MAX_FIELDS
    assert parse_request(head + b"\r\n") == ControlRequest("GET", "/")
    with pytest.raises(Refused) as refused:
        parse_request(head + b"a:\r\n")
    assert refused.value.status == 431


def test_more_than_fits_is_never_waited_for():
    for start in (b"", b"GET /", POST[:-9]):
        with pytest.raises(Refused):
            parse_request(start + b"A" * MAX_REQUEST_BYTES)


def test_an_answer_survives_the_way():
    answer = Answer(200, b'{"a": 1}\r\n\r\n', "application/json")
    assert decode_answer(encode_answer(answer)) == answer


@pytest.mark.parametrize("data", [
    b"", b"HTTP/1.1 200 OK\r\n\r\n", encode_answer(Answer(200, b"abc"))[:-1], b"SSH-2.0-OpenSSH\r\n\r\n",
])  # fmt: skip
def test_what_is_no_whole_answer_of_ours_is_none(data):
    with pytest.raises(ValueError, match="no whole answer"):
        decode_answer(data)
