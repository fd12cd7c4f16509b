"""Cuts a client's byte stream into HTTP/1.x requests: bytes in, events out; no I/O, no clock, no log.

Nothing that a peer sends makes it raise. What is ambiguous or not HTTP/1.x gives `Unframed`, never a guess, and ends
the framing of that connection. `Head.raw` and the data of the `Body` events, joined, are the bytes that came, less
the empty lines between requests. The events don't depend on how the stream was split, but for neighbouring `Body`
events. Time is linear in the bytes, and a connection holds at most `max_head_bytes`. What costs far more time than
other bytes, as thousands of headers do, is `Unframed`, too: nobody else is served meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from launcher.http_grammar import (
    CHUNK_LINE,
    MAX_HEADER_LINES,
    MAX_LENGTH,
    TRAILER_LINE,
    chunk_line_fault,
    head_fault,
    read_head,
    skip_whole_chunks,
)
from launcher.http_grammar import Head as Head  # the first of a request's events


@dataclass(slots=True)
class Body:
    """A piece of the body as on the wire: with chunk lines and trailers."""

    data: bytes


@dataclass(slots=True)
class End:
    """The request is complete."""


@dataclass(slots=True)
class Unframed:
    """Nothing more is framed on this connection. `reason` is stable, in kebab-case, and has nothing of the peer's."""

    reason: str


@dataclass(slots=True)
class Incomplete:
    """The connection ended after the head of a request and before its end."""


END = End()  # the only one that comes

Framed = Head | Body | End | Unframed | Incomplete


