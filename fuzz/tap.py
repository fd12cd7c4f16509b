"""The whole tap: the counters balance, the budget returns to 0, and each copy is a request that the client sent."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from fuzz import framer
from launcher.controls import Controls
from launcher.counters import FeedCounters, as_dict
from launcher.framing import Body, End, Head
from launcher.mirror import Mirror, MirrorSettings
from launcher.mirror_queue import RECORD_OVERHEAD_BYTES, Budget, MirrorQueue
from launcher.records import request_of
from launcher.selection import ALL, SampleBy, Selection
from tests.framing_cases import CASES
from tests.framing_oracles import Llhttp, completed, cut, framed

STEERING_BYTES = 8  # of an input, before what the client sends
APP = b"\n--app--\n"  # what the app sends comes after it
AMPLE = 1 << 20
BUFFERS = (AMPLE, 700, 1500, 300)
LARGEST = (AMPLE, 100, 400)
SAMPLES = (100, 100, 50, 0)
RATES = (None, None, 1e-9, 0)  # no limit, the first one only, none: the clock makes no difference
SELECTIONS: Sequence[tuple[Selection, Callable[[bytes, bytes], bool]]] = (  # and what each wants of method and path
    (ALL, lambda method, path: True),
    (Selection(methods=("GET", "OPTIONS")), lambda method, path: method in (b"GET", b"OPTIONS")),
    (Selection(paths=("^/.", "[*]")), lambda method, path: (path[:1] == b"/" and path != b"/") or b"*" in path),
    (Selection(methods=("POST",), not_paths=("b|c$",)),
     lambda method, path: method == b"POST" and b"b" not in path and path[-1:] != b"c"),
    (Selection(sample_by=SampleBy("cookie", "a")), lambda method, path: True),
    (Selection(sample_by=SampleBy("header", "Host")), lambda method, path: True),
    (Selection(sample_by=SampleBy("client")), lambda method, path: True),
)  # fmt: skip
PEERS = (("10.0.0.1", 1), ("::ffff:8.8.8.8", 1, 0, 0), "")
ONE_HOP = {b"connection", b"keep-alive", b"expect", b"proxy-connection", b"upgrade"}
NEEDED = {b"host", b"content-length", b"transfer-encoding", b"", b"close"}
GUARD = b"X-Traffic-Duplicator: 1\r\n"
WORDS = (
    *framer.WORDS, APP, GUARD, b"HTTP/1.1 101 S\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 103 E\r\n\r\n",
    b"Connection: x, cookie\r\n", b"Keep-Alive: 5\r\n", b"Cookie: a\r\n",
    b"Cookie: a=1; b=2\r\n", b"X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n", b"GET http://h?b ", b"OPTIONS * ",
)  # fmt: skip


def seeds() -> dict[str, bytes]:
    """The framer's cases, each with an app that declines, accepts, or says nothing in time."""
    answers = (b"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 404 N\r\n\r\n" * 2, b"HTTP/1.1 101 S\r\n\r\n", b"")
    cases = [case for case in CASES if len(case.data) < 1000]
    two = b"POST / HTTP/1.1\r\nX: abcdef\r\nContent-Length: 5\r\n\r\nabcdeGET / HTTP/1.1\r\nX: abcdefghijklmnop\r\n\r\n"
    chunked = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n%s\r\n0\r\n\r\n" % (b"x" * 24)
    return {
        "too large in chunks, beyond the rate": bytes([0, 10, 0, 0, 0, 60, 0, 60]) + chunked * 2,
        "no room for a request unless it comes alone": bytes([3, 0, 0, 0, 0, 52, 0, 200]) + two,
    } | {
        case.name: bytes([number % 4 + 4 * (number % 7), number % 3 + 3 * (number % 4), 0, number % 5, 0, 7, 0, 29])
        + case.data + APP + answers[number % 3]
        for number, case in enumerate(cases)
    }


