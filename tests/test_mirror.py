"""The tap: each request ends in exactly one counter, and a copy is what it should be."""

from __future__ import annotations

import dataclasses
import errno
import tracemalloc

import pytest

from launcher.controls import Controls
from launcher.counters import FeedCounters, as_dict
from launcher.fnv1a import fnv1a
from launcher.mirror import Mirror, MirrorSettings
from launcher.mirror_queue import Budget, MirrorQueue
from launcher.records import request_of
from launcher.sampling import place_of
from launcher.selection import SampleBy, Selection

GET = b"GET /a?b=1 HTTP/1.1\r\nHost: h\r\n\r\n"
GUARD = b"X-Traffic-Duplicator: 1\r\n\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
CHUNKED = b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


class Scene:
    """One mirror with one or more queues, and one connection's tap."""

    def __init__(
        self, *, buffer: int = 1 << 20, queues: int = 1, sample_percent: float = 100, **settings: object
    ) -> None:
        self.controls = Controls(sample_percent=sample_percent)
        self.budget = Budget(buffer)
        self.queues = [MirrorQueue(self.budget, buffer // queues, FeedCounters()) for _ in range(queues)]
        settings_ = MirrorSettings(**settings)  # type: ignore[arg-type]
        self.mirror = Mirror(self.queues, self.budget, settings_, self.controls)
        self.tap = self.mirror.new_tap()

    def send(self, data: bytes, *, in_pieces: bool = False) -> Scene:
        for piece in [data[i : i + 1] for i in range(len(data))] if in_pieces else [data]:
            self.tap.client_sent(piece)
        return self

    def copies(self, queue: int = 0) -> list[bytes]:
        found = []
        while (record := self.queues[queue].pop()) is not None:
            found.append(request_of(record))
            self.queues[queue].release(record)
        return found

    def counters(self) -> dict[str, int]:
        """Those that have counted; they must balance."""
        assert self.mirror.counters.imbalance() == 0
        return {name: value for name, value in as_dict(self.mirror.counters).items() if value}


@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_request_is_copied_with_the_loop_guard_and_nothing_else_changed(in_pieces):
    request = b"POST //a/../%2F?x HTTP/1.1\r\nhost: h\r\nX-b: 1\r\nX-B:  2 \r\nContent-Length: 3\r\n\r\nabc"
    scene = Scene().send(request, in_pieces=in_pieces)
    head, body = request[:-5], b"abc"
    assert scene.copies() == [head + GUARD + body]
    assert scene.counters() == {"seen": 1, "offered": 1}


def test_chunked_bodies_are_copied_as_they_are_on_the_wire():
    body = b"3;ext=1\r\nabc\r\n0\r\nTrailer: t\r\n\r\n"
    scene = Scene().send(CHUNKED + body, in_pieces=True)
    assert scene.copies() == [CHUNKED[:-2] + GUARD + body]


def test_pipelined_requests_are_told_apart():
    scene = Scene().send(GET * 3)
    assert len(scene.copies()) == 3
    assert scene.counters() == {"seen": 3, "offered": 3}


def test_headers_of_one_hop_and_those_that_connection_names_are_left_out():
    scene = Scene().send(
        b"GET / HTTP/1.1\r\nHost: h\r\nconnection: close, X-Hop\r\nKeep-Alive: 5\r\nExpect: 100-continue\r\n"
        b"Proxy-Connection: x\r\nX-HOP: 1\r\nX-Hopping: 2\r\n\r\n"
    )
    assert scene.copies() == [b"GET / HTTP/1.1\r\nHost: h\r\nX-Hopping: 2\r\n" + GUARD]


@pytest.mark.parametrize("second", [b"Keep-Alive: 5", b"connection: close, a", b"Upgrade: x", b"Expect: 100-continue"])
def test_a_usual_connection_header_is_not_the_only_one_that_is_left_out(second):
    request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n%s\r\nX: y\r\n\r\n" % second
    scene = Scene().send(request)
    scene.tap.app_sent(b"HTTP/1.1 200 OK\r\n")
    assert scene.copies() == [b"GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n" + GUARD]


def test_a_pipelined_request_goes_without_the_same_headers_as_one_that_comes_alone():
    lines = b"Keep-Alive: 5\r\nX: y\r\nConnection: close\r\n\r\n"
    scene = Scene().send(POST + GET + GET[:-2] + lines)
    assert scene.copies() == [
        POST.replace(b"\r\n\r\n", b"\r\n" + GUARD),
        GET[:-2] + GUARD,
        GET[:-2] + b"X: y\r\n" + GUARD,
    ]


def test_a_header_that_connection_names_is_left_out_whatever_its_value():
    request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: x-a,X-B\r\nX-A: b: c:d\r\nX-b:\r\nX-C: x-a:\r\n\r\n"
    assert Scene().send(request).copies() == [b"GET / HTTP/1.1\r\nHost: h\r\nX-C: x-a:\r\n" + GUARD]


def test_connection_can_t_take_away_what_says_where_a_request_ends():
    request = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: host, content-length\r\nContent-Length: 1\r\n\r\nx"
    assert Scene().send(request).copies() == [b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n" + GUARD + b"x"]


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"GET http://h/ HTTP/1.1"])
def test_connection_can_t_take_away_the_request_line(line):
    request = b"%s\r\nHost: h\r\nConnection: get http, get / http/1.1\r\n\r\n" % line
    assert Scene().send(request).copies() == [b"%s\r\nHost: h\r\n%s" % (line, GUARD)]


def test_a_header_of_one_hop_is_left_out_wherever_it_stands_and_however_often():
    scene = Scene(drop_headers=("Cookie",)).send(
        b"GET / HTTP/1.1\r\nCOOKIE: a\r\nHost: h\r\ncookie: b\r\ncookie: c\r\nX: cookie: d\r\nConnection: close\r\n\r\n"
    )
    assert scene.copies() == [b"GET / HTTP/1.1\r\nHost: h\r\nX: cookie: d\r\n" + GUARD]


def test_a_head_full_of_what_is_left_out_has_all_of_it_left_out():
    names = b",".join(b"x-%d" % number for number in range(64))
    head = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: %s\r\n" % names
    assert Scene().send(head + b"x-63: 1\r\n" * 900 + b"\r\n").copies() == [b"GET / HTTP/1.1\r\nHost: h\r\n" + GUARD]
    assert Scene().send(GET[:-2] + b"Connection:x\r\n" * 64 + b"\r\n").copies() == [GET[:-2] + GUARD]


def test_dropped_headers_are_left_out_in_any_case():
    scene = Scene(drop_headers=("Cookie", "Authorization"))
    scene.send(b"GET / HTTP/1.1\r\nHost: h\r\ncookie: a\r\nCOOKIE: b\r\nauthorization: c\r\nX-Cookie: d\r\n\r\n")
    assert scene.copies() == [b"GET / HTTP/1.1\r\nHost: h\r\nX-Cookie: d\r\n" + GUARD]


def test_every_queue_gets_each_record_and_shares_its_bytes():
    scene = Scene(queues=2).send(GET)
    first, second = (queue.pop() for queue in scene.queues)
    assert first is second is not None


def test_a_split_output_goes_round_the_queues():
    scene = Scene(queues=3, split_output=True).send(GET * 2)
    assert [queue.counters.given for queue in scene.queues] == [1, 1, 0]
    scene.send(GET * 2)
    assert [queue.counters.given for queue in scene.queues] == [2, 1, 1]
    assert [len(scene.copies(queue)) for queue in range(3)] == [2, 1, 1]


@pytest.mark.parametrize(("percent", "counter"), [(0, "skipped_sample"), (100, "offered")])
def test_sampling_at_its_ends(percent, counter):
    assert Scene(sample_percent=percent).send(GET * 20).counters() == {"seen": 20, counter: 20}


POST = b"POST /api HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
UNWANTED = Selection(methods=("GET",), not_paths=("^/admin",))


@pytest.mark.parametrize("in_pieces", [False, True])
def test_what_is_not_wanted_is_counted_and_never_held(in_pieces):
    scene = Scene(buffer=1000, selection=UNWANTED)
    scene.send(POST[:-1], in_pieces=in_pieces)
    assert scene.budget.used_bytes == 0
    assert scene.tap.indifferent_bytes() == 1, "so that the relay may splice it"
    scene.tap.client_sent_unseen(1)
    scene.send(GET.replace(b"/a?b=1", b"/admin?x") + CHUNKED + b"3\r\nabc\r\n0\r\n\r\n" + GET, in_pieces=in_pieces)
    assert scene.counters() == {"seen": 4, "skipped_filter": 3, "offered": 1}
    assert scene.copies() == [GET[:-2] + GUARD]


def test_what_takes_too_long_to_judge_is_counted_apart_and_not_held():
    scene = Scene(selection=Selection(paths=("a.{1,100}/edit$",)))
    strange = b"/" + b"abba" * 40 + b"".join(b"a" + b"b" * (1 + n * n % 97) for n in range(1000))
    scene.send(POST.replace(b"/api", strange)[:-1])
    assert scene.budget.used_bytes == 0
    scene.send(b"x" + GET)
    assert scene.counters() == {"seen": 2, "skipped_unjudged": 1, "skipped_filter": 1}


def test_a_switch_ends_framing_even_when_a_filter_does_not_want_it():
    scene = Scene(selection=Selection(paths=("^/api",))).send(UPGRADE)
    scene.tap.app_sent(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    scene.send(GET)
    assert scene.counters() == {"seen": 1, "skipped_filter": 1}


def test_a_rate_is_used_up_only_by_what_is_wanted():
    scene = Scene(max_request_bytes=1500, selection=Selection(not_paths=("^/b",)))
    scene.controls.rate_per_second = 0.001
    unwanted = GET.replace(b"/a", b"/b")
    scene.send(GET[:-2] + GUARD + unwanted * 5 + POST)
    scene.controls.sample_percent = 0
    scene.send(GET)
    scene.controls.sample_percent = 100
    scene.send(GET * 3 + unwanted)
    assert scene.counters() == {
        "seen": 12, "skipped_loop": 1, "skipped_filter": 6, "dropped_large": 1, "skipped_sample": 1, "offered": 1,
        "skipped_rate": 2,
    }  # fmt: skip


def test_the_sample_and_the_rate_may_change_between_two_requests_of_a_connection():
    scene = Scene().send(GET)
    scene.controls.sample_percent = 0
    scene.send(GET)
    scene.controls.sample_percent, scene.controls.rate_per_second = 100, 0
    scene.send(GET)
    scene.controls.rate_per_second = None
    scene.send(GET)
    scene.controls.turn(on=False)
    scene.send(GET)
    assert scene.counters() == {
        "seen": 5, "offered": 2, "skipped_sample": 1, "skipped_rate": 1, "skipped_paused": 1
    }  # fmt: skip


def test_a_sample_by_user_takes_all_or_none_of_each_user_s_requests():
    scene = Scene(sample_percent=50, selection=Selection(sample_by=SampleBy("header", "X-User")))
    for user in range(200):
        scene.send(b"GET / HTTP/1.1\r\nHost: h\r\nX-User: user-%d\r\n\r\n" % user * 3)
    users = [copy.split(b"X-User: ")[1].split(b"\r")[0] for copy in scene.copies()]
    assert users == [b"user-%d" % user for user in range(200) if fnv1a(b"user-%d" % user) % 100 < 50 for _ in range(3)]
    assert scene.counters() == {"seen": 600, "offered": len(users), "skipped_sample": 600 - len(users)}


@pytest.mark.parametrize(
    ("name", "in_dyno", "key"),
    [
        (("8.8.8.8", 1), False, b"8.8.8.8"),
        (("8.8.8.8", 1), True, b"1.2.3.4"),
        (("::ffff:10.0.0.1", 1, 0, 0), False, b"1.2.3.4"),
        (("::1", 1, 0, 0), False, b"1.2.3.4"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_sample_by_client_asks_whose_the_connection_is(name, in_dyno, key, in_pieces):
    scene = Scene(selection=Selection(sample_by=SampleBy("client")), in_dyno=in_dyno)
    scene.tap = scene.mirror.new_tap(lambda: name)
    for percent in (place_of(key), place_of(key) + 1e-6):
        scene.controls.sample_percent = percent
        scene.send(POST[:-2003] + b"\nX-Forwarded-For: 9.9.9.9, 1.2.3.4\r\n\r\n" + POST[-2000:], in_pieces=in_pieces)
    assert scene.counters() == {"seen": 2, "skipped_sample": 1, "offered": 1}


def test_a_client_without_an_address_is_drawn_by_lot():
    scene = Scene(sample_percent=0, selection=Selection(sample_by=SampleBy("client")))
    scene.tap = scene.mirror.new_tap(lambda: "")  # what a Unix socket tells
    assert scene.send(GET).counters() == {"seen": 1, "skipped_sample": 1}


def test_a_client_that_has_gone_before_it_was_asked_for_is_drawn_by_lot():
    def gone() -> object:
        raise OSError(errno.ENOTCONN, "gone")

    scene = Scene(sample_percent=0, selection=Selection(sample_by=SampleBy("client")))
    scene.tap = scene.mirror.new_tap(gone)
    assert scene.send(GET).counters() == {"seen": 1, "skipped_sample": 1}


def test_copies_are_not_copied_again():
    scene = Scene().send(GET[:-2] + b"x-traffic-duplicator: 1\r\n\r\n" + GET)
    assert scene.counters() == {"seen": 2, "skipped_loop": 1, "offered": 1}


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize("body", [
    b"Content-Length: 2000\r\n\r\n" + b"x" * 2000,
    b"Transfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n",
])  # fmt: skip
def test_a_large_request_is_dropped_and_the_next_one_is_not(body, in_pieces):
    scene = Scene(max_request_bytes=1500).send(b"POST / HTTP/1.1\r\nHost: h\r\n" + body + GET, in_pieces=in_pieces)
    assert scene.counters() == {"seen": 2, "dropped_large": 1, "offered": 1}
    assert len(scene.copies()) == 1
    assert scene.budget.used_bytes == 0


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize("selection", [Selection(), Selection(paths=("^/",))])
@pytest.mark.parametrize("request_", [POST, CHUNKED + b"3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n"])
def test_a_request_may_be_as_large_as_max_request_says(request_, selection, in_pieces):
    for more, counter in [(0, "offered"), (-1, "dropped_large")]:
        scene = Scene(max_request_bytes=len(request_) + more, selection=selection)
        assert scene.send(request_, in_pieces=in_pieces).counters() == {"seen": 1, counter: 1}


def test_pipelined_requests_without_a_body_may_be_as_large_as_max_request_says():
    assert Scene(max_request_bytes=len(GET)).send(GET * 2).counters() == {"seen": 2, "offered": 2}


def test_a_half_read_request_that_the_buffer_does_not_hold_is_dropped():
    scene = Scene(buffer=1200)
    scene.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n" + b"x" * 1000)
    scene.send(b"x" * 1000 + GET)
    assert scene.counters() == {"seen": 2, "dropped_buffer": 1, "offered": 1}
    assert scene.copies() == [GET[:-2] + GUARD]
    assert scene.budget.used_bytes == 0


def test_a_half_read_head_is_charged_and_given_back():
    scene = Scene(buffer=5000).send(b"GET / HTTP/1.1\r\nX: " + b"y" * 1000)
    assert scene.budget.used_bytes >= 1000
    scene.send(b"\r\nHost: h\r\n\r\n")
    scene.copies()
    assert scene.budget.used_bytes == 0


def test_what_is_half_read_is_charged_to_the_byte():
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
    scene = Scene().send(GET[:20])
    assert scene.budget.used_bytes == 20
    scene.send(GET[20:] + GET[:5])
    scene.copies()
    assert scene.budget.used_bytes == 5
    scene.send(GET[5:] + head + b"abc")
    scene.copies()
    assert scene.budget.used_bytes == len(head + b"abc") + 256 + len(b" 5") + 256, (
        "of the record and of the marked line"
    )


def test_a_half_read_head_that_the_buffer_does_not_hold_ends_mirroring_there():
    scene = Scene(buffer=500).send(b"GET / HTTP/1.1\r\nX: " + b"y" * 1000)
    scene.send(b"\r\nHost: h\r\n\r\n" + GET)
    assert scene.counters() == {"seen": 1, "dropped_buffer": 1}
    assert scene.budget.used_bytes == 0


def test_a_connection_that_ends_within_a_request_is_incomplete():
    scene = Scene().send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc")
    scene.tap.closed()
    assert scene.counters() == {"seen": 1, "incomplete": 1}
    assert scene.budget.used_bytes == 0


@pytest.mark.parametrize("sent", [b"", GET, b"GET / HT"])
def test_a_connection_that_ends_between_requests_counts_nothing_more(sent):
    scene = Scene().send(sent)
    before = dataclasses.replace(scene.mirror.counters)
    scene.tap.closed()
    assert scene.mirror.counters == before


def test_what_is_not_http_ends_mirroring_once():
    scene = Scene().send(GET + b"\x16\x03\x01\x02\x00" * 3).send(GET)
    scene.tap.closed()
    assert scene.counters() == {"seen": 2, "offered": 1, "unframed": 1}


def test_a_body_that_can_t_be_read_is_the_request_s_own_end():
    scene = Scene().send(CHUNKED + b"zz\r\n" + GET)
    scene.tap.closed()
    assert scene.counters() == {"seen": 1, "unframed": 1}
    assert scene.budget.used_bytes == 0


def test_a_switched_protocol_is_not_copied_and_ends_framing():
    scene = Scene().send(UPGRADE)
    assert scene.tap.wants_app
    scene.tap.app_sent(b"HTTP/1.1 101 Switching Protocols\r\n")
    scene.send(b"\x81\x85\x01\x02\x03\x04" + GET)
    assert scene.tap.wants_app is False
    assert scene.counters() == {"seen": 1, "skipped_upgrade": 1}


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 N\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
])  # fmt: skip
@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_declined_upgrade_is_copied_without_the_header(answer, in_pieces):
    scene = Scene()
    assert scene.tap.wants_app is False
    scene.send(UPGRADE + GET)
    for piece in [answer[i : i + 1] for i in range(len(answer))] if in_pieces else [answer]:
        if scene.tap.wants_app:
            scene.tap.app_sent(piece)
    assert scene.copies() == [b"GET /ws HTTP/1.1\r\nHost: h\r\n" + GUARD, GET[:-2] + GUARD]
    assert scene.counters() == {"seen": 2, "offered": 2}
    assert scene.tap.wants_app is False


def test_each_upgrade_has_an_answer_of_its_own():
    scene = Scene().send(UPGRADE * 3)
    for answer in (b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 404 N\r\n", b"HTTP/1.1 101 Switching Protocols\r\n"):
        assert scene.tap.wants_app is True
        scene.tap.app_sent(answer)
    assert scene.counters() == {"seen": 3, "offered": 2, "skipped_upgrade": 1}


@pytest.mark.parametrize("status", [b"100 Continue", b"103 Early Hints", b"199 X"])
def test_an_interim_answer_decides_nothing(status):
    scene = Scene().send(UPGRADE)
    scene.tap.app_sent(b"HTTP/1.1 %s\r\n\r\n" % status)
    assert scene.tap.wants_app is True
    scene.tap.app_sent(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert scene.counters() == {"seen": 1, "skipped_upgrade": 1}


def test_an_interim_answer_without_end_is_taken_for_a_switch():
    scene = Scene().send(UPGRADE)
    scene.tap.app_sent((b"HTTP/1.1 103 Early Hints\r\nA: ").ljust(16384, b"a"))
    assert scene.tap.wants_app is True
    scene.tap.app_sent(b"a")
    assert scene.counters() == {"seen": 1, "skipped_upgrade": 1}


def test_one_that_switches_behind_an_answered_request_is_judged_by_its_own_answer():
    scene = Scene().send(GET)
    scene.tap.app_has_spoken = True
    scene.send(UPGRADE)
    assert scene.copies() == [GET[:-2] + GUARD]
    scene.tap.app_sent(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert scene.counters() == {"seen": 2, "offered": 1, "skipped_upgrade": 1}


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize("first", [GET, GET[:-2] + b"Content-Length: 3\r\n\r\nabc", CHUNKED + b"1\r\nx\r\n0\r\n\r\n"])
def test_one_that_switches_behind_an_unanswered_request_ends_copying(first, in_pieces):
    """The next status line is the first request's, and what follows is perhaps no request for the app."""
    scene = Scene().send(first + UPGRADE + GET, in_pieces=in_pieces)
    assert not scene.tap.wants_app
    scene.tap.app_has_spoken = True
    scene.send(GET)
    assert scene.counters() == {"seen": 2, "offered": 1, "unframed": 1}
    assert len(scene.copies()) == 1
    assert scene.budget.used_bytes == 0


def test_a_client_that_has_not_waited_once_can_switch_no_more():
    """The app has said something, but perhaps to the first of two requests only."""
    for at_once, alone in ((GET * 2, b""), (GET, GET)):
        scene = Scene().send(at_once).send(alone)
        scene.tap.app_has_spoken = True
        scene.send(UPGRADE)
        assert scene.counters() == {"seen": 3, "offered": 2, "unframed": 1}


def test_one_that_switches_behind_a_declined_one_and_another_ends_copying():
    scene = Scene().send(UPGRADE + GET + UPGRADE)
    scene.tap.app_sent(b"HTTP/1.1 200 OK\r\n")
    assert not scene.tap.wants_app
    assert scene.counters() == {"seen": 3, "offered": 2, "unframed": 1}


def test_a_body_in_tiny_pieces_takes_the_memory_that_it_is_charged():
    scene = Scene(buffer=1 << 30).send(b"POST / HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n")
    tracemalloc.start()
    try:
        for _ in range(50_000):
            scene.tap.client_sent(bytes(bytearray(b"ab")))  # an object of its own
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1.2 * scene.budget.used_bytes


def test_more_than_can_be_held_behind_one_that_switches_ends_mirroring_there():
    scene = Scene().send(UPGRADE + b"x" * 70_000)
    assert not scene.tap.wants_app
    assert scene.counters() == {"seen": 1, "unframed": 1}
    assert scene.budget.used_bytes == 0


@pytest.mark.parametrize(
    ("answer", "counter"),
    [(b"200 OK", "skipped_upgrade"), (b"299 OK", "skipped_upgrade"), (b"300 No", "offered"), (b"405 No", "offered")],
)
def test_connect_switches_with_any_status_of_2xx(answer, counter):
    scene = Scene().send(b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n")
    scene.tap.app_sent(b"HTTP/1.1 " + answer + b"\r\n\r\n")
    assert scene.counters() == {"seen": 1, counter: 1}


def test_an_unanswered_upgrade_is_incomplete():
    scene = Scene().send(UPGRADE)
    scene.tap.closed()
    assert scene.counters() == {"seen": 1, "incomplete": 1}


def test_a_switch_ends_framing_even_when_the_request_was_not_wanted():
    scene = Scene(sample_percent=0).send(UPGRADE)
    scene.tap.app_sent(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    scene.send(GET)
    assert scene.counters() == {"seen": 1, "skipped_sample": 1}


def test_an_answer_that_is_no_http_is_taken_for_a_switch():
    scene = Scene().send(UPGRADE)
    scene.tap.app_sent(b"SSH-2.0-x\r\n")
    assert scene.counters() == {"seen": 1, "skipped_upgrade": 1}


@pytest.mark.parametrize("sent", [b"", GET, b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"])
def test_a_tap_that_raised_counts_one_failure_and_lets_go(sent):
    scene = Scene().send(sent)
    seen = scene.mirror.counters.seen
    scene.tap.abandon()
    assert scene.counters()["failed"] == 1
    assert scene.mirror.counters.seen == max(seen, 1) + (sent == GET)
    scene.copies()
    assert scene.budget.used_bytes == 0


def test_a_large_body_of_a_known_length_need_not_be_seen_and_the_next_request_is():
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n"
    scene = Scene(buffer=1 << 23, max_request_bytes=1_000_000).send(head + b"x" * 1000)
    assert scene.tap.indifferent_bytes() == 2_999_000
    scene.tap.client_sent_unseen(2_000_000)
    scene.send(b"x" * 999_000)
    assert scene.tap.indifferent_bytes() == 0
    scene.send(GET)
    assert len(scene.copies()) == 1
    assert scene.counters() == {"seen": 2, "offered": 1, "dropped_large": 1}


def test_a_body_that_is_copied_is_seen_and_so_is_every_head():
    scene = Scene().send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
    assert scene.tap.indifferent_bytes() == 0
    scene.send(b"67890" + GET[:10])
    assert scene.tap.indifferent_bytes() == 0


def test_after_what_is_not_http_nothing_need_be_seen():
    scene = Scene().send(b"\x16\x03\x01")
    assert scene.tap.indifferent_bytes() > 1 << 40
    scene.tap.client_sent_unseen(1 << 40)
    assert scene.counters() == {"seen": 1, "unframed": 1}


def test_nothing_is_copied_while_a_brake_is_pulled_or_mirroring_is_turned_off():
    scene = Scene()
    scene.controls.pause("processor", "too busy")
    scene.controls.pause("memory", "nearly full")
    scene.send(GET).controls.resume("processor")
    scene.send(GET).controls.resume("memory")
    scene.send(GET).controls.turn(on=False)
    scene.send(GET).controls.turn(on=True)
    assert scene.send(GET).counters() == {"seen": 5, "offered": 2, "skipped_paused": 3}


def test_a_half_read_request_is_charged_what_its_many_small_headers_take():
    """One that comes whole is charged as a record only."""
    lines = b"Keep-Alive:a\r\n" * 60
    whole = GET[:-2] + lines + b"\r\n"
    assert Scene(buffer=10_000).send(whole).counters() == {"seen": 1, "offered": 1}
    scene = Scene(buffer=10_000).send(b"POST / HTTP/1.1\r\n" + lines + b"Content-Length: 5\r\n\r\nab")
    assert scene.counters() == {"seen": 1, "dropped_buffer": 1}
    assert scene.budget.used_bytes == 0
