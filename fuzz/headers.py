"""How two heads differ: h11 is the other reader; only names from our own list are told, and no head takes long."""

from __future__ import annotations

import time
from collections.abc import Hashable

import h11

from launcher.replay.comparison.headers import COMPARED, header, header_differences
from launcher.replay.responses import MAX_HEAD_BYTES, ResponseError, ResponseReader

STEERING_BYTES = 4  # of an input, before the heads
OTHER = b"\n--other--\n"  # between them
STATUS_LINES = (b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 302 F\r\n")
MOST_SECONDS = 3  # of the processor, for what takes milliseconds
EXACT = COMPARED - {
    *(b"vary", b"allow", b"access-control-allow-methods", b"access-control-allow-headers", b"content-type"),
    *(b"set-cookie", b"location", b"content-security-policy"),
}
Headers = list[tuple[bytes, bytes]]
WORDS = (
    OTHER, b"\r\n", b"\r\n ", *(name + b": " for name in sorted(COMPARED)), b"; charset=utf-8", b"HttpOnly", b"Path=/",
    b"'nonce-a'", b"http://h:1/users/1?a=b#c", b"%2e%00%e4", b"Date: a\r\n", b", Cookie",
)  # fmt: skip


def seeds() -> dict[str, bytes]:
    """Pairs of all kinds."""
    pairs = {
        "none": (b"", b"Vary: a"),
        "case": (b"content-TYPE:text/HTML ;charset=\"UTF-8\"", b"Content-Type: text/html; charset=utf-8"),
        "cookies": (b"Set-Cookie: a=SECRET1; Path=/\r\nSet-Cookie: b=1", b"Set-Cookie: b=2\r\nset-cookie: a=; path"),
        "redirects": (b"Location: http://a/users/1?x#y", b"Location: http://b:8/users/2"),
        "lists": (b"Vary: a, b\r\nAllow: GET", b"Vary: B,a\r\nAllow: GET\r\nAllow: POST"),
        "folded": (b"Link: a\r\n b", b"Link: a\r\n\tc\r\nDate: x"),
        "nonces": (b"Content-Security-Policy: a 'nonce-x'", b"Content-Security-Policy: a 'nonce-y'"),
        "bare line feeds": (b"Vary: a\nX: b", b"X: b\r\nVary: a"),
    }
    return {
        title: bytes([number, 0, 200 if number % 4 == 3 else 0, 9]) + one + OTHER + two
        for number, (title, (one, two)) in enumerate(pairs.items())
    }


def check(data: bytes) -> Hashable:
    """Raises AssertionError if the comparison breaks a promise. Returns which headers differ."""
    steering, rest = data[:STEERING_BYTES].ljust(STEERING_BYTES, b"\0"), data[STEERING_BYTES:]
    one, _, two = rest.partition(OTHER)
    if steering[2] >= 200:  # a piece of it again and again
        start = int.from_bytes(steering[:2], "big") % (len(one) + 1)
        piece = one[start : start + 1 + steering[3] % 16]
        one = one[:start] + piece * (50_000 // max(1, len(piece))) + one[start:]
    line = STATUS_LINES[steering[3] % 2]
    began = time.process_time()
    heads = [final_head(line + lines + b"\r\n\r\n") for lines in (one, two)]
    if heads[0] is None or heads[1] is None:
        return None
    before, after = heads
    found = header_differences(before, after, frozenset())
    assert time.process_time() - began < MOST_SECONDS, "a head takes long"
    assert all(where.removeprefix("header:").encode() in COMPARED for where, _ in found), "more than a name is told"
    swapped = {"missing": "extra", "extra": "missing", "value": "value"}
    assert {(where, swapped[how]) for where, how in header_differences(after, before, frozenset())} == found
    assert not header_differences(before, before, frozenset())
    ours, theirs = headers_of(before), headers_of(after)
    if ours is not None and theirs is not None:
        assert_is_as_h11_has_it(found, ours, theirs)
        for head, headers in ((before, ours), (after, theirs)):
            assert not header_differences(head, rewritten(line, headers), frozenset()), "the same headers differ"
            for name in (b"content-type", b"content-encoding"):
                assert header(head, name) == next((value for each, value in headers if each == name), b"")
    return tuple(sorted(found))


def final_head(answer: bytes) -> bytes | None:
    """As a comparison has it; None if it is no head."""
    kept: list[bytes] = []

    class Listener:
        def add_head(self, head: bytes) -> None:
            kept.append(head)

        def add_body(self, data: bytes) -> None: ...

    assert len(answer) < MAX_HEAD_BYTES
    try:
        ResponseReader(b"GET", listener=Listener()).receive(answer)
    except ResponseError:
        pass
    return kept[0] if kept else None


def headers_of(head: bytes) -> Headers | None:
    """By h11; None if it takes them for none."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
    connection.receive_data(head)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    return list(event.headers) if isinstance(event, h11.Response) else None


def assert_is_as_h11_has_it(found: set[tuple[str, str]], ours: Headers, theirs: Headers) -> None:
    for name in COMPARED:
        before = {value for each, value in ours if each == name}
        after = {value for each, value in theirs if each == name}
        how = dict(found).get(f"header:{name.decode()}")
        if before and after:
            assert how in (None, "value")
            assert how is None or before != after, "equal values differ"
            assert how or name not in EXACT or before == after, "values differ, and nothing is said"
        else:
            assert how == ("missing" if before else "extra" if after else None)


def rewritten(line: bytes, headers: Headers) -> bytes:
    """The same, in another order, with names in another case and other blanks."""
    return line + b"".join(b"%s:\t %s \r\n" % (name.upper(), value) for name, value in reversed(headers)) + b"\r\n"
