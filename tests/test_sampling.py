"""Sticky samples: whose request it is, and gor's choice, which only ever grows; then the rate."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.fnv1a import fnv1a
from launcher.rate_limit import RateLimit
from launcher.sampling import MAX_KEY_BYTES, Peer, Sampler, peer_of, place_of
from launcher.selection import SampleBy
from tests import evenness

SID = SampleBy("cookie", "sid")
USER = SampleBy("header", "X-User")
CLIENT = SampleBy("client")
NOBODY = Peer()
PROXY = Peer(b"10.1.2.3", is_proxy=True)


def head(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in ("GET /sid=9;X-User: 9 HTTP/1.1", *lines, "")).encode()


def drawn_by(by: SampleBy, request: bytes, peer: Peer = NOBODY) -> bytes | None:
    """The key by which a request is drawn; None if that is left to the lot."""
    lots: list[float] = []
    sampler = Sampler(by, lambda: lots.append(0.0) or 0.0)  # type: ignore[func-returns-value]
    sampler.takes(request, peer, 50)
    assert sampler._key is not None
    key = sampler._key(request, peer)
    assert bool(lots) is not bool(key)
    return key or None


# ---- whose it is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ([], None),
        (["Cookie: sid=abc"], b"abc"),
        (["COOKIE:sid=abc"], b"abc"),
        (["cookie: a=1; sid=abc; b=2"], b"abc"),
        (["Cookie: a=1;sid=abc"], b"abc"),
        (["Cookie: xsid=1; sid=abc"], b"abc"),
        (["Cookie: a=sid=1; sid=abc="], b"abc="),
        (["Cookie: SID=1; sid=abc"], b"abc"),
        (["Cookie: sid=abc; sid=def"], b"abc"),
        (["Cookie: a=1", "Cookie: sid=abc"], b"abc"),
        (["Cookie: a=1", "Cookie: sid=abc", "Cookie: sid=def"], b"abc"),
        (["Cookie: sid=abc", "Cookie: sid=def"], b"abc"),
        (["X-Cookie: sid=1", "Host: h", "Cookie: sid=abc  "], b"abc"),
        (["Cookie: sid=\"a b\""], b"\"a b\""),
        (["Cookie: sid="], None),
        (["Cookie: sid=; a=1"], None),
        (["Cookie: sid"], None),
        (["Cookie: a=1", "X: ; sid=2"], None),
    ],
)  # fmt: skip
def test_a_cookie_tells_whose_a_request_is(lines, key):
    assert drawn_by(SID, head(*lines)) == key


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ([], None),
        (["X-User: 7"], b"7"),
        (["x-user:\t 7 \t"], b"7"),
        (["X-User: 7", "X-User: 8"], b"7"),
        (["X-User:", "X-User: 8"], None),
        (["X-User2: 7", "XX-User: 7"], None),
        (["X-User: a, b"], b"a, b"),
    ],
)
def test_a_header_tells_whose_a_request_is_as_gor_finds_it(lines, key):
    assert drawn_by(USER, head(*lines)) == key


@pytest.mark.parametrize(
    ("lines", "peer", "key"),
    [
        ([], PROXY, b"10.1.2.3"),
        (["X-Forwarded-For: 1.2.3.4"], PROXY, b"1.2.3.4"),
        (["x-forwarded-for: 9.9.9.9, 1.2.3.4 "], PROXY, b"1.2.3.4"),
        (["X-Forwarded-For: 9.9.9.9", "X-Forwarded-For: 1.2.3.4"], PROXY, b"1.2.3.4"),
        (["X-Forwarded-For: 1.2.3.4:5678"], PROXY, b"1.2.3.4"),
        (["X-Forwarded-For: 2001:db8::1"], PROXY, b"2001:db8::1"),
        (["X-Forwarded-For: "], PROXY, b"10.1.2.3"),
        (["X-Forwarded-For: 9.9.9.9"], Peer(b"8.8.8.8"), b"8.8.8.8"),
        ([], Peer(is_proxy=True), None),
        ([], NOBODY, None),
    ],
)
def test_a_client_is_known_by_its_address_or_by_what_its_proxy_says(lines, peer, key):
    assert drawn_by(CLIENT, head(*lines), peer) == key


@pytest.mark.parametrize(
    ("address", "in_dyno", "peer"),
    [
        ("8.8.8.8", False, Peer(b"8.8.8.8")),
        ("8.8.8.8", True, Peer(b"8.8.8.8", is_proxy=True)),
        ("10.1.2.3", False, PROXY),
        ("172.17.0.1", False, Peer(b"172.17.0.1", is_proxy=True)),
        ("127.0.0.1", False, Peer(b"127.0.0.1", is_proxy=True)),
        ("100.64.0.1", False, Peer(b"100.64.0.1", is_proxy=True)),
        ("::ffff:8.8.8.8", False, Peer(b"8.8.8.8")),
        ("::ffff:10.1.2.3", False, PROXY),
        ("2600::1", False, Peer(b"2600::1")),
        ("fd00::1", False, Peer(b"fd00::1", is_proxy=True)),
        ("fe80::1%eth0", False, Peer(b"fe80::1", is_proxy=True)),
        ("", False, NOBODY),
        ("", True, Peer(is_proxy=True)),
    ],
)
def test_a_peer_without_a_public_address_is_a_proxy_and_so_is_a_dyno_s_router(address, in_dyno, peer):
    assert peer_of(address, in_dyno=in_dyno) == peer


# ---- who is in -----------------------------------------------------------------------------------------------------

KEYS = st.binary(min_size=1, max_size=80).filter(lambda key: not set(key) & set(b" \t\r\n"))
PERCENTS = st.floats(0, 100)


def test_without_anything_that_tells_users_apart_each_request_is_drawn_by_lot():
    lots = [0.3, 0.3, 0.99]
    sampler = Sampler(None, lambda: lots.pop(0))
    assert [sampler.takes(head(), NOBODY, percent) for percent in (30, 31, 99.5)] == [False, True, True]
    assert not lots


@given(KEYS, st.integers(0, 100))
def test_a_whole_percentage_chooses_as_gor_does(key, percent):
    assert (place_of(key) < percent) is (fnv1a(key) % 100 < percent)


@given(KEYS, PERCENTS, PERCENTS)
def test_a_larger_sample_keeps_whom_a_smaller_one_had(key, one, other):
    request = b"GET / HTTP/1.1\r\nX-User: %s\r\n\r\n" % key
    sampler = Sampler(USER)
    if sampler.takes(request, NOBODY, min(one, other)):
        assert sampler.takes(request, NOBODY, max(one, other))


@given(KEYS)
def test_nobody_is_in_a_sample_of_0_and_everybody_in_one_of_100(key):
    assert 0 <= place_of(key) < 100


def test_of_a_very_long_key_the_first_bytes_count():
    assert place_of(b"x" * MAX_KEY_BYTES) == place_of(b"x" * 60_000) != place_of(b"x" * (MAX_KEY_BYTES - 1))


@pytest.mark.parametrize("kind", evenness.KEYS)
def test_a_sample_has_the_share_that_was_asked_for(kind):
    """Four standard deviations of what chance would give."""
    for percent, share in zip(evenness.PERCENTS, evenness.shares(kind), strict=True):
        assert abs(share - percent) < 4 * math.sqrt(percent * (100 - percent) / evenness.USERS)


def test_without_a_key_the_lot_decides():
    draws = iter([0.0, 0.0999, 0.1, 0.9])
    sampler = Sampler(USER, lambda: next(draws))
    assert [sampler.takes(head(), NOBODY, 10) for _ in range(4)] == [True, True, False, False]


# ---- the rate ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "times", "admitted"),
    [
        (10, [0, 0, 0.05, 0.1, 0.1], [1, 0, 0, 1, 0]),
        (20, [0, 0, 0, 0.05, 1, 1, 1], [1, 1, 0, 1, 1, 1, 0]),
        (0.5, [0, 1, 1.9, 2, 3, 4], [1, 0, 0, 1, 0, 1]),
        (0, [0, 1, 1000], [0, 0, 0]),
        (1e6, [0] * 3, [1, 1, 1]),
    ],
)
def test_a_rate_admits_a_small_burst_and_then_as_many_as_come_in_time(rate, times, admitted):
    limit = RateLimit()
    assert [limit.admits(now, rate) for now in times] == [bool(one) for one in admitted]


def test_a_rate_may_change_at_any_time():
    limit = RateLimit()
    assert sum(limit.admits(0, 100) for _ in range(50)) == 10
    assert not limit.admits(0, 1)
    assert sum(limit.admits(5, 1) for _ in range(50)) == 1
    assert not limit.admits(5, 0)
    assert sum(limit.admits(6, 1000) for _ in range(500)) == 100


@given(st.floats(0.1, 1000), st.lists(st.floats(0, 0.2), min_size=1, max_size=200))
def test_no_window_has_more_than_the_rate_and_one_burst(rate, gaps):
    limit, now, times = RateLimit(), 0.0, []
    for gap in gaps:
        now += gap
        if limit.admits(now, rate):
            times.append(now)
    for first, start in enumerate(times):
        for last, end in enumerate(times[first:], first):
            assert last - first + 1 <= (end - start) * rate + max(1, rate / 10) + 1e-6
