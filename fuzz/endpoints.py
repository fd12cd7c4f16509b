"""Endpoints: bounded in number, names of words and placeholders only, and counts that follow when names change."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from unittest import mock
from urllib.parse import unquote

from launcher.replay.comparison import endpoints
from launcher.replay.comparison.endpoints import OTHERS, Endpoints

STEERING_BYTES = 2  # of an input, before the requests, one a line
WORD_BOUNDS, ENDPOINT_BOUNDS = (40, 1, 2, 3), (200, 1, 3, 5)
LONGEST_KNOWN = 256  # bytes of a method and a target that are remembered
SHOWN = {"", "...", "{id}", "{uuid}", "{hex}", "{value}"}
WORDS = (
    b"GET /", b"\nGET /users/", b"POST /a/b", b"/1", b"/%65", b"/%2f", b"/v2.0", b"/a-b.json", b"?a=SECRET1", b"#",
    b"/9f86d081884c7d65", b"http://h/", b"/6f1c2a9e-7a53-4b5f-9d0e-2b8f6c1d3e4a", b"/...", b"/{id}", b"/(others)",
)  # fmt: skip


def seeds() -> dict[str, bytes]:
    """Requests of all kinds."""
    words = [f"/{one}{two}" for one in "abcdefg" for two in "hijklmn"]
    return {
        "shapes": b"\0\0GET /users/1/a?b=SECRET1\nGET /v1/x.json\nPOST /u/ada@example.com\nGET /c/9f86d081884c7d65",
        "many words": b"\0\0" + "\n".join(f"GET /users{word}/posts" for word in words).encode(),
        "many words at every place": b"\1\3" + "\n".join(f"GET {a}{b}" for a in words[:6] for b in words[:6]).encode(),
        "many endpoints": b"\3\1" + "\n".join(f"GET {word}{word}/x" for word in words[:20]).encode(),
        "no target": b"\0\0GET\n\n  \nget /a\nGET http://h/a//b/%2e%2f/%ff\xff\nGET /{id}/.../(others)",
        "long": b"\0\0GET /" + b"a/" * 50 + b"\nGET /" + b"b" * 100 + b"\nGET /" + b"1" * 252 + b"\nGET /" + b"1" * 253,
    }


def check(data: bytes) -> Hashable:
    """Raises AssertionError if the names break a promise. Returns what became of them."""
    steering, rest = data[:STEERING_BYTES].ljust(STEERING_BYTES, b"\0"), data[STEERING_BYTES:]
    requests = [line.partition(b" ")[::2] for line in rest.split(b"\n")]
    words = set(parts_of(requests))
    with bounds(WORD_BOUNDS[steering[0] % 4], ENDPOINT_BOUNDS[steering[1] % 4]):
        learned, counts = Endpoints(), Counter[str]()
        changes = 0
        for number, (method, target) in enumerate(requests, 1):
            name = learned.name(method, target)
            if learned.is_changed:
                changes += 1
                names = learned.settle()
                counts, before = Counter(), counts
                for each, count in before.items():  # as the recorder does it
                    counts[names.get(each, each)] += count
                name = names.get(name, name)
            counts[name] += 1
            assert counts.total() == number
            assert len(counts) <= endpoints.MAX_ENDPOINTS + 1, "there are more endpoints than their bound"
            places = len(learned._words) + len(learned._collapsed)
            assert places <= endpoints.MAX_ENDPOINTS * endpoints.MAX_DEPTH, "more places are known than have room"
            assert all(len(method) + len(target) <= LONGEST_KNOWN for method, target in learned._known)
            assert learned.canonical(name) == name and not learned.is_changed
        assert all(learned.canonical(name) == name for name in counts), "a count has a name of before"
        assert set(counts) - {OTHERS} <= learned.names
        at_place: dict[str, set[str]] = {}
        for name in counts:
            for place, part in enumerate(parts := name.partition(" ")[2].split("/")):
                at_place.setdefault("/".join(parts[:place]), set()).add(part)
            assert_is_of_words(name, words)
        assert all(len(each - SHOWN) <= endpoints.MAX_WORDS for each in at_place.values()), "names are taken for routes"
    return len(counts), changes, OTHERS in counts


@contextmanager
def bounds(words: int, names: int) -> Iterator[None]:
    with mock.patch.multiple(endpoints, MAX_WORDS=words, MAX_ENDPOINTS=names):
        yield


def parts_of(requests: list[tuple[bytes, bytes]]) -> Iterator[str]:
    for _, target in requests:
        for part in target.decode("ascii", "replace").partition("?")[0].partition("#")[0].split("/"):
            yield unquote(part, errors="replace")


def assert_is_of_words(name: str, words: set[str]) -> None:
    """Placeholders and words of the requests' own paths, which can be shown."""
    assert name.isascii() and name.isprintable() and len(name) < 600
    method, _, route = name.partition(" ")
    assert name == OTHERS or method == "?" or (method.isupper() and method.isalpha() and len(method) <= 16)
    for part in route.split("/"):
        assert part in SHOWN or (part in words and len(part) <= 32 and not re.search("[0-9]{4}|[^A-Za-z0-9._-]", part))
