"""Makes one output's request out of a record: raw bytes as recorded, but for what names the destination.

Replaced, as gor 1.2.0 does: Host's value (the first Host; put first if there is none), unless the original host is
kept, and Authorization if the destination's URL has a user. An absolute target (`GET http://x/abs`) becomes `/abs`, as
in gor 1.3.2: servers behind a router never see the absolute form, and many answer it with 404. Nothing is added.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

HeaderEdit = Callable[[bytes], bytes]  # a head, from the request line to the blank line -> the edited head

_REQUEST_LINE = re.compile(rb"([^ \r\n]+) ([^\r\n]*) HTTP/1\.([0-9])\r\n")
_ORIGIN = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)  # scheme and authority of an absolute target


class RequestError(Exception):
    """The record holds no request that can be sent."""


@dataclass(slots=True)
class Request:
    """What goes out on a connection: `head`, then `body`."""

    method: bytes
    is_http10: bool
    head: bytes
    body: memoryview

    @property
    def is_retryable(self) -> bool:
        """Sending it twice does no harm: a safe method (RFC 9110 §9.2.1) without a body."""
        return self.method in (b"GET", b"HEAD") and not self.body


def header_setter(name: bytes, value: bytes) -> HeaderEdit:
    """Replaces the value of the first such header in place, else puts the header first."""
    first = re.compile(rb"\r\n%s:[ \t]*([^\r\n]*)" % re.escape(name), re.IGNORECASE)
    line = name + b": " + value + b"\r\n"

    def set_header(head: bytes) -> bytes:
        match = first.search(head)
        if match:
            return head[: match.start(1)] + value + head[match.start(1) + len(match[1].rstrip(b" \t")) :]
        start = head.index(b"\r\n") + 2
        return head[:start] + line + head[start:]

    return set_header


def absolute_target(authority: bytes) -> HeaderEdit:
    """Puts the target into absolute form, as a proxy wants it: RFC 9112 §3.2.2. It raises RequestError for a CONNECT.

    What comes behind the authority is the client's: without a slash between them, `GET any://x` or `@other/` would
    name another host to the proxy.
    """

    def make_absolute(head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        if method == b"CONNECT":
            raise RequestError("a CONNECT can't be sent through an http proxy, which would take it for its own")
        path = rest[1:] if rest.startswith(b"* ") else rest if rest.startswith(b"/") else b"/" + rest
        return b"%s http://%s%s" % (method, authority, path)

    return make_absolute


def split_record(record: bytes) -> tuple[int, int]:
    """Where the head of a record's request starts and ends, its blank line included. Raises RequestError."""
    start = record.find(b"\n") + 1  # after gor's header line
    end = record.find(b"\r\n\r\n", start) + 4
    if start == 0 or end < 4:
        raise RequestError("the record holds no whole head of a request")
    return start, end


def has_request_line(head: bytes) -> bool:
    """Whether the head starts as a request of HTTP/1.x does."""
    return _REQUEST_LINE.match(head) is not None


def outgoing(record: bytes, edits: list[HeaderEdit]) -> Request:
    """The request of a record, its head in origin form and edited. Raises RequestError."""
    start, end = split_record(record)
    head = record[start:end]
    line = _REQUEST_LINE.match(head)
    if not line:
        raise RequestError("the record's request line is not HTTP/1.x")
    method = line[1]
    origin = _ORIGIN.match(head, line.start(2), line.end(2))
    if origin:
        head = head[: origin.start()] + _missing_path(method, head[origin.end() : line.end(2)]) + head[origin.end() :]
    for edit in edits:
        head = edit(head)
    return Request(method, line[3] == b"0", head, memoryview(record)[end:])


def _missing_path(method: bytes, rest: bytes) -> bytes:
    """What must stand before the rest of an absolute target to make it the origin form: RFC 9112 §3.2.1 and §3.2.4."""
    if rest.startswith(b"/"):
        return b""
    return b"*" if method == b"OPTIONS" and not rest else b"/"
