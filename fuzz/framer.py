"""The framer: the same events however the bytes are cut, no byte lost, little held, and never looser than llhttp."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from launcher.framing import Body, End, Framed, Framer, Head, Incomplete, Unframed
from tests.framing_cases import CASES, MAX_HEAD_BYTES
from tests.framing_oracles import Llhttp, carried, completed, cut, framed, single_bytes

STEERING_BYTES = 8  # of an input, before the stream
LIMITS = (MAX_HEAD_BYTES, 64, 300)  # a small one is met by small inputs
WORDS = (
    *(b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"0\r\n\r\n", b"1\r\nx\r\n", b"GET / HTTP/1.1\r\n"),
    *(b" HTTP/1.0\r\n", b"chunked", b", chunked", b";a=\"b\"", b"\\\"", b"ffffffffffffffff", b"9223372036854775807"),
    *(b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Upgrade: a\r\n"),
    *(b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Proxy-Connection: close\r\n", b"Host: x\r\n"),
    *(b"PRI * HTTP/2.0\r\n\r\n", b"http://a/", b"CONNECT a:1 ", b"OPTIONS * HTTP/1.1\r\n", b"Expect: 100-continue\r\n"),
)  # fmt: skip


def seeds() -> dict[str, bytes]:
    """Each case of the table that is not long, cut in two places."""
    steering = bytes(STEERING_BYTES - 3) + bytes([7, 0, 19])
    return {case.name: steering + case.data for case in CASES if len(case.data) < 1000}


def check(data: bytes) -> Hashable:
    """Raises AssertionError if the framer breaks a promise. Returns the kinds of events: a new value is news."""
    steering, stream = data[:STEERING_BYTES].ljust(STEERING_BYTES, b"\0"), data[STEERING_BYTES:]
    limit = LIMITS[steering[0] % len(LIMITS)]
    places = [int.from_bytes(steering[at : at + 2], "big") for at in (2, 4, 6)]
    step = steering[1]
    if step:
        places += range(0, len(stream), step)
    events = framed([stream], limit)
    for pieces in (single_bytes(stream), cut(stream, places)):
        assert_same_events(framed(pieces, limit), events)
    assert_no_byte_is_lost(stream, events, limit)
    assert_bodies_can_be_skipped(stream, events, limit, step or 7)
    assert_never_looser_than_llhttp(stream, events)
    return tuple(getattr(event, "reason", type(event)) for event in events[-4:])


def assert_same_events(events: list[Framed], whole: list[Framed]) -> None:
    if Unframed("too-much-while-paused") in whole:  # in pieces, less of it comes before the app declines
        whole = whole[:-1]
        events = events[: len(whole)]
    assert events == whole, "the events depend on how the stream is cut"


def assert_no_byte_is_lost(stream: bytes, events: list[Framed], limit: int) -> None:
    """What the events carry is the stream without the empty lines between requests; the rest is held, or refused."""
    position = 0
    is_between = True
    for event in events:
        if isinstance(event, Head):
            while stream.startswith(b"\r\n", position):
                position += 2
            is_between = False
        data = carried([event])
        assert stream.startswith(data, position), "an event carries other bytes than those that came"
        position += len(data)
        is_between = is_between or isinstance(event, End)
    if isinstance(events[-1] if events else None, Unframed):
        return
    framer = Framer(limit)
    framer.receive(stream)
    while framer.paused:
        framer.resume()
    rest = stream[position:]
    while is_between and rest.startswith(b"\r\n"):
        rest = rest[2:]
    is_after_last = is_between and not framer.held_bytes and not rest.strip(b"\r\n")
    assert framer.held_bytes == len(rest) or is_after_last, "bytes are neither carried nor held"
    assert framer.receive_eof() == ([] if is_between else [Incomplete()])


def assert_bodies_can_be_skipped(stream: bytes, events: list[Framed], limit: int, step: int) -> None:
    framer = Framer(limit)
    found: list[Framed] = []
    position = 0
    while position < len(stream):
        nbytes = min(step, len(stream) - position)
        skippable = min(framer.bytes_in_piece, nbytes)
        found += framer.skip(skippable) if skippable else framer.receive(stream[position : position + nbytes])
        position += skippable or nbytes
        while framer.paused:
            found += framer.resume()
    assert_same_events(without_bodies(found), without_bodies(events))


def without_bodies(events: Iterable[Framed]) -> list[Framed]:
    return [event for event in events if not isinstance(event, Body)]


def assert_never_looser_than_llhttp(stream: bytes, events: list[Framed]) -> None:
    ours = [request.blurred() for request in completed(events)]
    if ours:
        llhttp = Llhttp()
        llhttp.receive(stream)
        theirs = [request.blurred() for request in llhttp.requests[: len(ours)]]
        assert ours == theirs, "a request is told apart that llhttp does not tell apart"