@dataclass
class Scene:
    """What one input says."""

    settings: MirrorSettings
    controls: Controls
    wants: Callable[[bytes, bytes], bool]  # the method and the path
    peer: object
    buffer_bytes: int
    answers: Sequence[bytes]  # in pieces
    raises_after: int | None  # as many pieces
    copies: list[list[bytes]] = field(default_factory=list)  # of each queue, when it has run

    def run(self, pieces: Iterable[bytes], *, unseen: bool) -> dict[str, int]:
        """Sends the pieces as the relay does. `unseen`: a body that is not copied is spliced."""
        random.seed(7)
        budget = Budget(self.buffer_bytes)
        queues = [MirrorQueue(budget, self.buffer_bytes // 2, FeedCounters()) for _ in range(2)]
        mirror = Mirror(queues, budget, self.settings, self.controls)
        tap = mirror.new_tap(lambda: self.peer)
        answers = iter(self.answers)
        for number, piece in enumerate(pieces):
            if number == self.raises_after:
                break
            while piece:
                skipped = min(tap.indifferent_bytes(), len(piece)) if unseen else 0
                if skipped:
                    tap.client_sent_unseen(skipped)
                else:
                    tap.client_sent(piece)
                piece = piece[skipped or len(piece) :]
                while tap.wants_app and (answer := next(answers, b"")):
                    tap.app_sent(answer)
            assert budget.used_bytes <= budget.limit_bytes
        if self.raises_after is None:
            tap.closed()
        else:
            tap.abandon()
        assert mirror.counters.imbalance() == 0, "a request ended in no counter, or in two"
        waiting = sum(queue.statistics().charged_bytes for queue in queues)
        assert budget.used_bytes == waiting, "a connection that has ended is still charged for"
        self.copies = [drained(queue) for queue in queues]
        assert budget.used_bytes == 0
        given = sum(queue.counters.given for queue in queues)
        assert given == mirror.counters.offered * (1 if self.settings.split_output else 2)
        return as_dict(mirror.counters)


def drained(queue: MirrorQueue) -> list[bytes]:
    """All that waits, as a feed takes it."""
    copies = []
    charged = queue.statistics().charged_bytes
    while (record := queue.pop()) is not None:
        charged -= len(record) + RECORD_OVERHEAD_BYTES
        copies.append(request_of(record))
        queue.release(record)
        queue.counters.taken += 1
    assert charged == queue.statistics().charged_bytes == queue.counters.imbalance() == 0
    return copies


def check(data: bytes) -> Hashable:
    """Raises AssertionError if the tap breaks a promise. Returns which counters counted: a new value is news."""
    steering, rest = data[:STEERING_BYTES].ljust(STEERING_BYTES, b"\0"), data[STEERING_BYTES:]
    stream, _, answers = rest.partition(APP)
    selection, wants = SELECTIONS[(steering[0] >> 2) % len(SELECTIONS)]
    number = steering[1] // 3
    scene = Scene(
        MirrorSettings(
            drop_headers=("Cookie",) if steering[2] & 4 else (),
            max_request_bytes=LARGEST[steering[1] % 3], split_output=bool(steering[2] & 8), selection=selection,
        ),
        Controls(sample_percent=SAMPLES[steering[2] % 4], rate_per_second=RATES[number % 4]), wants,
        PEERS[number // 4 % 3], BUFFERS[steering[0] % 4], cut(answers, range(0, len(answers), 1 + steering[3])),
        steering[2] >> 5 if steering[2] & 16 else None,
    )  # fmt: skip
    pieces = cut(stream, [int.from_bytes(steering[at : at + 2], "big") for at in (4, 6)])
    counters = scene.run(pieces, unseen=False)
    originals = completed_requests(stream)
    assert_copies_are_those_requests(scene, originals, counters)
    unseen = scene.run(pieces, unseen=True)
    assert unseen["seen"] == counters["seen"]
    if scene.buffer_bytes == AMPLE:  # a smaller one may have no room for two requests at once, but for each by itself
        assert unseen == counters, "it matters whether a body that is not copied is seen"
    # Of a chunked body the head doesn't tell that it is too large: in pieces the request uses the rate up before that.
    is_told_by_heads = scene.controls.rate_per_second is None or b"chunked" not in stream.lower()
    if scene.buffer_bytes == AMPLE and scene.raises_after is None and is_told_by_heads:
        assert scene.run([stream] if stream else [], unseen=False) == counters, "the counters depend on the cuts"
    return tuple(name for name, value in counters.items() if value)


def completed_requests(stream: bytes) -> list[tuple[bytes, bytes]]:
    """Head and body of each request, if every switch is declined."""
    found = []
    head = body = b""
    for event in framed([stream]):
        if isinstance(event, Head):
            head, body = event.raw, b""
        elif isinstance(event, Body):
            body = event.data
        elif isinstance(event, End):
            found.append((head, body))
    return found


def assert_copies_are_those_requests(
    scene: Scene, originals: list[tuple[bytes, bytes]], counters: dict[str, int]
) -> None:
    """In order, none twice, none that is too large, none of our own; and all of them where nothing is in the way."""
    settings = scene.settings
    wanted = [
        expected_copy(head, settings.drop_headers) + body
        for head, body in originals
        if len(head) + len(body) <= settings.max_request_bytes and b"\nx-traffic-duplicator:" not in head.lower()
        and scene.wants(*method_and_path(head))
    ]
    for copies in scene.copies:
        remaining = iter(wanted)
        assert all(copy in remaining for copy in copies), "a copy is none of the requests, or out of order"
        for copy in copies:
            assert_is_one_request(copy)
    has_no_obstacle = scene.buffer_bytes == AMPLE and scene.controls.copies_all and scene.raises_after is None
    saw_all = counters["seen"] >= len(originals) and not counters["skipped_upgrade"] and not counters["incomplete"]
    if has_no_obstacle and saw_all:
        assert counters["offered"] == len(wanted), "a request was not offered"


def method_and_path(head: bytes) -> tuple[bytes, bytes]:
    method, target, _ = head.split(b" ", 2)
    bare = target.split(b"?")[0]
    if b"://" in bare and not bare.startswith(b"/"):
        bare = b"/" + bare.split(b"://", 1)[1].partition(b"/")[2]
    return method, bare


def expected_copy(head: bytes, drop_headers: Iterable[str]) -> bytes:
    """The head of a copy, line by line."""
    request_line, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    named = [line.partition(b":") for line in lines]
    dropped = ONE_HOP | {name.lower().encode() for name in drop_headers}
    for name, _, value in named:
        if name.lower() == b"connection":
            dropped |= {token.strip(b" \t").lower() for token in value.split(b",")} - NEEDED
    kept = [line for line, (name, _, _) in zip(lines, named, strict=True) if name.lower() not in dropped]
    return b"".join(line + b"\r\n" for line in (request_line, *kept)) + GUARD + b"\r\n"


def assert_is_one_request(copy: bytes) -> None:
    """What we and llhttp read is one request, and the same."""
    ours = completed(framed([copy]))
    llhttp = Llhttp()
    llhttp.receive(copy)
    theirs = [request.blurred() for request in llhttp.requests]
    assert len(ours) == 1 and theirs == [ours[0].blurred()], "a copy is not one request"
    assert copy.count(b"\r\n" + GUARD) >= 1