class Framer:
    """Frames the requests of one client connection.

    After the `End` of a request that `switches` it is `paused`: it keeps what comes, up to `max_head_bytes`, until
    `resume()` (the app declined) or `stop()` (the protocol is another one now). After a request that its client marked
    as the last one only empty lines may come: as with llhttp, anything else is `Unframed`. RFC 9112 §9.6 has servers
    ignore it; but some answer it, and a copy of a request that the app never saw would be a guess.
    """

    __slots__ = (
        "_after", "_ended", "_held", "_judge_line", "_max_head_bytes", "_read", "_remaining", "_room", "_switches",
        "paused", "stopped",
    )  # fmt: skip

    def __init__(self, max_head_bytes: int = 65536) -> None:
        """`max_head_bytes` bounds a head, a chunk's line, the trailers of a request, and what is kept while paused."""
        self.paused = False
        self.stopped = False  # nothing more will be framed
        self._max_head_bytes = max_head_bytes
        self._held = bytearray()
        self._ended = False  # by receive_eof()
        # The state is the function that reads next. A function, not a bound method: that would be a reference cycle,
        # and every framer would wait for the garbage collector.
        self._read: Callable[[Framer, bytes, int, list[Framed]], int] = Framer._read_head
        self._after = self._read  # what reads after the current request
        self._remaining = 0  # bytes to come of the body, or of the chunk
        # Set by each head:
        self._switches: bool  # the current request does
        # and by one with a chunked body:
        self._judge_line: Callable[[Framer, bytes], str | None] | None  # of the next line
        self._room: int  # bytes that this line may have, or all trailers from it on

    @property
    def held_bytes(self) -> int:
        """Bytes that no event has carried yet: of a head or a chunk's line half read, or kept while paused."""
        return len(self._held)

    @property
    def is_last(self) -> bool:
        """The client has marked the current request, or the one just read, as its last on this connection."""
        return self._after is Framer._read_after_last

    def receive(self, data: bytes) -> list[Framed]:
        """What `data`, the next bytes of the connection, completes."""
        events: list[Framed] = []
        position, end = 0, len(data)
        while position < end:
            position = self._read(self, data, position, events)
        return events

    @property
    def bytes_in_piece(self) -> int:
        """How many of the next bytes are surely of the body, as they come: of its length, or of the chunk."""
        if self._read is Framer._read_sized or (self._read is Framer._read_chunked and not self._held):
            return self._remaining
        return 0

    def skip(self, nbytes: int) -> list[Framed]:
        """As `receive` of the next `nbytes`, at most `bytes_in_piece`, whose contents nobody wants: without `Body`."""
        assert 0 < nbytes <= self.bytes_in_piece, "only a body's bytes can be skipped"
        self._remaining -= nbytes
        events: list[Framed] = []
        if not self._remaining and self._read is Framer._read_sized:
            self._end(events)
        return events

    def receive_eof(self) -> list[Framed]:
        """The client sends no more. While paused, `resume()` tells what that means for the bytes that were kept."""
        self._ended = True
        if self.paused or self.stopped:
            return []
        in_body = self._read is Framer._read_sized or self._read is Framer._read_chunked
        self.stop()
        return [Incomplete()] if in_body else []

    def resume(self) -> list[Framed]:
        """The app declined the switch: frames on, first what was kept. Without effect unless paused."""
        if not self.paused:
            return []
        self.paused = False
        self._read = self._after
        data = bytes(self._held)
        self._held.clear()
        events = self.receive(data)
        return events + self.receive_eof() if self._ended else events

    def stop(self) -> None:
        """Ends framing for good."""
        self.paused = False
        self.stopped = True
        self._held.clear()
        self._read = Framer._ignore

    # ---- states: each reads `data` from `position` on and returns the position where the next one goes on ----------

    def _read_head(self, data: bytes, position: int, events: list[Framed]) -> int:
        if not self._held:
            head = read_head(data, position, position + self._max_head_bytes)
            if isinstance(head, Head):
                return position + self._begin(head, events)
            if head is not None:
                return self._refuse(head, data, events)
            if data[position] == 0x0D:
                return self._skip_empty_lines(data, position)
            if not data[position : position + 1].isalpha():  # told at once: TLS, say, may never send an empty line
                return self._refuse("not-http", data, events)
        elif self._held == b"\r":
            return self._read_line_feed(data, position, events)
        begun = len(self._held)
        raw = self._take(data, position, b"\r\n\r\n", self._max_head_bytes)
        if raw is None:
            return len(data)
        if not raw.endswith(b"\r\n\r\n"):
            return self._refuse("head-too-large", data, events)
        head = read_head(raw, 0, len(raw))
        if not isinstance(head, Head):
            return self._refuse(head or head_fault(raw), data, events)
        return position + self._begin(head, events) - begun

    def _skip_empty_lines(self, data: bytes, position: int) -> int:
        """Skips what some clients send after a body: RFC 9112 §2.2."""
        start = position
        while data.startswith(b"\r\n", position):
            position += 2
        if position > start:
            return position
        self._held += b"\r"
        return position + 1

    def _read_line_feed(self, data: bytes, position: int, events: list[Framed]) -> int:
        """The rest of an empty line whose CR is held."""
        self._held.clear()
        return position + 1 if data[position] == 0x0A else self._refuse("bare-cr", data, events)

    def _read_sized(self, data: bytes, position: int, events: list[Framed]) -> int:
        piece = data[position : position + self._remaining]  # no copy when it is all of `data`
        self._remaining -= len(piece)
        events.append(Body(piece))
        if not self._remaining:
            self._end(events)
        return position + len(piece)

    def _read_chunked(self, data: bytes, position: int, events: list[Framed]) -> int:
        """Chunks and trailers. What is sound goes out as one `Body`, after the line that began in earlier data."""
        start = position
        fault = None
        while position < len(data) and self._judge_line is not None:
            if self._remaining:
                step = min(self._remaining, len(data) - position)
                position += step
                self._remaining -= step
                continue
            begun = len(self._held)
            if not begun and self._judge_line is Framer._judge_chunk_line:
                position = skip_whole_chunks(data, position, self._max_head_bytes)
            line = self._take(data, position, b"\n", self._room)
            if line is None:
                break
            fault = self._judge_line(self, line)
            if fault is not None:
                break
            position += len(line) - begun
            if begun:
                events.append(Body(line))
                start = position
        if position > start:
            events.append(Body(data[start:position]))
        if fault is not None:
            return self._refuse(fault, data, events)
        if self._judge_line is not None:
            return len(data)  # from `position` on it is held
        self._end(events)
        return position

    def _hold(self, data: bytes, position: int, events: list[Framed]) -> int:
        if len(self._held) + len(data) - position > self._max_head_bytes:
            return self._refuse("too-much-while-paused", data, events)
        self._held += data[position:]
        return len(data)

    def _read_after_last(self, data: bytes, position: int, events: list[Framed]) -> int:
        return self._refuse("data-after-close", data, events) if data[position:].strip(b"\r\n") else len(data)

    def _ignore(self, data: bytes, position: int, events: list[Framed]) -> int:
        return len(data)

    # ---- steps -----------------------------------------------------------------------------------------------------

    def _begin(self, head: Head, events: list[Framed]) -> int:
        """What comes after the head. Its length."""
        self._switches = head.switches
        self._after = Framer._read_after_last if head.is_last else Framer._read_head
        events.append(head)
        length = head.body_length
        if length == 0:
            self._end(events)
        elif length is not None:
            self._remaining = length
            self._read = Framer._read_sized
        else:
            self._expect(Framer._judge_chunk_line, self._max_head_bytes)
            self._read = Framer._read_chunked
        return len(head.raw)

    def _end(self, events: list[Framed]) -> None:
        events.append(END)
        self.paused = self._switches
        self._read = Framer._hold if self._switches else self._after

    def _refuse(self, reason: str, data: bytes, events: list[Framed]) -> int:
        events.append(Unframed(reason))
        self.stop()
        return len(data)

    def _take(self, data: bytes, position: int, terminator: bytes, limit: int) -> bytes | None:
        """What is held and `data` up to `terminator`; None if that has yet to come: then all is held, and only what
        is new will be searched. `limit` bytes without the terminator if it is further away."""
        if not self._held:
            found = data.find(terminator, position, position + limit)
            if found >= 0:
                return data[position : found + len(terminator)]
        searched = max(0, len(self._held) - len(terminator) + 1)
        self._held += data[position : position + limit - len(self._held)]
        found = self._held.find(terminator, searched)
        if found < 0 and len(self._held) < limit:
            return None
        taken = bytes(self._held[: found + len(terminator)] if found >= 0 else self._held)
        self._held.clear()
        return taken

    # ---- lines of a chunked body: a judge says what is wrong, if anything, and which line comes next ---------------

    def _expect(self, judge: Callable[[Framer, bytes], str | None] | None, room: int) -> None:
        self._judge_line = judge
        self._room = room

    def _judge_chunk_line(self, line: bytes) -> str | None:
        match = CHUNK_LINE.fullmatch(line)
        if match is None:
            return chunk_line_fault(line)
        self._remaining = int(match[1], 16)
        if self._remaining > MAX_LENGTH:
            return "bad-chunk-size"
        if self._remaining:
            self._expect(Framer._judge_chunk_end, 2)
        else:
            self._expect(Framer._judge_trailer, self._max_head_bytes)
        return None

    def _judge_chunk_end(self, line: bytes) -> str | None:
        self._expect(Framer._judge_chunk_line, self._max_head_bytes)
        return None if line == b"\r\n" else "no-crlf-after-chunk"

    def _judge_trailer(self, line: bytes) -> str | None:
        if line == b"\r\n":
            self._expect(None, 0)
            return None
        if not line.endswith(b"\n"):
            return "trailers-too-large"
        share = self._max_head_bytes // MAX_HEADER_LINES  # at least: so there are no more trailers than headers
        self._expect(Framer._judge_trailer, max(0, self._room - max(len(line), share)))
        return None if TRAILER_LINE.fullmatch(line) else "bad-trailer"
