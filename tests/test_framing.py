"""Tables, every split, two other parsers as oracles, and inputs that would show more than linear time."""

from __future__ import annotations

import gc
import random
import re
import signal
import sys
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher import framing, http_grammar
from launcher.framing import Body, End, Framer, Head, Incomplete, Unframed
from tests.framing_cases import CASES, CHUNKED, GET, MAX_HEAD_BYTES, MORE_MARKED, Case, whole, with_header
from tests.framing_oracles import Llhttp, Request, carried, completed, cut, framed, merged, single_bytes

UPGRADE = with_header(b"Connection: upgrade\r\nUpgrade: websocket")
POST = with_header(b"Content-Length: 5")


def each(cases: Iterable[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases])


SHORT = [case for case in CASES if len(case.data) < 300]
FRAMED = [case for case in CASES if case.want and isinstance(case.want[-1], End)]
REFUSED = [case for case in CASES if case.want and isinstance(case.want[-1], Unframed)]


# ---- the table -----------------------------------------------------------------------------------------------------


@each(CASES)
def test_a_stream_in_one_piece_gives_these_events(case: Case):
    assert framed([case.data]) == list(case.want)


@each(CASES)
def test_a_stream_byte_by_byte_gives_the_same_events(case: Case):
    assert framed(single_bytes(case.data)) == list(case.want)


@each(SHORT)
def test_a_stream_cut_anywhere_gives_the_same_events(case: Case):
    for place in range(1, len(case.data)):
        assert framed([case.data[:place], case.data[place:]]) == list(case.want), place


