"""Filters and rewriters: whatever the request and the rule, what goes on is one request with the same body."""

from __future__ import annotations

from collections.abc import Hashable

from fuzz.records import HEADER, assert_is_one_request
from launcher.gor.flag_table import FLAGS
from launcher.gor.values import checked
from launcher.replay.modifiers import build_modify
from launcher.replay.requests import RequestError, absolute_target, outgoing
from launcher.replay.sound_requests import request_fault
from tests.framing_cases import CASES

RULE_END = b"\n--request--\n"  # of an input: a letter for the option and its value come before it
OPTIONS = (
    "http-set-header", "http-set-param", "http-rewrite-url", "http-rewrite-header", "http-allow-url",
    "http-disallow-header", "http-header-limiter", "http-param-limiter", "http-allow-method", "http-basic-auth-filter",
)  # fmt: skip
FRAMING = ("content-length", "transfer-encoding", "connection", "proxy-connection", "upgrade")
WORDS = (
    *(RULE_END, b"X-A: b", b"/v1/(.*):/v2/$1", b"X-A: (.*),$1$1", b"${1}", b"\r\n", b"GET / HTTP/1.1\r\n"),
    *(b"\r\n\r\n", b"a=%20", b"^/a", b"?a=1&b=2", b"Host: x\r\n", b"Authorization: Basic YTpi\r\n", b"CONNECT a:1 "),
    *(b"http://b/", b"com://", b"Content-Length: 3\r\n\r\nabc"),
)


def seeds() -> dict[str, bytes]:
    """A rule for each option, with requests of the framer's table."""
    rules = [
        b"X-A: b", b"a=1", b"/(.*):/b/$1?", b"Host: ^(.*)$,$1.$1", b"^/", b"User-Agent: x", b"X-A:50%", b"a:50%",
        b"GET", b"^a:b$",
    ]  # fmt: skip
    requests = [case.data for case in CASES if len(case.data) < 200 and request_fault(case.data) is None]
    return {
        f"{OPTIONS[number % len(OPTIONS)]} {number}": bytes([number % len(OPTIONS)]) + rules[number % len(OPTIONS)]
        + RULE_END + request
        for number, request in enumerate(requests)
    }  # fmt: skip


def check(data: bytes) -> Hashable:
    """Raises AssertionError if a rule that is taken makes something else of a request. Returns what became of it."""
    rule, _, request = data[1:].partition(RULE_END)
    option = OPTIONS[data[0] % len(OPTIONS)] if data else OPTIONS[0]
    try:
        value, _ = checked(FLAGS[option], rule.decode("utf-8", "surrogateescape"))
        modify = build_modify({option: [value]})
    except ValueError:  # refused
        return option, "refused"
    if request_fault(request) is not None or value.lower().lstrip().startswith(FRAMING):
        return option, "not one"
    assert modify is not None
    record = modify(HEADER + request)
    if record is None:
        return option, "left out"
    made = record.removeprefix(HEADER)
    assert made.partition(b"\r\n\r\n")[2] == request.partition(b"\r\n\r\n")[2], "a body is changed"
    most = 1 if option == "http-set-header" else 0
    assert 0 <= made.count(b"\r\n") - request.count(b"\r\n") <= most, "a line is put in that nobody asked for"
    if request_fault(made) is None:
        assert_is_one_request(made)
    else:  # such as a target without a slash: still no more than one, for it ends where it ended
        assert request_fault(made) != "more follows behind the end of its request"
    return option, made == request, stays_at_its_destination(record)


def stays_at_its_destination(record: bytes) -> bool:
    """Whether it can be sent through a proxy; then the target names the destination, and nobody else."""
    try:
        head = outgoing(record, [absolute_target(b"dest.test:81")]).head
    except RequestError:
        return False
    target = head.split(b" ", 2)[1]
    assert target == b"http://dest.test:81" or target.startswith(b"http://dest.test:81/")
    return True
