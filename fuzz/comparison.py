"""A whole comparison of what destinations and a recording answer: it never raises, counts all, and tells no value."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Hashable
from contextlib import redirect_stderr
from html.parser import HTMLParser
from io import StringIO

from launcher.comparison.page import render_page
from launcher.comparison.report import MAX_REPORT_BYTES, decode_report, encode_report
from launcher.comparison.text import report_lines
from launcher.replay.comparison.judging import Ignored
from launcher.replay.comparison.recorder import Comparison
from launcher.replay.comparison.witness import Wall, Witness
from launcher.replay.outcomes import Ended, status_class
from launcher.replay.recorded_answers import take_recorded
from launcher.replay.responses import ResponseError, ResponseReader
from tests.framing_oracles import cut

STEERING_BYTES = 2  # of an input; then a request's record and the answers
OTHER = b"\n--other--\n"  # between them; an answer's first byte says whose it is and of which request
ROLES = ("candidate", "candidate2", "recorded")
REQUESTS = 4
OK = b"HTTP/1.1 200 OK\r\n"
SECRET = b"SECRET"  # what no report may hold, unless a request's path or a key is named so
WORDS = (
    OTHER, OK, b"2 abc 17 5000000\n", b"GET /a/SECRET1 HTTP/1.1\r\n", b"X-Request-Id: ", b"Content-Length: 3\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n", b"Set-Cookie: SECRET1=SECRET2\r\n", b"Location: /SECRET1/2\r\n", b'{"a":',
    b"Content-Type: application/json\r\n", b'"SECRET1"', b"<script>", b"\x1b[2J", b"HTTP/1.1 302 F\r\n", b"0\r\n\r\n",
)  # fmt: skip
FAILURES = ("timeout", "reset", "queue_full", "paused")
TAGS = frozenset(
    "html head meta link title style body header h1 h2 h3 h4 p main footer section article div span figure figcaption "
    "table caption thead tbody tr th td details summary dl dt dd ul ol li code svg g path rect line text title circle "
    "polyline desc strong em small a nav abbr br hr b i".split()
)


def seeds() -> dict[str, bytes]:
    """Sets of answers of all kinds."""
    get = b"GET /a/1 HTTP/1.1\r\nHost: a\r\nX-Request-Id: r-1\r\n\r\n"
    body = b"Content-Type: application/json\r\nSet-Cookie: SECRET1=SECRET2\r\nContent-Length: 15\r\n\r\n"
    bodies = (b'{"a":"SECRET1"}', b'{"a":"SECRET2"}', b'{"b":"SECRET1"}')
    three = [bytes([role]) + OK + body + each for role, each in zip((2, 0, 1), bodies, strict=True)]
    chunked = b"Transfer-Encoding: chunked\r\nLocation: /SECRET1/2\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    sets = {
        "three": [get, *three],
        "twice": [get, *three[1:], *three],
        "one that failed": [get, three[0], b"\x3c", three[2]],
        "the baseline failed": [get, *three[1:], b"\2no HTTP"],
        "without a recording": [get, *three[1:]],
        "statuses": [get, b"\2HTTP/1.1 302 F\r\n" + chunked, b"\0HTTP/1.1 302 F\r\n" + chunked, b"\1" + OK + chunked],
        "to a HEAD": [b"HEAD / HTTP/1.1\r\n\r\n", *(bytes([n]) + OK + b"Content-Length: 3\r\n\r\n" for n in range(3))],
        "a header line of its own": [get, b"\0022 0 17 99999999999999999999\n" + three[0][1:], *three[1:]],
        "an identity of its own": [get, b"\0022 <script>\x1b[2J 17\n" + three[0][1:], *three[1:]],
        "no request": [b"<script>\x1b[2J SECRET1", *three],
        "cut short": [get, three[0][:-3], three[1][:-3], three[2]],
        "interim answers": [get, b"\2HTTP/1.1 103 E\r\n\r\n" + three[0][1:], *three[1:]],
    }
    return {title: bytes([number, 9]) + OTHER.join(pieces) for number, (title, pieces) in enumerate(sets.items())}


def check(data: bytes) -> Hashable:
    """Raises AssertionError if the comparison breaks a promise. Returns what became of the sets."""
    steering, rest = data[:STEERING_BYTES].ljust(STEERING_BYTES, b"\0"), data[STEERING_BYTES:]
    request, *answers = rest.split(OTHER)[:24]
    comparison = Comparison(
        ROLES, [f"http://{role}/<script>" for role in ROLES], Ignored.of(()), (1 << 20, 200)[steering[0] % 5 == 4],
        clock=lambda: 0.0, processor_clock=lambda: 0.0, draw=random.Random(1),
    )  # fmt: skip
    wall = Wall(comparison)
    witnesses = [Witness(wall, role) for role in range(len(ROLES))]
    expected = Expected()
    with redirect_stderr(StringIO()) as said:
        for piece in answers:
            who, text = piece[0] if piece else 0, piece[1:]
            role, identity, end = who % 3, who // 3 % REQUESTS, who // (3 * REQUESTS)
            if role == 2:
                record = text if text[:2] == b"2 " else b"2 %d 17 5000000\n%s" % (identity, text)
                take_recorded(witnesses[role], record)
            else:
                record = b"1 %d 1700000000000000000 -1\n%s" % (identity, request)
                answered(witnesses[role], record, text, steering[1], FAILURES[end % 4] if end > 4 else "")
            expected.add(record, role)
        wall.tick()
        report = decode_report(encode_report(lambda detail: comparison.report(final=True, detail=detail)))
    assert not wall.is_broken and not said.getvalue(), said.getvalue()
    assert comparison.budget.used_bytes == 0
    expected.check(report)
    shown = json.dumps(report, allow_nan=False)
    assert len(shown) <= 2 * MAX_REPORT_BYTES
    if not (SECRET in request or is_a_key(rest) or any(piece[1:3] == b"2 " for piece in answers)):
        assert SECRET.decode() not in shown, "a value is told"
    if steering[0] % 3 == 0:
        assert_page_is_harmless(render_page(report))
        assert all("\n" not in line for line in report_lines(report))
    return tuple(name for name, count in report["sets"].items() if count), tuple(report["candidates"][0]["bodies"])


class Expected:
    """What the report has to say of the sets."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, set[int]] = {}
        self.complete = 0
        self.repeated = 0
        self.answers = [0] * len(ROLES)

    def add(self, record: bytes, role: int) -> None:
        end = record.find(b" ", 2, 256)
        identity = record[2:end] if end > 0 else b""
        self.answers[role] += 1
        roles = self.waiting.setdefault(identity, set())
        self.repeated += role in roles
        roles.add(role)
        if len(roles) == len(ROLES):
            self.complete += 1
            del self.waiting[identity]

    def check(self, report: dict[str, object]) -> None:
        sets = dict(report["sets"])  # type: ignore[call-overload]
        assert sets.pop("unpaired") == len(self.waiting) and sets.pop("waiting") == 0
        assert sum(sets.values()) == self.complete, "a set is lost, or told twice"
        assert report["repeated"] == self.repeated
        told = [sum(output["answers"].values()) for output in report["outputs"]]  # type: ignore[attr-defined]
        assert told == self.answers, "an answer is lost, or told twice"
        for candidate in report["candidates"]:  # type: ignore[attr-defined]
            assert candidate["pairs"] == sets.get("compared", 0)
            assert candidate["pairs"] == sum(endpoint["pairs"] for endpoint in candidate["endpoints"])


def answered(witness: Witness, record: bytes, text: bytes, where: int, failure: str) -> None:
    """As a delivery tells it."""
    answer = witness.new_answer()
    assert answer is not None
    reader = ResponseReader(b"GET", listener=answer)
    response = None
    try:
        for piece in cut(text, [where]):
            response = response or reader.receive(piece)
        response = response or reader.receive_eof()
    except ResponseError as error:
        witness.ended(record, Ended("protocol", str(error)), answer)
        return
    if response is None or failure:
        witness.ended(record, Ended(failure or "reset"), answer)
    else:
        witness.ended(record, Ended(status_class(response.status), response=response), answer, where / 100)


def is_a_key(text: bytes) -> bool:
    """Whether the secret may be shown, as a key's name; escaped or in UTF-16 it may be one, too."""
    return re.search(rb'"[^"]*SECRET[^"]*"\s*:', text) is not None or b"\\" in text or b"\0" in text


class Page(HTMLParser):
    """Nothing that runs or loads anything."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, f"a {tag} on the page"
        for name, value in attrs:
            assert not name.startswith("on") and name not in ("src", "action"), f"{name} on the page"
            assert name != "href" or value in (None, "data:,")


def assert_page_is_harmless(page: str) -> None:
    Page().feed(page)
