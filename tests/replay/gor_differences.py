"""The documented differences between the real gors and the built-in replayer, by name: all that the tests allow.

Each has the words of docs/replayer.md that say it. `expected` turns what the replayer sends into what that gor has to
send; `comparable` takes away what gor 1.3 does to every request: headers renamed and sorted, some added, chunks joined.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.replay.gor_cases import ODD_METHODS, Case
from tests.replay.gor_players import Arrivals, request_end

# name -> what stands in the first cell of its row in docs/replayer.md
DIFFERENCES: Mapping[str, str] = {
    "headers": "headers are sorted and renamed, some added",
    "chunks": "chunks are joined (1.3)",
    "http10": "HTTP/1.0 is sent as HTTP/1.1 (1.3)",
    "absolute-target": "an absolute target stays absolute, with the destination's address and the old Host (1.2)",
    "absolute-host": "the host of an absolute target beats the Host that is set or rewritten (1.3)",
    "no-host": "`--http-original-host`: a request without Host gets the destination's (1.3)",
    "stdout-separator": "`--output-stdout` ends a record with a newline, without the monkeys (1.2)",
    "odd-methods-unsent": "a method outside its nine, or in lower case, is not sent at all (1.2)",
    "odd-methods-unfiltered": "a method outside its nine, or in lower case, skips all filters and rewriters",
    "several-destinations": "several `--output-http` all send to the last (1.3)",
    "split-loses": "`--split-output` with `--middleware` gives the middleware a turn, which is nowhere (1.3)",
    "rewrite-absent-header": "`--http-rewrite-header`: a rule whose header is absent skips all rules after it",
    "host-spelling": "`--http-set-header host:x`: only the exact spelling `Host` keeps the set value",
    "scheme-case": "`--http-basic-auth-filter`: only the exact spelling `Basic ` is judged; all else passes",
    "set-param-star": "`--http-set-param` makes `*?k=v` of `OPTIONS *`, `host:443?k=v` of a CONNECT",
    "blank-value": "a value of blanks only counts as one",
    "same-shares": "`&#124;10%`: the same requests are chosen at each start (if built with Go before 1.20)",
    "rate-one-less": "`&#124;10`: 1.3.2 lets 9 pass in the first second",
    "redirects-one-less": "`--output-http-redirects N` follows N-1 (1.3)",
    "post-307": "a redirected POST of 307 or 308 is not followed (1.3), each other is sent again as a POST (1.2)",
    "referer": "a redirected GET gets a `Referer` (1.3)",
}

_ADDED = {
    (b"user-agent", b"Go-http-client/1.1"), (b"accept-encoding", b"gzip"), (b"content-length", b"0"),
}  # fmt: skip


@dataclass(frozen=True)
class Comparable:
    """A request without what gor 1.3 changes in each."""

    line: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    trailers: bytes


def comparable(request: bytes, own: bytes) -> Comparable:
    """`own` is the replayer's: a header that it has was not added by gor."""
    assert request_end(request) == len(request)
    head, _, body = request.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    own_names = {name for name, value in _headers(own.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]) if value}
    headers = [each for each in _headers(lines) if each not in _ADDED or each[0] in own_names]
    headers = [each for each in headers if each != (b"user-agent", b"")]
    trailers = b""
    if (b"transfer-encoding", b"chunked") in headers:
        body, trailers = _joined(body)
    return Comparable(
        re.sub(rb"HTTP/1\.0$", b"HTTP/1.1", line), sorted(headers, key=lambda each: each[0]), body, trailers
    )


def _headers(lines: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    split = (line.partition(b":") for line in lines)
    return [(name.lower(), value.strip()) for name, _, value in split]


def _joined(chunked: bytes) -> tuple[bytes, bytes]:
    """The body and the trailer lines."""
    body = b""
    while True:
        line, _, chunked = chunked.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if not size:
            return body, chunked
        body, chunked = body + chunked[:size], chunked[size + 2 :]


def expected(case: Case, release: str, ours: Arrivals, unchanged: Arrivals, urls: Sequence[str]) -> Arrivals:
    """What this gor has to send: ours, and the differences that concern single records.

    `unchanged` is what the replayer sends without filters and rewriters; `urls` are ours.
    """
    arrivals = {name: list(requests) for name, requests in ours.items()}
    for name in ODD_METHODS & case.records.keys():
        arrivals[name] = list(unchanged[name])
        if release == "1.2":
            arrivals[name][: case.destinations] = [[] for _ in range(case.destinations)]
    for name in {"absolute", "no-host"} & arrivals.keys():
        own = arrivals[name]
        own[: case.destinations] = [
            [_with_host(request, release, url, keeps_host(case)) for request in requests]
            for requests, url in zip(own[: case.destinations], urls, strict=False)
        ]
    return {name: requests for name, requests in arrivals.items() if any(requests)}


def keeps_host(case: Case) -> bool:
    words = " ".join(case.words)
    return "--http-original-host" in words or "--http-set-header Host:" in words or "--http-set-header host:" in words


def _with_host(request: bytes, release: str, url: str, keeps: bool) -> bytes:
    """What gor makes of an absolute target, and of a request without Host."""
    is_absolute = b"X-Case: absolute" in request
    if is_absolute and release == "1.2":
        origin = b"http://other.test:99" if keeps else url.encode()
        request = request.replace(b" /", b" " + origin + b"/", 1)
    if is_absolute and not (release == "1.2" and keeps):
        host = b"other.test:99" if release == "1.2" or keeps else url.removeprefix("http://").encode()
        request = re.sub(rb"\r\nHost: [^\r\n]*", b"\r\nHost: " + host, request, count=1)
    if release == "1.3" and b"\r\nhost:" not in request.lower():
        request = request.replace(b"\r\n", b"\r\nHost: " + url.removeprefix("http://").encode() + b"\r\n", 1)
    return request
