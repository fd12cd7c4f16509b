"""What tests and fuzz targets know of framing: streams cut in pieces, events joined, and llhttp as the oracle."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import httptools

from launcher.framing import Body, End, Framed, Framer, Head, Unframed
from tests.framing_cases import MAX_HEAD_BYTES


def merged(events: Iterable[Framed]) -> list[Framed]:
    """With neighbouring Body events joined."""
    result: list[Framed] = []
    for event in events:
        if isinstance(event, Body) and result and isinstance(result[-1], Body):
            result[-1] = Body(result[-1].data + event.data)
        else:
            result.append(event)
    return result


def framed(pieces: Iterable[bytes], max_head_bytes: int = MAX_HEAD_BYTES) -> list[Framed]:
    """The events of a stream whose app declines every switch at once."""
    framer = Framer(max_head_bytes)
    events: list[Framed] = []
    for piece in pieces:
        events += framer.receive(piece)
        while framer.paused:
            events += framer.resume()
        assert framer.held_bytes <= max_head_bytes
    assert framer.stopped == any(isinstance(event, Unframed) for event in events)
    return merged(events)


def carried(events: Iterable[Framed]) -> bytes:
    return b"".join(getattr(event, "raw", b"") + getattr(event, "data", b"") for event in events)


def single_bytes(data: bytes) -> Iterator[bytes]:
    return (data[i : i + 1] for i in range(len(data)))


def cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The pieces between these places, taken modulo the length."""
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


@dataclass
class Request:
    """What an oracle says of one request: its method, target and content."""

    method: bytes
    target: bytes = b""
    content: bytes = b""

    def blurred(self) -> Request:
        """Itself without what `Llhttp` changes."""
        return Request(self.method, self.target, re.sub(rb"[UuV]", b"u", self.content))


def completed(events: Iterable[Framed]) -> list[Request]:
    found: list[Request] = []
    for event in events:
        if isinstance(event, Head):
            request, is_chunked = Request(event.method, event.target), event.body_length is None
        elif isinstance(event, Body):
            request.content = joined_chunks(event.data) if is_chunked else event.data
        elif isinstance(event, End):
            found.append(request)
    return found


def joined_chunks(body: bytes) -> bytes:
    """The content of a chunked body that is sound, if perhaps not whole."""
    content = b""
    while match := re.match(rb"([0-9A-Fa-f]+)[^\n]*\n", body):
        size = int(match[1], 16)
        if not size:
            break
        content += body[match.end() : match.end() + size]
        body = body[match.end() + size + 2 :]
    return content


@dataclass
class Llhttp:
    """Frames as Node.js does, with an app that declines every switch.

    httptools, unlike llhttp by itself, takes the body of a request with an Upgrade for the new protocol. So it gets
    to see Vpgrade there, and contents are compared as `blurred`.
    """

    requests: list[Request] = field(default_factory=list)
    refuses: bool = False

    def __post_init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self._current = Request(b"")

    def on_url(self, url: bytes) -> None:
        self._current.target += url

    def on_body(self, data: bytes) -> None:
        self._current.content += data

    def on_message_complete(self) -> None:
        self._current.method = self._parser.get_method()
        self.requests.append(self._current)

    def receive(self, data: bytes) -> None:
        data = re.sub(rb"(?i)(?<=\n)u(?=pgrade:)", b"V", data)
        while data and not self.refuses:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as switch:
                data = data[switch.args[0] :]
            except httptools.HttpParserError:
                self.refuses = True
            else:
                break
