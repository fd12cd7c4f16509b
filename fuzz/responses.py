"""The replayer's reader of answers: the same however the bytes are cut, never looser than h11, and none takes long."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable

from launcher.replay.responses import Response, ResponseError
from tests.framing_oracles import cut, single_bytes
from tests.replay.response_oracles import agrees_with_h11, read

STEERING_BYTES = 4  # of an input, before the answer
METHODS = (b"GET", b"HEAD", b"CONNECT")
REPEATS = 240  # and more, as the first byte: a piece of the answer comes again and again, which takes longer to try
LONG_BYTES = 60_000
MOST_SECONDS = 1  # of the processor, for what takes milliseconds
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
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LONG = {  # before, the piece that comes again and again, after
    "a chunk's blanks": (CHUNKED + b"1;", b" ", b"\n\r\n"),
    "chunks": (CHUNKED, b"1\r\nx\r\n", b"0\r\n\r\n"),
    "folded trailers": (CHUNKED + b"0\r\na:", b"\r\n\t", b"\0\r\n\r\n"),
    "a redirect's blanks": (b"HTTP/1.1 302 F\r\nLocation: a", b" ", b"b\r\nX:y\r\n\r\n"),
    "lines": (HEAD, b"connection:a\n", b"b\r\n\r\n"),
}
WORDS = (
    *(HEAD, b"\r\n", b"\r\n\r\n", b"\n\n", b"\n ", b"HTTP/1.0 ", b"HTTP/1.1 304 N\r\n", b"Content-Length: 1\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n", b";a=b", b"0\r\n"),
)  # fmt: skip


def seeds() -> dict[str, bytes]:
    """Answers of all kinds, to each method, and long ones."""
    long = {
        title: bytes([REPEATS, *len(before).to_bytes(2, "big"), len(piece) - 1]) + before + piece + after
        for title, (before, piece, after) in LONG.items()
    }
    return long | {
        f"{title} to {method.decode()}": bytes([number, 9, 0, 0]) + answer
        for title, answer in ANSWERS.items()
        for number, method in enumerate(METHODS)
    }


def check(data: bytes) -> Hashable:
    """Raises AssertionError if the reader breaks a promise. Returns what it made of the answer."""
    steering, answer = data[:STEERING_BYTES].ljust(STEERING_BYTES, b"\0"), data[STEERING_BYTES:]
    method = METHODS[steering[0] % len(METHODS)]
    if steering[0] >= REPEATS:
        return check_long(answer, method, int.from_bytes(steering[1:3], "big"), steering[3])
    whole = outcome([answer] if answer else [], method)
    for pieces in (single_bytes(answer), cut(answer, steering[1:])):
        in_pieces = outcome(pieces, method)
        # In pieces an answer ends before the bytes that come after it have been seen: its connection looks usable yet.
        assert in_pieces == whole or is_status_alike(in_pieces, whole), "the answer depends on how it is cut"
    # h11 refuses a switch that it did not ask for.
    if isinstance(whole, Response) and whole.status != 101:
        assert agrees_with_h11(answer, method), "an answer is read that h11 does not read so"
    return whole if isinstance(whole, str) else (whole.is_reusable, whole.status // 100) if whole else None


def check_long(answer: bytes, method: bytes, place: int, length: int) -> Hashable:
    """The same with a piece of it again and again; h11 takes long itself."""
    start = place % (len(answer) + 1)
    piece = answer[start : start + 1 + length % 16]
    answer = answer[:start] + piece * (LONG_BYTES // max(1, len(piece))) + answer[start + len(piece) :]
    began = time.process_time()
    whole = outcome([answer] if answer else [], method)
    in_pieces = outcome(cut(answer, range(0, len(answer), 1 + length * 10)), method)
    assert time.process_time() - began < MOST_SECONDS, "an answer takes long"
    assert in_pieces == whole or is_status_alike(in_pieces, whole), "a long answer depends on how it is cut"
    return "long", whole if isinstance(whole, str) else whole and whole.is_whole


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
