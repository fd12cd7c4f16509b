"""Tables, every split, two other parsers as oracles, and inputs that would show more than linear time."""

from __future__ import annotations

import gc
import random
import re
import signal
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import h11
import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher import framing, http_grammar
from launcher.framing import Body, End, Framed, Framer, Head, Incomplete, Unframed
from tests.framing_cases import CASES, CHUNKED, GET, MAX_HEAD_BYTES, Case, whole, with_header

UPGRADE = with_header(b"Connection: upgrade\r\nUpgrade: websocket")
POST = with_header(b"Content-Length: 5")


def merged(events: Iterable[Framed]) -> list[Framed]:
    """With neighbouring Body events joined."""
    result: list[Framed] = []
    for event in events:
        if isinstance(event, Body) and result and isinstance(result[-1], Body):
            result[-1] = Body(result[-1].data + event.data)
        else:
            result.append(event)
    return result


def framed(pieces: Iterable[bytes]) -> list[Framed]:
    """The events of a stream whose app declines every switch at once."""
    framer = Framer(MAX_HEAD_BYTES)
    events: list[Framed] = []
    for piece in pieces:
        events += framer.receive(piece)
        while framer.paused:
            events += framer.resume()
        assert framer.held_bytes <= MAX_HEAD_BYTES
    assert framer.stopped == any(isinstance(event, Unframed) for event in events)
    return merged(events)


def single_bytes(data: bytes) -> Iterator[bytes]:
    return (data[i : i + 1] for i in range(len(data)))


by_name = pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
STILL_FRAMED = [case for case in CASES if case.want and isinstance(case.want[-1], End) and not case.is_last]
SHORT = [case for case in CASES if len(case.data) < 300]


# ---- the table -----------------------------------------------------------------------------------------------------


@by_name
def test_a_stream_in_one_piece_gives_these_events(case: Case):
    assert framed([case.data]) == list(case.want)


@by_name
def test_a_stream_byte_by_byte_gives_the_same_events(case: Case):
    assert framed(single_bytes(case.data)) == list(case.want)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in SHORT])
def test_a_stream_cut_anywhere_gives_the_same_events(case: Case):
    for cut in range(1, len(case.data)):
        assert framed([case.data[:cut], case.data[cut:]]) == list(case.want), cut


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in STILL_FRAMED])
def test_a_request_after_one_that_was_framed_is_framed_too(case: Case):
    want = [*case.want, *whole(POST, b"hello", 5)]
    assert framed([case.data + POST + b"hello"]) == want
    assert framed([case.data, POST, b"hello"]) == want


@by_name
def test_nothing_is_framed_after_what_was_refused(case: Case):
    refusals = [event for event in framed([case.data, GET]) if isinstance(event, Unframed)]
    assert len(refusals) == (case.is_last or any(isinstance(event, Unframed) for event in case.want))


def test_case_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_reason_has_a_case_and_is_in_kebab_case():
    reasons = {event.reason for case in CASES for event in case.want if isinstance(event, Unframed)}
    assert reasons >= {reason for reason, _ in http_grammar._HEAD_FAULTS}
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", reason) for reason in reasons)


# ---- the end of the connection -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b"", []),
        (GET, []),
        (GET + GET[:-1], []),
        (GET + b"\r", []),
        (GET + b"\x16\x03", []),
        (with_header(b"Connection: close"), []),
        (POST, [Incomplete()]),
        (POST + b"hell", [Incomplete()]),
        (POST + b"hello", []),
        (CHUNKED, [Incomplete()]),
        (CHUNKED + b"5", [Incomplete()]),
        (CHUNKED + b"5\r\nhello", [Incomplete()]),
        (CHUNKED + b"0\r\nA: b\r\n", [Incomplete()]),
        (CHUNKED + b"0\r\n\r\n", []),
    ],
)
def test_the_end_of_the_connection_is_incomplete_only_inside_a_request(data, want):
    framer = Framer()
    framer.receive(data)
    assert framer.receive_eof() == want
    assert framer.stopped and framer.held_bytes == 0
    assert framer.receive_eof() == []


def test_an_end_while_paused_is_told_by_resume():
    framer = Framer()
    framer.receive(UPGRADE + POST + b"hell")
    assert framer.receive_eof() == []
    assert framer.paused
    assert merged(framer.resume()) == [*whole(POST, b"hell", 5)[:2], Incomplete()]
    assert framer.stopped


# ---- switching protocols -------------------------------------------------------------------------------------------


def test_a_framer_pauses_after_a_switching_request_and_keeps_what_comes():
    framer = Framer()
    assert framer.receive(UPGRADE + b"\x81\x05") == list(whole(UPGRADE, switches=True))
    assert framer.paused and framer.held_bytes == 2
    assert framer.receive(b"hello") == []
    assert framer.held_bytes == 7


def test_a_declined_switch_frames_what_was_kept():
    framer = Framer()
    framer.receive(UPGRADE + GET[:5])
    framer.receive(GET[5:] + GET)
    assert framer.resume() == [*whole(GET), *whole(GET)]
    assert not framer.paused and framer.held_bytes == 0


