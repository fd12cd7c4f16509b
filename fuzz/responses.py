"""The replayer's reader of answers: the same however the bytes are cut, and never looser than h11."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from launcher.replay.responses import Response, ResponseError
from tests.framing_oracles import cut, single_bytes
from tests.replay.response_oracles import agrees_with_h11, read

STEERING_BYTES = 4  # of an input, before the answer
METHODS = (b"GET", b"HEAD", b"CONNECT")
HEAD = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "a length": HEAD + b"Content-Length: 3\r\n\r\nabc",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n",
    "folded trailers": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nTransfer-Encoding: chunked\r\n x\r\n\r\n",
    "until the end": b"HTTP/1.0 200\r\nX: a\r\n b\r\n\r\nabc",
    "interim answers": b"HTTP/1.1 103 E\nLink: a\n\n" + HEAD + b"Content-Length: 1, 1\r\nConnection: close\r\n\r\nx",
    "no body": b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a switch": b"HTTP/1.1 101 S\r\nUpgrade: a\r\n\r\nabc",
    "keep-alive": b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n",
}
WORDS = (
    *(HEAD, b"\r\n", b"\r\n\r\n", b"\n\n", b"\n ", b"HTTP/1.0 ", b"HTTP/1.1 304 N\r\n", b"Content-Length: 1\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n", b";a=b", b"0\r\n"),
)  # fmt: skip


def seeds() -> dict[str, bytes]:
    """Answers of all kinds, to each method."""
    return {
        f"{title} to {method.decode()}": bytes([number, 9, 0, 0]) + answer
        for title, answer in ANSWERS.items()
        for number, method in enumerate(METHODS)
    }


def check(data: bytes) -> Hashable:
    """Raises AssertionError if the reader breaks a promise. Returns what it made of the answer."""
    steering, answer = data[:STEERING_BYTES].ljust(STEERING_BYTES, b"\0"), data[STEERING_BYTES:]
    method = METHODS[steering[0] % len(METHODS)]
    whole = outcome([answer] if answer else [], method)
    for pieces in (single_bytes(answer), cut(answer, steering[1:])):
        in_pieces = outcome(pieces, method)
        # In pieces an answer ends before the bytes that come after it have been seen: its connection looks usable yet.
        assert in_pieces == whole or is_status_alike(in_pieces, whole), "the answer depends on how it is cut"
    # h11 refuses a switch that it did not ask for.
    if isinstance(whole, Response) and whole.status != 101:
        assert agrees_with_h11(answer, method), "an answer is read that h11 does not read so"
    return whole if isinstance(whole, str) else (whole.is_reusable, whole.status // 100) if whole else None


def outcome(pieces: Iterable[bytes], method: bytes) -> Response | str | None:
    try:
        return read(pieces, method, ends=True)
    except ResponseError as error:
        return str(error)


def is_status_alike(in_pieces: Response | str | None, whole: Response | str | None) -> bool:
    return (
        isinstance(in_pieces, Response)
        and isinstance(whole, Response)
        and in_pieces.status == whole.status
        and in_pieces.is_reusable
    )
