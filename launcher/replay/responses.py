"""Reads one answer off a connection, and tells where it ends. No I/O, clock or log.

`receive(data)` returns None for "more", a Response when the answer is whole, and raises ResponseError when the bytes
are no HTTP/1.x answer, or one that could be read in two ways. `receive_eof()` returns a Response when the end of the
connection is the end of the answer, None when it cuts it short. Bodies are counted, and kept only by a Keeper.

As strict as h11, and as lenient where servers are sloppy (bare LF, folded lines, no reason phrase, several equal
Content-Lengths); stricter in that a version other than HTTP/1.x is refused. One regular expression a head: h11 costs
94 µs a request where this costs a few.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

MAX_HEAD_BYTES = 64 * 1024  # also of all interim answers together, and of trailers
MAX_BODY_BYTES = 1024 * 1024  # a longer body costs more to read than a new connection does
MAX_COMPARED_BODY_BYTES = 8 * 1024**2  # of an answer that is compared: a longer one is only known to be long
_MAX_CHUNK_LINE_BYTES = 16 * 1024  # h11's bound

_LONGEST_KNOWN = 256  # bytes of the lines that frame an answer, if they are to be remembered

_VERSION = b"HTTP/1."
_FIELD = rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+:[^\x00\n\v\f\r]*\r?\n"
_HEAD = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: [^\x00\n\v\f\r]*)?\r?\n(?:%s)*\r?\n" % _FIELD)
_TRAILERS = re.compile(rb"(?:%s)*\r?\n" % _FIELD)
_BLANK_LINE = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_FOLDED_FIRST_FIELD = re.compile(rb"[^\n]*\n[ \t]")
_FRAMING = re.compile(rb"\n(content-length|transfer-encoding|connection):([^\r\n]*)", re.IGNORECASE)
_LOCATION = re.compile(rb"\nlocation:([^\r\n]*)", re.IGNORECASE)
_LENGTH = re.compile(rb"[0-9]{1,20}")
_CHUNK_LINE = re.compile(rb"([0-9a-fA-F]{1,20})(?:;[^\n]*\r\n|[ \t]*\r\n)")  # `[^\n]*[ \t]*` takes quadratic time


class ResponseError(Exception):
    """What came is no HTTP/1.x answer. The text quotes nothing of it: it may echo a secret of the request's."""


@dataclass(frozen=True)
class Response:
    """A whole answer, or as much of one as is worth reading."""

    status: int
    is_reusable: bool  # the connection can carry another request
    location: bytes = field(default=b"", compare=False)  # of a redirect
    is_whole: bool = field(default=True, compare=False)  # read to its end


class Keeper(Protocol):
    """Who wants an answer's bytes as they are on the wire."""

    def add(self, data: bytearray) -> None:
        """The next ones."""

    def restart(self) -> None:
        """All so far were an interim answer's."""


class Listener(Protocol):
    """Who wants an answer's head and body, without what frames the body on the wire."""

    def add_head(self, head: bytes) -> None:
        """The final answer's, its folded lines unfolded."""

    def add_body(self, data: bytes) -> None:
        """The next bytes of its body."""


