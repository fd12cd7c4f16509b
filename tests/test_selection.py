"""Which requests are copied: each option by tables, and in words."""

from __future__ import annotations

import random

import pytest

from launcher.selection import (
    ALL,
    MOVES_A_SECOND,
    SampleBy,
    Selection,
    explained,
    make_filter,
    parse_methods,
    parse_path,
    parse_sample_by,
    path_of,
)

USERS = SampleBy("cookie", "sid")


# ---- words to values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "methods"),
    [
        ("safe", ("GET", "HEAD", "OPTIONS")),
        ("all", ()),
        ("GET", ("GET",)),
        ("get,Post", ("GET", "POST")),
        ("GET POST", ("GET", "POST")),
        (" GET , HEAD,GET ", ("GET", "HEAD")),
        ("safe,PURGE", ("GET", "HEAD", "OPTIONS", "PURGE")),
        ("M-SEARCH", ("M-SEARCH",)),
    ],
)
def test_methods_are_a_word_or_a_list(text, methods):
    assert parse_methods(text) == methods


@pytest.mark.parametrize("text", ["", ",", "GTE", "GET;POST", "all,GET", "unsafe", "GÉT"])
def test_what_is_no_method_of_http_is_refused(text):
    with pytest.raises(ValueError, match=r"^safe, all, or methods"):
        parse_methods(text)


@pytest.mark.parametrize("text", ["cookie:sid", "cookie:__Host-id", "header:X-User", "client"])
def test_what_tells_users_apart_is_read_and_written_alike(text):
    assert str(parse_sample_by(text)) == text


@pytest.mark.parametrize(
    "text", ["", "cookie", "cookie:", "header:", "header:X User", "client:x", "client:", "ip", "Cookie:a"]
)
def test_what_tells_nobody_apart_is_refused(text):
    with pytest.raises(ValueError, match=r"cookie:NAME, header:NAME or client|and a (cookie|header)'s name behind it"):
        parse_sample_by(text)


@pytest.mark.parametrize("text", ["^/api/", r"\.(png|css)$", "(?i)/admin", r"/\pL+"])
def test_a_path_is_a_regular_expression_of_go_s(text):
    assert parse_path(text) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not empty"),
        ("(", "whose every ( has its )"),
        ("a(?=b)", "without look-around"),
        (r"\z*" + "(" * 2000 + ")" * 2000, "too many"),
        ("a{1000}{1000}", "repeat|Go"),
        ("(?:abcdefghijk){1000}", "can be had here"),
    ],
)
def test_a_regular_expression_that_is_wrong_or_too_large_is_refused(text, reason):
    with pytest.raises(ValueError, match="regular expression") as refused:
        parse_path(text)
    assert any(word in str(refused.value) for word in reason.split("|"))


# ---- what is wanted ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/b", "/a/b"),
        ("/a?x=/b", "/a"),
        ("/?", "/"),
        ("/a%3Fb//c/../%2f?", "/a%3Fb//c/../%2f"),
        ("/a;v=1/b#c", "/a;v=1/b#c"),
        ("http://h/a?b", "/a"),
        ("HTTPS://h:8443/a", "/a"),
        ("http://h", "/"),
        ("http://h?x=/a", "/"),
        ("/http://h/a", "/http://h/a"),
        ("*", "*"),
        ("h:443", "h:443"),
    ],
)
def test_the_path_is_what_the_client_sent_before_the_query(target, path):
    assert path_of(target.encode()) == path.encode()


@pytest.mark.parametrize(
    ("selection", "wanted", "unwanted"),
    [
        (Selection(methods=("GET", "HEAD")), ["GET /", "HEAD /?x"], ["POST /", "OPTIONS *", "CONNECT h:443"]),
        (Selection(paths=("^/api/",)), ["GET /api/1", "POST http://h/api/"], ["GET /", "GET /?u=/api/", "GET /x/api/"]),
        (Selection(paths=("^/a$", "^/b$")), ["GET /a", "GET /b?c"], ["GET /ab", "OPTIONS *"]),
        (Selection(paths=("users",)), ["GET /v1/users/7"], ["GET /v1/%75sers", "GET /Users"]),
        (Selection(not_paths=("^/admin",)), ["GET /", "GET /x?next=/admin"], ["GET /admin?x", "GET http://h/admin"]),
        (Selection(not_paths=("png$", "css$")), ["GET /a.js?b.png"], ["GET /a.png", "GET /b.css?v=1"]),
        (Selection(methods=("GET",), paths=("^/a",), not_paths=("b$",)), ["GET /ac"], ["GET /ab", "PUT /ac", "GET /c"]),
        (Selection(paths=(r"^\*$", ":443$")), ["OPTIONS *", "CONNECT h:443"], ["GET /"]),
    ],
)
def test_a_filter_wants(selection, wanted, unwanted):
    wants = make_filter(selection, Clock())
    assert wants is not None
    for requests, is_wanted in ((wanted, True), (unwanted, False)):
        for request in requests:
            method, target = request.encode().split(b" ")
            assert wants(method, target) is is_wanted, request