@each(case for case in CASES if case not in SHORT)
def test_a_long_stream_cut_near_its_ends_or_in_the_middle_gives_the_same_events(case: Case):
    size = len(case.data)
    for place in (1, 2, 3, 100, size // 2, size - 100, size - 3, size - 2, size - 1):
        assert framed([case.data[:place], case.data[place:]]) == list(case.want), place


@each(CASES)
def test_a_stream_whose_bodies_are_skipped_gives_the_same_other_events(case: Case):
    framer = Framer(MAX_HEAD_BYTES)
    events, data = [], case.data
    while data:
        skippable = min(framer.bytes_in_piece, len(data), 7)
        events += framer.skip(skippable) if skippable else framer.receive(data[:1])
        if framer.paused:
            events += framer.resume()
        data = data[skippable or 1 :]
    wanted = [event for event in case.want if not isinstance(event, Body)]
    assert [event for event in events if not isinstance(event, Body)] == wanted


@each(case for case in FRAMED if not case.is_last)
def test_a_request_after_one_that_was_framed_is_framed_too(case: Case):
    want = [*case.want, *whole(POST, b"hello", 5)]
    assert framed([case.data + POST + b"hello"]) == want
    assert framed([case.data, POST, b"hello"]) == want


@each(case for case in FRAMED if case.is_last)
def test_after_a_last_request_there_is_none(case: Case):
    assert framed([case.data + GET]) == framed([case.data, GET]) == [*case.want, Unframed("data-after-close")]


@each(REFUSED)
def test_nothing_is_framed_after_what_was_refused(case: Case):
    assert framed([case.data, GET]) == framed([case.data]) == list(case.want)


def test_case_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_reason_has_a_case_and_is_in_kebab_case():
    reasons = {case.want[-1].reason for case in REFUSED}
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


def test_as_much_as_may_be_kept_while_paused_is_kept():
    framer = Framer(max_head_bytes=len(UPGRADE))
    framer.receive(UPGRADE + UPGRADE[:9])
    framer.receive(UPGRADE[9:])
    assert framer.resume() == list(whole(UPGRADE, switches=True))


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


cuts = st.lists(st.integers(0, 2000), max_size=12)


@settings(deadline=None)
@given(stream=st.lists(st.tuples(st.sampled_from([b"", b"\r\n", b"\r\n\r\n"]), requests()), max_size=4), cuts=cuts)
def test_sound_requests_are_told_apart_and_no_byte_is_lost(stream, cuts):
    events = framed(cut(b"".join(empty + request for empty, request in stream), cuts))
    assert carried(events) == b"".join(request for _, request in stream)
    assert sum(isinstance(event, End) for event in events) == len(stream)
    assert not any(isinstance(event, Unframed) for event in events)


POISON = st.sampled_from([
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b"\0", b"\x0b", b"\x7f", b"\xa0"),
    *(b":", b",", b";", b"=", b'"', b"\\", b"0", b"5", b"+", b"-", b"_", b"x", b"GET ", b" HTTP/1.0"),
    *(b"chunked", b"chunked, ", b", chunked", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding:"),
    *(b"Content-Length: 5\r\n", b"Content-Length:", b"Upgrade: a\r\n", b"Proxy-Connection: close\r\n"),
    *(b"Connection: close\r\n", b"Connection: keep-alive\r\n"),
])  # fmt: skip


@st.composite
def spoilt_streams(draw) -> bytes:
    """Sound requests, of which a few places were changed."""
    data = b"".join(draw(st.lists(requests(), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 3)))
        data = data[:start] + draw(POISON | st.binary(max_size=2)) + data[end:]
    return data


@settings(max_examples=300, deadline=None)
@given(data=spoilt_streams() | st.binary(max_size=200), cuts=cuts)
def test_any_bytes_give_the_same_events_however_they_are_cut(data, cuts):
    assert framed(cut(data, cuts)) == framed([data])


# ---- oracles -------------------------------------------------------------------------------------------------------


@each(CASES)
def test_a_case_is_refused_only_where_llhttp_refuses_or_for_a_reason_that_it_names(case: Case):
    llhttp = Llhttp()
    llhttp.receive(case.data)
    ours = completed(case.want)
    assert llhttp.requests[: len(ours)] == ours
    assert llhttp.refuses == (case in REFUSED and not case.stricter)


@settings(max_examples=300, deadline=None)
@given(data=spoilt_streams())
def test_no_request_is_told_apart_that_llhttp_does_not_tell_apart(data):
    llhttp = Llhttp()
    llhttp.receive(data)
    ours = completed(framed([data]))
    assert [request.blurred() for request in llhttp.requests[: len(ours)]] == [request.blurred() for request in ours]


# h11 is a whole server: it refuses, too, what can be framed but not answered.
FRAMED_THOUGH_H11_REFUSES = {
    "no Host, or two: that leaves open whom it is for, not where it ends": rb"(?is)\A(?!.*\nhost:)|\nhost:.*\nhost:",
    "codings before chunked: RFC 9112 §6.1 has them, h11 does not": rb"(?i)\ntransfer-encoding:[^\r]*,",
}


def h11_requests(stream: bytes) -> tuple[list[Request], bool]:
    """What h11 makes of a stream, as a server that answers each request; and whether it refuses the next one."""
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    server.receive_data(stream)
    found: list[Request] = []
    while server.our_state is not h11.MUST_CLOSE:
        try:
            event = server.next_event()
        except h11.RemoteProtocolError:
            return found, True
        if isinstance(event, h11.Request):
            request = Request(event.method, event.target)
        elif isinstance(event, h11.Data):
            request.content += event.data
        elif isinstance(event, h11.EndOfMessage):
            found.append(request)
            server.send(h11.Response(status_code=400, headers=[("Content-Length", "0")]))
            server.send(h11.EndOfMessage())
            if server.our_state is h11.DONE:
                server.start_next_cycle()
        else:
            break
    return found, False


@settings(max_examples=300, deadline=None)
@given(data=spoilt_streams())
def test_no_request_is_told_apart_that_h11_refuses_but_for_named_reasons(data):
    events = framed([data])
    heads = [event.raw for event in events if isinstance(event, Head)]
    ours = completed(events)
    # Without the empty lines between requests: RFC 9112 §2.2 has servers skip them, h11 does not.
    theirs, refuses = h11_requests(carried(events))
    assert theirs[: len(ours)] == ours[: len(theirs)]
    if refuses and len(theirs) < len(ours):
        assert any(re.search(pattern, heads[len(theirs)]) for pattern in FRAMED_THOUGH_H11_REFUSES.values())


@pytest.mark.parametrize("reason", FRAMED_THOUGH_H11_REFUSES)
def test_h11_refuses_for_that_reason_what_is_framed(reason):
    examples = [
        GET.replace(b"Host", b"Most"), GET.replace(b"Host: x\r\n", b"Host: x\r\n" * 2),
        CHUNKED.replace(b" chunked", b" gzip, chunked") + b"0\r\n\r\n",
    ]  # fmt: skip
    chosen = [raw for raw in examples if re.search(FRAMED_THOUGH_H11_REFUSES[reason], raw)]
    assert chosen
    for raw in chosen:
        assert h11_requests(raw) == ([], True)
        assert len(completed(framed([raw]))) == 1


# ---- linear time ---------------------------------------------------------------------------------------------------


class Searches:
    """Counts the bytes that a framer looks at, or may look at, while it is fed byte by byte."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nbytes = 0
        counter = self

        class CountedArray(bytearray):
            def find(self, what, start):
                counter.nbytes += len(self) - start
                return super().find(what, start)

        class CountedPattern:
            def __init__(self, pattern: re.Pattern[bytes]) -> None:
                self._pattern = pattern

            def match(self, data, start, end):
                match = self._pattern.match(data, start, end)
                counter.nbytes += (match.end() if match else min(end, len(data))) - start
                return match

            def fullmatch(self, data):
                counter.nbytes += len(data)
                return self._pattern.fullmatch(data)

        monkeypatch.setattr(framing, "bytearray", CountedArray, raising=False)
        for module in (framing, http_grammar):
            for name, value in vars(module).items():
                if isinstance(value, re.Pattern):
                    monkeypatch.setattr(module, name, CountedPattern(value))


LONG = {
    "a head": b"GET /" + b"a" * 60000 + b" HTTP/1.1\r\n\r\n",
    "a head of many headers": b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 15000 + b"\r\n",
    "a head of many headers that matter": b"GET / HTTP/1.1\r\n" + b"upgrade:\r\n" * 6000 + b"\r\n",
    "a head that doesn't end": b"GET /" + b"\r\n\r" * 15000,
    "empty lines": b"\r\n" * 30000,
    "many heads": GET * 2000,
    "what is kept while paused": UPGRADE + GET * 2000,
    "a chunk line": CHUNKED + b"1;" + b"a" * 60000 + b"\r\nx\r\n0\r\n\r\n",
    "small chunks": CHUNKED + b"1\r\nx\r\n" * 10000 + b"0\r\n\r\n",
    "trailers": CHUNKED + b"0\r\n" + b"a:\r\n" * 15000 + b"\r\n",
}


@pytest.mark.parametrize("data", LONG.values(), ids=LONG)
def test_no_byte_is_searched_again_for_each_one_that_comes(data, monkeypatch):
    searches = Searches(monkeypatch)
    framer = Framer(MAX_HEAD_BYTES)
    for piece in single_bytes(data):
        framer.receive(piece)
    assert 0 < searches.nbytes <= 6 * len(data)


def test_a_piece_of_whole_chunks_takes_few_calls_for_each():
    framer = Framer()
    framer.receive(CHUNKED)
    calls = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        framer.receive(b"1\r\nx\r\n" * 1000)
    finally:
        sys.setprofile(None)
    assert calls < 8 * 1000  # match, int, end, startswith; line by line they are more than 20


@contextmanager
def processor_seconds(limit: float) -> Iterator[None]:
    """Makes of what would go on for hours a failure."""

    def fail(*_: object) -> None:
        raise AssertionError(f"not done after {limit} s of processor time")

    before = signal.signal(signal.SIGVTALRM, fail)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


N = 1 << 20
_LINE = b"GET / HTTP/1.1\r\n"
SPITEFUL = {
    "lines, the last one bad": _LINE + b"a:b\r\n" * (N // 5) + b"bad\r\n\r\n",
    "lines that matter, the last one bad": _LINE + b"connection:\r\n" * (N // 13) + b"bad\r\n\r\n",
    "Connections": _LINE + b"connection:a\r\n" * (N // 14) + b"\r\n",
    "lines of both kinds": _LINE + b"upgrade:\r\ncookie:\r\n" * (N // 18) + b"\r\n",
    "a name without a colon": _LINE + b"a" * N + b"\r\n\r\n",
    "names with spaces": _LINE + b"a " * (N // 2) + b"\r\n\r\n",
    "spaces before a bad character": _LINE + b"Connection: a" + b" " * N + b"\0\r\n\r\n",
    "tabs before no colon": _LINE + b"Upgrade" + b"\t" * N + b"\r\n\r\n",
    "commas in a Connection": _LINE + b"Connection: " + b"," * N + b"\r\n\r\n",
    "codings, none chunked": _LINE + b"Transfer-Encoding: " + b"gzip , " * (N // 7) + b"gzip\r\n\r\n",
    "codings like chunked": _LINE + b"Transfer-Encoding: " + b"chunke, " * (N // 8) + b"chunked,\r\n\r\n",
    "spaces for a coding": _LINE + b"Transfer-Encoding: chunked" + b" " * N + b"\t\r\n\r\n",
    "spaces after a comma": _LINE + b"Transfer-Encoding: a," + b" " * N + b"\r\n\r\n",
    "digits": _LINE + b"Content-Length: " + b"9" * N + b"\r\n\r\n",
    "spaces in the request line": b"GET " + b" " * N + b" HTTP/1.1\r\n\r\n",
    "versions in the request line": b"GET " + b"/ HTTP/1.1 " * (N // 11) + b"\r\n\r\n",
    "a host": b"GET a://" + b"a:1" * (N // 3) + b"# HTTP/1.1\r\n\r\n",
    "an authority": b"CONNECT " + b"a:1" * (N // 3) + b"/ HTTP/1.1\r\n\r\n",
    "a scheme": b"GET " + b"a" * N + b" HTTP/1.1\r\n\r\n",
    "CRs": b"GET / HTTP/1.1" + b"\r" * N + b"\n\r\n\r\n",
    "LFs": b"GET / HTTP/1.1" + b"\n" * N + b"\r\n\r\n",
    "empty lines": b"\r\n" * (N // 2),
    "small requests": b"GET / HTTP/1.1\r\n\r\n" * (N // 18),
    "small bodies": (b"PUT / HTTP/1.1\r\nContent-Length:1\r\n\r\nx") * (N // 38),
    "small chunks": CHUNKED + b"1\r\nx\r\n" * (N // 6) + b"bad\r\n",
    "extensions": CHUNKED + b"1" + b";a" * (N // 2) + b";\r\n",
    "quoted pairs": CHUNKED + b'1;a="' + b"\\\\" * (N // 2) + b"\r\n",
    "quotes": CHUNKED + b"1" + b';a=""' * (N // 5) + b'"\r\n',
    "trailers": CHUNKED + b"0\r\n" + b"a:\r\n" * (N // 4) + b"bad\r\n",
    "a trailer": CHUNKED + b"0\r\na:" + b" " * N + b"\0\r\n",
}


@pytest.mark.parametrize("data", SPITEFUL.values(), ids=SPITEFUL)
def test_a_megabyte_meant_to_be_slow_takes_linear_time(data):
    with processor_seconds(60):  # linear: below 2 s; quadratic: hours
        for pieces in ([data], cut(data, random.Random(7).choices(range(len(data)), k=200))):
            framer = Framer(max_head_bytes=2 * N)
            for piece in pieces:
                framer.receive(piece)


@pytest.mark.parametrize(
    "line", [b"connection:a\r\n", b"upgrade:a\r\n", b"expect:\r\n", b"keep-alive:\r\n", b"a:\r\n", b"bad\r\n"]
)
def test_a_head_of_lines_that_cost_much_costs_little_more_than_any_head(line):
    """Nobody else is served meanwhile. Where each line was read, thousands that matter took ten times as long."""

    def seconds(line: bytes) -> float:
        data = _LINE + line * ((MAX_HEAD_BYTES - 100) // len(line)) + b"\r\n"
        begun = time.process_time()
        for _ in range(10):
            assert Framer().receive(data)
        return time.process_time() - begun

    plain, spiteful = (min(seconds(each) for _ in range(3)) for each in (b"a:b\r\n", line))
    assert spiteful < 5 * plain


def test_a_head_has_too_many_headers_only_once_it_has_its_end():
    framer = Framer()
    assert framer.receive(GET + MORE_MARKED) == list(whole(GET))
    assert framer.receive(b"\r\n") == [Unframed("too-many-headers")]


# ---- what mutation testing has asked for ---------------------------------------------------------------------------


@pytest.mark.parametrize("nbytes", [-1, 0, 6])
def test_only_bytes_of_the_body_can_be_skipped(nbytes: int):
    framer = Framer()
    framer.receive(POST)
    with pytest.raises(AssertionError):
        framer.skip(nbytes)


def test_a_framer_is_paused_or_not():
    framer = Framer()
    assert framer.paused is False
    framer.receive(UPGRADE)
    assert framer.paused is True
    framer.resume()
    assert framer.paused is False


@pytest.mark.parametrize("between", [b"\r\r\n", b"\rX\n", b"\r\n\rX", b"\rX"])
def test_a_bare_cr_between_requests_is_refused_in_any_split(between: bytes):
    for pieces in ([between + GET], single_bytes(between + GET)):
        assert framed(pieces) == [Unframed("bare-cr")]


def test_any_byte_but_those_of_empty_lines_is_data_after_close():
    last = with_header(b"Connection: close")
    for byte in b"\0\t\n\r XZ":
        (*_, end) = framed([last + bytes([byte])])
        assert end == (End() if byte in b"\r\n" else Unframed("data-after-close"))


@pytest.mark.parametrize(("size", "is_taken"), [(2**63 - 1, True), (2**63, False), (2**64 - 1, False)])
def test_a_chunk_may_be_as_long_as_63_bits_can_say(size: int, is_taken: bool):
    framer = Framer()
    events = framer.receive(CHUNKED + b"%x\r\n" % size)
    assert (events[-1] != Unframed("bad-chunk-size")) is is_taken
    assert framer.bytes_in_piece == (size if is_taken else 0)


@pytest.mark.parametrize("digits", [b"0", b"9", b"a", b"f", b"A", b"F", b"aA" * 8])
def test_a_fault_behind_any_chunk_size_is_one_of_its_extension(digits: bytes):
    assert http_grammar.chunk_line_fault(digits + b";=\r\n") == "bad-chunk-extension"
    assert http_grammar.chunk_line_fault(digits + b"g;a\r\n") == "bad-chunk-size"


def test_a_head_of_64_kib_is_taken_unless_another_bound_is_given():
    empty = b"GET / HTTP/1.1\r\nA: \r\n\r\n"
    for more, last in [(0, End()), (1, Unframed("head-too-large"))]:
        value = b"a" * (65536 - len(empty) + more)
        assert Framer().receive(empty.replace(b"A: ", b"A: " + value))[-1] == last


def test_a_chunk_line_that_is_too_long_is_refused_however_much_comes_with_it():
    framer = Framer(max_head_bytes=len(CHUNKED) + 30)
    long = b"1;" + b"a" * 100 + b"\r\nx\r\n"
    assert framer.receive(CHUNKED + long * 9)[1:] == [Unframed("bad-chunk-extension")]


def test_it_tells_whether_the_client_sends_another_request_from_the_head_on():
    framer = Framer()
    assert framer.is_last is False
    framer.receive(GET)
    assert framer.is_last is False
    framer.receive(POST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert framer.is_last is True
    framer.receive(b"hello")
    assert framer.is_last is True