def test_a_declined_switch_pauses_again_at_the_next_one():
    framer = Framer()
    framer.receive(UPGRADE + UPGRADE + GET)
    assert framer.resume() == list(whole(UPGRADE, switches=True))
    assert framer.paused and framer.held_bytes == len(GET)
    assert framer.resume() == list(whole(GET))


def test_a_declined_switch_on_a_last_request_frames_no_other():
    framer = Framer()
    framer.receive(with_header(b"Connection: upgrade, close\r\nUpgrade: a") + GET)
    assert framer.resume() == [Unframed("data-after-close")]


def test_a_switch_ends_framing_and_forgets_what_was_kept():
    framer = Framer()
    framer.receive(UPGRADE + b"\x81\x05hello")
    framer.stop()
    assert (framer.paused, framer.stopped, framer.held_bytes) == (False, True, 0)
    assert framer.receive(GET) == framer.resume() == framer.receive_eof() == []


@pytest.mark.parametrize("pieces", [[bytes(65), b""], [bytes(64), b"\0"], [b"", bytes(65)], [bytes(200), bytes(200)]])
def test_too_much_while_paused_is_unframed(pieces):
    framer = Framer(max_head_bytes=64)
    request = b"GET / HTTP/1.1\r\nUpgrade: a\r\n\r\n"
    events = framer.receive(request + pieces[0]) + framer.receive(pieces[1])
    assert events == [*whole(request, switches=True), Unframed("too-much-while-paused")]
    assert (framer.paused, framer.stopped, framer.held_bytes) == (False, True, 0)


def test_resume_does_nothing_to_a_framer_that_is_not_paused():
    framer = Framer()
    framer.receive(POST + b"he")
    assert framer.resume() == []
    assert framer.receive(b"llo" + GET) == [Body(b"llo"), End(), *whole(GET)]


# ---- what is held --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "held"),
    [
        (GET[:-1], len(GET) - 1),
        (GET + b"\r\n\r", 1),
        (POST + b"hel", 0),
        (CHUNKED + b"5;a", 3),
        (CHUNKED + b"5\r\nhello\r", 1),
        (CHUNKED + b"0\r\nA: b", 4),
        (b"\x16" + GET[:-1], 0),
    ],
)
def test_held_bytes_are_those_that_no_event_has_carried(data, held):
    framer = Framer()
    framer.receive(data)
    assert framer.held_bytes == held


def test_a_piece_that_is_all_body_is_not_copied():
    framer = Framer()
    framer.receive(with_header(b"Content-Length: 1000"))
    piece = bytes(600)
    [event] = framer.receive(piece)
    assert isinstance(event, Body) and event.data is piece


def test_a_piece_that_is_all_chunks_is_one_event_and_not_copied():
    framer = Framer()
    framer.receive(CHUNKED)
    piece = b"3\r\nabc\r\n" * 9 + b"5\r\nhel"
    [event] = framer.receive(piece)
    assert isinstance(event, Body) and event.data is piece


def test_a_framer_is_freed_without_the_garbage_collector():
    class Watched(Framer):
        """Has room for a weak reference."""

    framer = Watched()
    framer.receive(UPGRADE + POST)
    framer.resume()
    watch = weakref.ref(framer)
    gc.disable()
    try:
        del framer
        assert watch() is None
    finally:
        gc.enable()


# ---- generated streams ---------------------------------------------------------------------------------------------

TOKEN = st.text("!#$%&'*+-.^_`|~09AZaz", min_size=1, max_size=9).map(str.encode)
TEXT = st.binary(max_size=20).map(lambda raw: bytes(byte for byte in raw if byte == 9 or (byte >= 32 and byte != 127)))
FRAMES = {b"content-length", b"transfer-encoding", b"connection", b"proxy-connection", b"upgrade"}


@st.composite
def field_lines(draw) -> bytes:
    lines = draw(st.lists(st.tuples(TOKEN.filter(lambda name: name.lower() not in FRAMES), TEXT), max_size=4))
    return b"".join(b"%s: %s\r\n" % line for line in lines)


@st.composite
def chunked_bodies(draw) -> bytes:
    quoted = TEXT.map(lambda text: b'"%s"' % text.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))
    extensions = st.lists(st.tuples(TOKEN, st.none() | TOKEN | quoted), max_size=2).map(
        lambda pairs: b"".join(b";" + name + (b"" if value is None else b"=" + value) for name, value in pairs)
    )
    body = b""
    for data in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4)):
        body += b"%x%s\r\n%s\r\n" % (len(data), draw(extensions), data)
    return body + b"0" + draw(extensions) + b"\r\n" + draw(field_lines()) + b"\r\n"


