"""gor's filters and rewriters, each by a table: options and a request -> what goes on, or nothing."""

from __future__ import annotations

import pytest

from launcher.fnv1a import fnv1a
from launcher.gor.flags import Word, parse_flags
from launcher.replay.modifiers import MODIFIERS, build_modify

META = b"1 abc 0 -1\n"


def modified(request: bytes, *words: str) -> bytes | None:
    """What the options make of the request; its lines end in | here."""
    options, _ = parse_flags([Word(word, word, "test") for word in words])
    values = {each.option: [given.value for given in options if given.name == each.option] for each in MODIFIERS}
    modify = build_modify(values)
    assert modify is not None
    record = modify(META + request.replace(b"|", b"\r\n"))
    if record is None:
        return None
    assert record.startswith(META)
    return record.removeprefix(META).replace(b"\r\n", b"|")


def get(target: str, *headers: str, method: str = "GET") -> bytes:
    return "".join(f"{line}|" for line in (f"{method} {target} HTTP/1.1", *headers, "")).encode()


@pytest.mark.parametrize(
    ("words", "request_", "passes"),
    [
        ("--http-allow-method GET --http-allow-method PURGE", get("/"), True),
        ("--http-allow-method GET --http-allow-method PURGE", get("/", method="PURGE"), True),
        ("--http-allow-method GET", get("/", method="get"), False),
        ("--http-allow-method GET", get("/", method="PURGE"), False),
        ("--http-allow-url ^/api", get("/api/1"), True),
        ("--http-allow-url ^/api", get("/x?u=/api"), False),
        ("--http-allow-url x=1", get("/a?x=1"), True),
        ("--http-allow-url ^/a --http-allow-url ^/b", get("/b"), True),
        ("--http-allow-url ^/API", get("/api"), False),
        ("--http-disallow-url /2", get("/1/2"), False),
        ("--http-disallow-url /2", get("/2", method="PURGE"), False),
        ("--http-disallow-url /2 --http-disallow-url /3", get("/3"), False),
        ("--http-disallow-url /2", get("/1"), True),
        ("--http-disallow-url /b --http-allow-url x=1", get("/a?x=1"), True),
        ("--http-disallow-url /b --http-allow-url x=1", get("/b?x=1"), False),
        ("--http-allow-header X-V:^1$", get("/", "x-v:  1 "), True),
        ("--http-allow-header X-V:^1$", get("/", "X-V: 2", "X-V: 1"), False),
        ("--http-allow-header X-V:", get("/", "X-V:"), False),
        ("--http-allow-header X-V:.*", get("/", "X-VV: 1"), False),
        ("--http-allow-header X-V:1 --http-allow-header X-W:2", get("/", "X-V: 1", "X-W: 3"), False),
        ("--http-allow-header X-V:1 --http-allow-header X-W:2", get("/", "X-V: 1", "X-W: 2"), True),
        ("--http-allow-header Host:^api", get("/", "Host: api.example.com"), True),
        ("--http-disallow-header X-V:1", get("/", "X-V: 213"), False),
        ("--http-disallow-header X-V:1", get("/", "X-V: 2", "X-V: 1"), True),
        ("--http-disallow-header X-V:1", get("/"), True),
        ("--http-basic-auth-filter ^user:", get("/", "Authorization: Basic dXNlcjpwYXNz"), True),
        ("--http-basic-auth-filter ^user:", get("/", "authorization: basic dXNlcjpwYXNz"), True),
        ("--http-basic-auth-filter ^other:", get("/", "authorization: bASIC  dXNlcjpwYXNz"), False),
        ("--http-basic-auth-filter ^u --http-basic-auth-filter :no", get("/", "Authorization: Basic dXNlcjpw"), False),
        ("--http-basic-auth-filter ^user:", get("/"), True),
        ("--http-basic-auth-filter ^user:", get("/", "Authorization: Bearer x"), True),
        ("--http-basic-auth-filter ^use$", get("/", "Authorization: Basic dXNlcg"), True),  # Go decodes what it can
        ("--http-basic-auth-filter .", get("/", "Authorization: Basic !!!"), False),
    ],
)  # fmt: skip
def test_a_filter(words: str, request_: bytes, passes: bool) -> None:
    assert modified(request_, *words.split()) == (request_ if passes else None)