STRANGE = b"/" + bytes(random.Random(1).choices(b"/u", k=60_000))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("kind", ["paths", "not_paths"])
@pytest.mark.parametrize("pattern", ["/u.{1,30}/edit", "u.{1,100}/edit$", "(?:u.{1,3}|/.{1,9}u){1,40}z"])
def test_what_takes_long_to_judge_is_left_unjudged_and_the_rest_is_judged(kind, pattern):
    clock = Clock()
    wants = make_filter(Selection(**{kind: (pattern,)}), clock)
    short = b"/users/7"
    clock.now += 1
    assert wants(b"GET", short) is (kind == "not_paths")
    for _ in range(3):
        assert wants(b"GET", STRANGE) is None
    assert wants(b"GET", short) is (kind == "not_paths"), "what is known needs no work"
    assert wants(b"GET", STRANGE[::-1][:-1]) is None
    clock.now += 1
    assert wants(b"GET", b"/users/a-path-that-is-new") is (kind == "not_paths")


def test_what_it_costs_to_judge_is_bounded_in_any_second():
    clock = Clock()
    wants = make_filter(Selection(paths=("/u.{1,30}/edit", "u.{1,100}/edit$")), clock)
    known = random.Random(2)
    for _ in range(2000):
        target = b"/" + bytes(known.choices(b"/u", k=300))
        clock.now += 0.001
        wants(b"GET", target)
    assert wants.work <= 2 * MOVES_A_SECOND + 500


def test_of_several_paths_one_that_is_found_is_enough_even_if_another_takes_long():
    wants = make_filter(Selection(paths=("/u.{1,30}/edit", "^/[/u]")), Clock())
    assert wants(b"GET", STRANGE[:9]) is True
    assert wants(b"GET", STRANGE) is True
    wants = make_filter(Selection(paths=("^/[/u]",), not_paths=("^/[/u]", "/u.{1,30}/edit")), Clock())
    assert wants(b"GET", STRANGE) is False
    assert wants(b"GET", STRANGE.replace(b"u", b"x")) is False


def test_without_a_filter_nothing_is_asked():
    assert make_filter(ALL, Clock()) is None
    assert make_filter(Selection(sample_by=USERS), Clock()) is None


# ---- in words ------------------------------------------------------------------------------------------------------

BOTH = ("GET", "HEAD")


@pytest.mark.parametrize(
    ("selection", "percent", "rate", "words"),
    [
        (ALL, 100, None, "all requests"),
        (ALL, 10, None, "10 % of requests"),
        (ALL, 0.5, 20, "0.5 % of requests, at most 20 a second"),
        (ALL, 0, 20, "no requests: the sample is 0 %"),
        (Selection(methods=BOTH), 100, None, "all GET and HEAD requests"),
        (Selection(methods=("GET", "HEAD", "OPTIONS")), 10, None, "10 % of GET, HEAD and OPTIONS requests"),
        (Selection(methods=BOTH, paths=("^/api",)), 10, 50,
         "10 % of GET and HEAD requests to paths with ^/api, at most 50 a second"),
        (Selection(not_paths=("^/a", "^/b")), 100, None, "all requests but those to paths with ^/a or ^/b"),
        (Selection(paths=("^/api",), not_paths=("png$",)), 100, 0.5,
         "all requests to paths with ^/api, but not with png$, at most 0.5 a second"),
        (Selection(sample_by=USERS), 10, None, "10 % of requests, always of the same users by the cookie sid"),
        (Selection(sample_by=SampleBy("client")), 10, 5,
         "10 % of requests, always of the same users by the client's address, at most 5 a second"),
        (Selection(sample_by=USERS), 100, None, "all requests"),
    ],
)  # fmt: skip
def test_a_selection_is_explained(selection, percent, rate, words):
    assert explained(selection, sample_percent=percent, rate_per_second=rate) == words