class ResponseReader:
    """Reads the answer to one request. `needs_keep_alive`: it was HTTP/1.0, whose connections end by default."""

    def __init__(
        self,
        method: bytes,
        *,
        needs_keep_alive: bool = False,
        max_body_bytes: int = MAX_BODY_BYTES,
        keeper: Keeper | None = None,
        listener: Listener | None = None,
    ) -> None:
        self._method = method
        self._listener = listener
        self._keeper = keeper
        self._needs_keep_alive = needs_keep_alive
        self._max_body_bytes = max_body_bytes
        self._held = bytearray()
        self._searched = 0
        self._interim_bytes = 0
        self._body_bytes = 0  # so far, or in chunks announced
        self._remaining = 0  # of a body with a length, or of a chunk
        self._status = 0
        self._location = b""
        self._keeps_alive = False
        self._step: Callable[[], bool | Response] = self._read_head
        self.has_begun = False  # at least one byte has come

    def receive(self, data: bytes) -> Response | None:
        """Takes the next bytes, in any split; at least one."""
        self.has_begun = True
        self._held += data
        while (result := self._step()) is True:
            pass
        return result or None

    def receive_eof(self) -> Response | None:
        """The connection has ended."""
        return Response(self._status, False, self._location) if self._step == self._read_to_eof else None

    # Each step consumes what it can of `_held`: True = another step follows, False = it needs more bytes.

    def _read_head(self) -> bool | Response:
        if not self._held.startswith(_VERSION[: len(self._held)]):
            raise ResponseError("the answer does not start with HTTP/1.")
        head = self._take_paragraph()
        if head is None:
            return False
        if _FOLDED_FIRST_FIELD.match(head):
            raise ResponseError("the answer's first header line is folded")
        head = _unfolded(head)
        match = _HEAD.fullmatch(head)
        if not match:
            raise ResponseError("the answer's head is not valid")
        self._status = int(match[2])
        length, is_chunked, connection = _framing(head)
        if self._status < 200 and self._status != 101:
            self._interim_bytes += len(head)
            if self._interim_bytes > MAX_HEAD_BYTES:
                raise ResponseError("interim answers do not end")
            if self._keeper is not None:
                self._keeper.restart()
            return True
        if self._listener is not None:
            self._listener.add_head(head)
        if 300 <= self._status < 400 and (location := _LOCATION.search(head)):
            self._location = location[1].strip(b" \t")
        is_http10 = match[1] == b"0"
        self._keeps_alive = (
            b"close" not in connection
            and (b"keep-alive" in connection or not (is_http10 or self._needs_keep_alive))
            and not (is_http10 and is_chunked)  # faulty framing: RFC 9112 §6.1
        )
        return self._begin_body(length, is_chunked)

    def _begin_body(self, length: int | None, is_chunked: bool) -> bool | Response:
        # RFC 9112 §6.3, in its order.
        if self._status == 101 or (self._method == b"CONNECT" and self._status < 300):
            return Response(self._status, False, self._location)
        if self._method == b"HEAD" or self._status in (204, 304):
            return self._end()
        if is_chunked:
            self._step = self._read_chunk_line
        elif length is None:
            self._step = self._read_to_eof
        elif length > self._max_body_bytes:
            return self._cut()
        else:
            self._remaining = length
            self._step = self._read_body
        return True

    def _read_body(self) -> bool | Response:
        self._skip()
        return self._end() if not self._remaining else False

    def _read_to_eof(self) -> bool | Response:
        self._body_bytes += len(self._held)
        if self._listener is not None:
            self._listener.add_body(bytes(self._held))
        self._consume(len(self._held))
        return self._cut() if self._body_bytes > self._max_body_bytes else False

    def _read_chunk_line(self) -> bool | Response:
        end = self._held.find(b"\r\n", max(0, self._searched - 1)) + 2
        if (end if end >= 2 else len(self._held)) > _MAX_CHUNK_LINE_BYTES:
            raise ResponseError("a chunk's first line is too long")
        if end < 2:
            self._searched = len(self._held)
            return False
        match = _CHUNK_LINE.fullmatch(self._held, 0, end)
        if not match:
            raise ResponseError("a chunk's size is not valid")
        self._remaining = int(match[1], 16)
        self._consume(end)
        self._body_bytes += self._remaining
        if self._body_bytes > self._max_body_bytes:
            return self._cut()
        self._step = self._read_chunk if self._remaining else self._read_trailers
        return True

    def _read_chunk(self) -> bool | Response:
        self._skip()
        if self._remaining or not self._held:
            return False
        if not b"\r\n".startswith(self._held[:2]):
            raise ResponseError("a chunk is longer than its size")
        if len(self._held) < 2:
            return False
        self._consume(2)
        self._step = self._read_chunk_line
        return True

    def _read_trailers(self) -> bool | Response:
        if self._held[:1] == b"\n" or self._held[:2] == b"\r\n":
            self._consume(1 if self._held[:1] == b"\n" else 2)
            return self._end()
        trailers = self._take_paragraph()
        if trailers is None:
            return False
        fields = _unfolded(trailers)
        if trailers[:1] in b" \t" or not _TRAILERS.fullmatch(fields):
            raise ResponseError("the answer's trailers are not valid")
        _framing(b"\n" + fields)  # h11 refuses there, too, what a head must not say
        return self._end()

    def _take_paragraph(self) -> bytes | None:
        """Everything up to and with the first blank line."""
        match = _BLANK_LINE.search(self._held, self._searched)
        length = match.end() if match else len(self._held)
        if length > MAX_HEAD_BYTES:
            raise ResponseError(f"the answer's head is longer than {MAX_HEAD_BYTES} bytes")
        if not match:
            self._searched = max(0, length - 2)
            return None
        paragraph = bytes(self._held[:length])
        self._consume(length)
        return paragraph

    def _skip(self) -> None:
        count = min(self._remaining, len(self._held))
        self._remaining -= count
        if self._listener is not None and count:
            self._listener.add_body(bytes(self._held[:count]))
        self._consume(count)

    def _consume(self, count: int) -> None:
        if self._keeper is not None:
            self._keeper.add(self._held[:count])
        del self._held[:count]
        self._searched = 0

    def _cut(self) -> Response:
        """The rest costs more to read than a new connection does."""
        return Response(self._status, False, self._location, is_whole=False)

    def _end(self) -> Response:
        # Bytes after the end were not asked for: what they mean is unknown, so nothing is sent after them.
        return Response(self._status, self._keeps_alive and not self._held, self._location)


def _unfolded(paragraph: bytes) -> bytes:
    return _FOLD.sub(b" ", paragraph) if b"\n " in paragraph or b"\n\t" in paragraph else paragraph


_Framing = tuple["int | None", bool, "frozenset[bytes]"]


def _framing(head: bytes) -> _Framing:
    """Content-Length, whether the body is chunked (which beats a length), and Connection's words."""
    headers = tuple(_FRAMING.findall(head))
    if len(headers) <= 4 and sum([len(value) for _, value in headers]) <= _LONGEST_KNOWN:
        return _known_framing_of(headers)
    return _framing_of(headers)


def _framing_of(headers: tuple[tuple[bytes, bytes], ...]) -> _Framing:
    lengths: set[bytes] = set()
    codings: list[bytes] = []
    connection: set[bytes] = set()
    for name, value in headers:
        words = [word.strip(b" \t") for word in value.lower().split(b",")]
        if name[:2].lower() == b"tr":
            codings += words
        elif name[-1:].lower() == b"h":
            lengths.update(words)
        else:
            connection.update(words)
    if codings and codings != [b"chunked"]:
        raise ResponseError("the answer has a transfer coding other than chunked")
    if len(lengths) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
        raise ResponseError("the answer's Content-Length is not valid")
    return (int(lengths.pop()) if lengths else None), bool(codings), frozenset(connection)


_known_framing_of = lru_cache(maxsize=64)(_framing_of)  # a destination's answers differ in little but their length
