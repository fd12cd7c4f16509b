"""The control socket's requests: understood or refused in words, however they come; and the words of a change."""

from __future__ import annotations

from collections.abc import Hashable

from launcher.control.request import (
    MAX_BODY_BYTES,
    MAX_REQUEST_BYTES,
    Answer,
    ControlRequest,
    Refused,
    decode_answer,
    encode_answer,
    parse_request,
)
from launcher.control.words import Change, parse_change

WORDS = (
    b"GET /status HTTP/1.1\r\n", b"POST /control HTTP/1.1\r\n", b"Content-Length: 9\r\n\r\n", b"sample 10", b"rate off",
    b"rate 50", b"on", b"off", b"Host: localhost\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n\r\n", b"?json",
)  # fmt: skip


def seeds() -> dict[str, bytes]:
    """Requests of all kinds."""
    post = b"POST /control HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
    changes = (b"on", b"off", b"sample 12.5", b"rate 50", b"rate off", b"sample 1e400", b"sample nan", b"rate -1")
    return {
        "status": b"GET /status?json HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "two": b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "two lengths": b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "a length beyond all": b"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        "no http": b"\x16\x03\x01\x02",
        **{change.decode(): post % (len(change), change) for change in changes},
    }


def check(data: bytes) -> Hashable:
    """Raises AssertionError if the reader breaks a promise. Returns what it made of the bytes."""
    whole = outcome(data)
    seen_end = False
    for length in range(min(len(data), 300) + 1):
        early = outcome(data[:length])
        if isinstance(early, ControlRequest):
            # Bytes behind a request have it refused; that is all that they can change.
            assert length == len(data) or not isinstance(whole, ControlRequest)
            seen_end = True
        elif isinstance(early, str) and not seen_end:
            assert isinstance(whole, str), "what was refused is understood when more has come"
    if not isinstance(whole, ControlRequest):
        assert whole is not None or len(data) < MAX_REQUEST_BYTES, "it waits for more than it takes"
        return whole
    assert whole.path.isprintable() and whole.query.isprintable() and len(whole.body) <= MAX_BODY_BYTES
    answer = Answer(200, whole.body)
    assert decode_answer(encode_answer(answer)) == answer
    change = changed(whole.body.decode("utf-8", "replace"))
    if isinstance(change, str):
        assert change.isprintable(), "what a client sends reaches a terminal"
        return "refused"
    assert parse_change(str(change)) == change, "a change is not what its own words say"
    return change.what


def changed(text: str) -> Change | str:
    try:
        return parse_change(text)
    except ValueError as error:
        return str(error)


def outcome(data: bytes) -> ControlRequest | str | None:
    try:
        return parse_request(data)
    except Refused as error:
        return str(error)
