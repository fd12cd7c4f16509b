"""What tests and fuzz targets know of answers: read in pieces, and h11 as the oracle."""

from __future__ import annotations

import re
from collections.abc import Iterable

import h11

from launcher.replay.responses import Response, ResponseError, ResponseReader


def read(pieces: Iterable[bytes], method: bytes = b"GET", *, ends: bool = False, **more: bool | int) -> Response | None:
    """What the pieces make; `ends`: the connection ends after them."""
    reader = ResponseReader(method, **more)  # type: ignore[arg-type]
    for piece in pieces:
        response = reader.receive(piece)
        if response is not None:
            return response
    return reader.receive_eof() if ends else None


def h11_reads(data: bytes, method: bytes) -> Response | str | None:
    """What h11 makes of the answer, in our words; "error" where it refuses."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    status = 0
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return "error"
        if isinstance(event, h11.Response):
            if not event.http_version.startswith(b"1."):
                return "error"  # we take HTTP/1.x only
            status = event.status_code
            if method == b"CONNECT" and status < 300:
                return Response(status, is_reusable=False)  # what follows is no HTTP
        elif event is h11.NEED_DATA:
            return None
        elif isinstance(event, h11.EndOfMessage):
            is_open = connection.their_state is h11.DONE and not connection.trailing_data[0]
            return Response(status, is_open)


def we_read(data: bytes, method: bytes) -> Response | str | None:
    try:
        return read([data], method, max_body_bytes=1 << 90)
    except ResponseError:
        return "error"


def agrees_with_h11(data: bytes, method: bytes) -> bool:
    """Whether we read what h11 reads, and refuse what it refuses, but for what is said here."""
    theirs, ours = h11_reads(data, method), we_read(data, method)
    if isinstance(theirs, Response) and isinstance(ours, Response):
        if re.search(rb"^HTTP/1\.0 ", data, re.MULTILINE):  # h11 gives up every connection that speaks it
            theirs = Response(theirs.status, ours.is_reusable)
        return ours == theirs
    if theirs is None:
        # We may refuse at once what h11 refuses as soon as the head has ended.
        return ours is None or ours == "error" == h11_reads(data + b"\n\n", method)
    return ours == theirs