@st.composite
def requests(draw) -> bytes:
    method = draw(st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"HEAD", b"REPORT"]))
    target = b"/" + draw(st.text("".join(map(chr, range(0x21, 0x7F))), max_size=12)).encode()
    kind = draw(st.sampled_from(["bodyless", "sized", "chunked"]))
    body = b""
    frames = b""
    if kind == "sized":
        body = draw(st.binary(max_size=60))
        frames = b"Content-Length: %d\r\n" % len(body)
    elif kind == "chunked":
        body = draw(chunked_bodies())
        frames = b"Transfer-Encoding: chunked\r\n"
    switch = draw(st.sampled_from([b"", b"", b"", b"Connection: upgrade\r\nUpgrade: h2c\r\n"]))
    around = draw(field_lines()), draw(field_lines())
    return b"%s %s HTTP/1.1\r\nHost: x\r\n%s%s%s%s\r\n%s" % (method, target, around[0], frames, around[1], switch, body)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in cuts)})
    return [data[start:end] for start, end in zip(places, places[1:])]  # noqa: B905 - strict= has no meaning here


cuts = st.lists(st.integers(0, 2000), max_size=12)


@given(stream=st.lists(st.tuples(st.sampled_from([b"", b"\r\n", b"\r\n\r\n"]), requests()), max_size=4), cuts=cuts)
def test_sound_requests_are_told_apart_and_no_byte_is_lost(stream, cuts):
    events = framed(cut(b"".join(empty + request for empty, request in stream), cuts))
    carried = [event.raw if isinstance(event, Head) else event.data for event in events if isinstance(event, (Head, Body))]
    assert b"".join(carried) == b"".join(request for _, request in stream)
    assert sum(isinstance(event, End) for event in events) == len(stream)
    assert not any(isinstance(event, Unframed) for event in events)


POISON = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b",", b";", b"=", b'"', b"\\", b"\0", b"\x0b", b"\x7f", b"\xa0", b"0",
     b"5", b"+", b"-", b"_", b"x", b"chunked", b"chunked, ", b", chunked", b"Content-Length: 5\r\n", b"Content-Length:",
     b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding:", b"Connection: close\r\n", b"Upgrade: a\r\n", b"HTTP/1.0", b"GET "]
)  # fmt: skip


@st.composite
def spoilt_streams(draw) -> bytes:
    """Sound requests, of which a few places were changed."""
    data = b"".join(draw(st.lists(requests(), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 3)))
        data = data[:start] + draw(POISON | st.binary(max_size=2)) + data[end:]
    return data


@given(data=spoilt_streams() | st.binary(max_size=200), cuts=cuts)
def test_any_bytes_give_the_same_events_however_they_are_cut(data, cuts):
    assert framed(cut(data, cuts)) == framed([data])


# ---- oracles -------------------------------------------------------------------------------------------------------


@dataclass
class Request:
    """What an oracle says of one request: its method, target and content."""

    method: bytes
    target: bytes = b""
    content: bytes = b""


def completed(events: list[Framed]) -> list[Request]:
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
    """Frames as Node.js does. Its app declines every switch."""

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
        while data and not self.refuses:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as switch:
                data = data[switch.args[0] :]
            except httptools.HttpParserError:
                self.refuses = True
            else:
                break


@by_name
def test_a_case_is_refused_only_where_llhttp_refuses_or_for_a_reason_that_it_names(case: Case):
    llhttp = Llhttp()
    llhttp.receive(case.data)
    refuses = any(isinstance(event, Unframed) for event in case.want)
    assert llhttp.requests[: len(completed(list(case.want)))] == completed(list(case.want))
    assert llhttp.refuses == (refuses and not case.stricter)


@given(data=spoilt_streams())
@settings(max_examples=500)
def test_no_request_is_told_apart_that_llhttp_does_not_tell_apart(data):
    llhttp = Llhttp()
    llhttp.receive(data)
    found = completed(framed([data]))
    assert llhttp.requests[: len(found)] == found


# Where h11 refuses what we frame. h11 is a whole server: it refuses, too, what can be framed but not answered.
FRAMED_THOUGH_H11_REFUSES = {
    "no Host, or two: what to answer is unclear, but not where the request ends": (
        lambda head: len(re.findall(rb"(?i)\nhost:", head)) != 1
    ),
    "empty lines before a request: RFC 9112 §2.2 has servers skip them": lambda head: head.startswith(b"\r\n"),
    "codings before chunked: RFC 9112 §6.1 has them, h11 knows none": (
        lambda head: re.search(rb"(?i)\ntransfer-encoding:[^\r]*,", head)
    ),
}


def h11_requests(data: bytes) -> tuple[list[Request], bool]:
    """What h11 makes of a stream as a server that answers each request, and whether it goes on."""
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    server.receive_data(data)
    found: list[Request] = []
    try:
        while True:
            event = server.next_event()
            if isinstance(event, h11.Request):
                request = Request(event.method, event.target)
            elif isinstance(event, h11.Data):
                request.content += event.data
            elif isinstance(event, h11.EndOfMessage):
                found.append(request)
                server.send(h11.Response(status_code=400, headers=[("Content-Length", "0")]))
                server.send(h11.EndOfMessage())
                if server.our_state is h11.MUST_CLOSE:
                    return found, True
                server.start_next_cycle()
            else:
                return found, True
    except h11.RemoteProtocolError:
        return found, False