@pytest.mark.parametrize(
    ("words", "before", "after"),
    [
        ("--http-set-header X-V:9", get("/", "A: b", "x-v: 1", "X-V: z"), get("/", "A: b", "x-v: 9", "X-V: z")),
        ("--http-set-header X-V:9", get("/", "A: b"), get("/", "X-V: 9", "A: b")),
        ("--http-set-param k=1", get("/3?k=9&z=1"), get("/3?k=1&z=1")),
        ("--http-set-param k=1", get("/2?a=b"), get("/2?a=b&k=1")),
        ("--http-set-param k=1", get("/2"), get("/2?k=1")),
        ("--http-set-param k=1", get("/?kk=2"), get("/?kk=2&k=1")),
        ("--http-set-param k=1", get("/?k=2&k=3"), get("/?k=2&k=1")),
        ("--http-set-param k=1 --http-set-param j=2", get("/"), get("/?k=1&j=2")),
        ("--http-set-param k=1", get("*", method="OPTIONS"), get("*", method="OPTIONS")),
        ("--http-set-param k=1", get("h:443", method="CONNECT"), get("h:443", method="CONNECT")),
        ("--http-rewrite-url /v1/([^/]+):/v2/$1", get("/v1/x"), get("/v2/x")),
        ("--http-rewrite-url /a:/b --http-rewrite-url /b:/c", get("/a"), get("/b")),
        ("--http-rewrite-url /a:/b --http-rewrite-url /b:/c", get("/b"), get("/c")),
        ("--http-rewrite-url /a:/b --http-rewrite-url /b:/c", get("/a/a"), get("/b/b")),
        ("--http-rewrite-url /a:/b", get("/x"), get("/x")),
        ("--http-rewrite-url /a:/b", get("/a", method="PURGE"), get("/b", method="PURGE")),
        ("--http-rewrite-url /a:http://x", get("/a"), get("http://x")),
        ("--http-rewrite-header X-V:v(.*),w$1", get("/", "X-V:  v12 "), get("/", "X-V:  w12 ")),
        ("--http-rewrite-header X-V:v,w", get("/", "X-V: v", "X-V: v"), get("/", "X-V: w", "X-V: v")),
        ("--http-rewrite-header No:v,w --http-rewrite-header X-V:v,w", get("/", "X-V: v"), get("/", "X-V: w")),
        ("--http-rewrite-header X-V:v,w --http-rewrite-header X-V:w,x", get("/", "X-V: v"), get("/", "X-V: x")),
        ("--http-rewrite-header X-V:^$,w", get("/", "X-V:"), get("/", "X-V:")),
    ],
)
def test_a_rewriter(words: str, before: bytes, after: bytes) -> None:
    assert modified(before, *words.split()) == after


def test_what_is_set_is_seen_by_filters_and_what_is_rewritten_is_not() -> None:
    request = get("/a", "X-V: v0")
    assert modified(request, "--http-disallow-header", "X-V:v1", "--http-set-header", "X-V: v1") is None
    words = ["--http-rewrite-url", "/a:/b", "--http-allow-url", "/a", "--http-rewrite-header", "X-V: v0,v1"]
    assert modified(request, *words, "--http-allow-header", "X-V: v0") == get("/b", "X-V: v1")


def test_bodies_and_what_is_not_changed_stay_byte_for_byte() -> None:
    request = b"POST /a HTTP/1.0|b:1|A:  2 |b: \xff\0|||X-V: 1|| \0\xff"
    expected = request.replace(b"2", b"3")
    assert modified(request, "--http-set-header", "A: 3", "--http-disallow-header", "X-V:1") == expected


@pytest.mark.parametrize("request_", [b"", b"nothing", b"GET / HTTP/1.1|", b"GET /||", b"GET / HTTP/2.0||"])
def test_a_record_that_holds_no_request_passes_only_without_filters(request_: bytes) -> None:
    assert modified(request_, "--http-set-header", "A: 3", "--http-rewrite-url", "/:/b") == request_
    assert modified(request_, "--http-disallow-url", "nothing-of-the-kind") is None


# From the tables of the algorithm's authors.
HASHES = {b"": 0x811C9DC5, b"a": 0xE40C292C, b"b": 0xE70C2DE5, b"foobar": 0xBF9CF968, b"\xff\x00\x00\x01": 0xC48FB86D}


@pytest.mark.parametrize(("data", "expected"), HASHES.items())
def test_the_hash_is_fnv_1a_of_32_bits(data: bytes, expected: int) -> None:
    assert fnv1a(data) == expected


@pytest.mark.parametrize("percent", [0, 1, 25, 79, 80, 99, 100])
def test_a_hash_limiter_lets_the_same_values_pass_as_gor(percent: int) -> None:
    for number in range(300):
        value = f"user-{number}"
        passes = fnv1a(value.encode()) % 100 < percent
        by_header = get("/", f"X-User: {value}", "X-User: other")
        by_parameter = get(f"/?a=1&user={value}&b=2")
        assert (modified(by_header, "--http-header-limiter", f"x-user:{percent}%") is not None) == passes
        assert (modified(by_parameter, "--http-param-limiter", f"user:{percent}%") is not None) == passes


def test_a_hash_limiter_keeps_what_has_no_value() -> None:
    for request in (get("/"), get("/", "X-User:")):
        assert modified(request, "--http-header-limiter", "X-User:0%") == request
    for request in (get("/"), get("/?users=1&auser=2")):
        assert modified(request, "--http-param-limiter", "user:0%") == request


def test_a_hash_limiter_takes_a_parameter_as_it_stands() -> None:
    raw, decoded = ([fnv1a(text % n) % 100 < 50 for n in range(100)] for text in (b"%d%%20x", b"%d x"))
    value = next(f"{n}%20x" for n in range(100) if raw[n] != decoded[n])
    passes = fnv1a(value.encode()) % 100 < 50
    assert (modified(get(f"/?u={value}"), "--http-param-limiter", "u:50%") is not None) == passes
