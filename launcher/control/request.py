"""What is said on the control socket: one HTTP/1.1 request a connection, one answer, the end.

Only what `curl --unix-socket` and our own client send is understood; all else is refused in words. Bounds: a head of
8 KiB and 100 headers, a body of 4 KiB. Pure: no I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_HEAD_BYTES = 8 * 1024
MAX_BODY_BYTES = 4 * 1024
MAX_FIELDS = 100  # curl sends three; all are read again with each piece that comes
MAX_REQUEST_BYTES = MAX_HEAD_BYTES + MAX_BODY_BYTES

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.[01]")
_START_OF_LINE = re.compile(rb"[A-Z]{0,16}|[A-Z]{1,16} [ -~]*\r?")  # garbage is refused without waiting for more
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t -~\x80-\xff]*)")  # RFC 9112 §5; the value with its blanks
_LENGTH = re.compile(rb"[0-9]{1,8}")
_REASONS = {
    200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    413: "Content Too Large", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
    501: "Not Implemented", 503: "Service Unavailable",
}  # fmt: skip


class Refused(Exception):
    """The request can't be answered as it is: the status, and why in words."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class ControlRequest:
    """A request as it was understood. The path is as it was sent, the query (behind the `?`) apart from it."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What a request gets."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


def parse_request(data: bytes) -> ControlRequest | None:
    """The request in `data`, which is all that a client has sent; None while more must come. Raises Refused."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if len(head) > MAX_HEAD_BYTES:
        raise Refused(431, f"a head must be at most {MAX_HEAD_BYTES} bytes")
    request_line, *fields = head.split(b"\r\n")
    is_whole_line = end or fields
    match = (_REQUEST_LINE if is_whole_line else _START_OF_LINE).fullmatch(request_line)
    if match is None:
        raise Refused(400, "a request must begin with a line such as GET /status HTTP/1.1")
    if len(fields) > MAX_FIELDS:
        raise Refused(431, f"a head must have at most {MAX_FIELDS} headers")
    if not end:
        return None
    length = _body_length(fields)
    if len(rest) > length:
        raise Refused(400, "there must be one request a connection, of the length that it says")
    if len(rest) < length:
        return None
    path, _, query = match[2].decode("ascii").partition("?")
    return ControlRequest(match[1].decode("ascii"), path, query, rest)


def _body_length(fields: list[bytes]) -> int:
    lengths = set()
    for line in fields:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise Refused(400, "a header must be such as Host: localhost")
        name = field[1].lower()
        if name == b"transfer-encoding":
            raise Refused(501, "a body must have Content-Length instead of Transfer-Encoding")
        if name == b"content-length":
            lengths.add(field[2].strip(b" \t"))
    if not lengths:
        return 0
    if len(lengths) > 1 or _LENGTH.fullmatch(text := lengths.pop()) is None:
        raise Refused(400, "Content-Length must be one number")
    if int(text) > MAX_BODY_BYTES:
        raise Refused(413, f"a body must be at most {MAX_BODY_BYTES} bytes")
    return int(text)


def encode_answer(answer: Answer) -> bytes:
    """The answer on the wire; the connection ends behind it."""
    head = (
        f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\nContent-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + answer.body


def decode_answer(data: bytes) -> Answer:
    """What `encode_answer` wrote, from its first byte to the connection's end. Raises ValueError."""
    head, end, body = data.partition(b"\r\n\r\n")
    match = re.match(rb"HTTP/1\.1 ([0-9]{3}) [^\r\n]*\r\nContent-Type: ([ -~]*)\r\nContent-Length: ([0-9]+)\r\n", head)
    if not end or match is None or int(match[3]) != len(body):
        raise ValueError("the answer is no whole answer of a launcher's")
    return Answer(int(match[1]), body, match[2].decode("ascii"))
