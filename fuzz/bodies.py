"""How two bodies differ: the json module is the other reader; no value is ever told, equal bodies never differ."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Hashable, Iterator
from typing import Any

from launcher.mirror_queue import Budget
from launcher.replay.comparison.answers import Answer
from launcher.replay.comparison.bodies import MAX_PATHS, MORE, is_json
from launcher.replay.comparison.judging import Ignored, judge

STEERING_BYTES = 5  # of an input, before the bodies
OTHER = b"\n--other--\n"  # between them
KINDS = (b"application/json", b"application/json", b"", b"application/vnd.a+json; charset=utf-8", b"text/html")
BUDGETS = (1 << 20, 1 << 20, 1 << 20, 40)
HOWS = {"missing", "extra", "length", "order", "value", "volatile", "more"}
SHALLOW = 150  # deeper than that, JSON may be compared by its bytes
RAW = -15  # zlib's window_bits without a header


def _raw(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=RAW)
    return packer.compress(body) + packer.flush()


CODINGS = (
    (b"", bytes), (b"", bytes), (b"gzip", lambda body: gzip.compress(body, mtime=0)), (b"deflate", zlib.compress),
    (b"gzip", lambda body: gzip.compress(body[:9], mtime=0) + gzip.compress(body[9:], mtime=0)), (b"deflate", _raw),
    (b"br", bytes), (b"gzip", bytes),
)  # fmt: skip
_UNREADABLE = 6  # from it on what comes is not what its coding says
WORDS = (
    OTHER, b'{"a":', b'"SECRET1"', b"[[[[", b"]]]]", b"NaN", b"Infinity", b"1e999", b"-0.0", b"1" + b"0" * 30, b"true",
    b"null", b'"\\ud800"', b"\xff", b"\xef\xbb\xbf", b'"2026-01-01T00:00:00Z"', b"1767225600", b"1.0", b'"a":1,"a":2',
    b'"ada@example.com"', b'{"b":1,"a":[2,3]}', b"\x1f\x8b\x08",
)  # fmt: skip


def seeds() -> dict[str, bytes]:
    """Pairs of all kinds, in codings of all kinds."""
    pairs = {
        "numbers": (b"[1,1e999,-0.0,NaN]", b"[1.0,1,0,NaN]"),
        "infinite": (b'{"a":1e999}', b'{"a":1}'),
        "integers without end": (b"[%s]" % (b"9" * 400), b"[1]"),
        "keys twice": (b'{"a":1,"a":2}', b'{"a":2}'),
        "order of keys": (b' {"a":[1,2],"b":{}}', b'{"b":{},"a":[1,2]}\n'),
        "order": (b'[{"a":1},{"a":2}]', b'[{"a":2},{"a":1}]'),
        "deep": (b"[" * 70 + b'{"x":1,"y":2}' + b"]" * 70, b"[" * 70 + b'{"y":2,"x":1}' + b"]" * 70),
        "deeper than can be read": (b"[" * 600 + b"]" * 600, b"[" * 500 + b"]" * 500),
        "true is not one": (b'[{"a":true},1]', b'[{"a":1},true]'),
        "invalid UTF-8": (b'{"a":"\xff"}', b'{"a":"\xfe"}'),
        "half a character": (b'{"\\ud800":1}', b'{"\\ud801":"\\ud800"}'),
        "what is new each time": (b'["2026-01-01T00:00:00Z",1767225600]', b'["2026-01-01T00:00:01Z",1767225601]'),
        "addresses as keys": (b'{"ada@example.com":"SECRET1","id_12345":1}', b'{"bob@example.com":"SECRET2"}'),
        "many": (b"{%s}" % b",".join(b'"%c%c":1' % (97 + n % 26, 97 + n // 26) for n in range(80)), b"{}"),
        "gzip that is none": (b"\x1f\x8b\x08", b"SECRET1"),
        "the same bytes in two codings": (b"\x03\0", b""),
        "no JSON": (b"<html>SECRET1", b"<html>SECRET2"),
    }
    chosen = {"gzip that is none": (7, 0), "the same bytes in two codings": (0, 5)}
    return {
        title: bytes([*chosen.get(title, (number % _UNREADABLE, number * 5 % _UNREADABLE)), 0, 7, number // 16 * 3])
        + one + OTHER + two
        for number, (title, (one, two)) in enumerate(pairs.items())
    }


def check(data: bytes) -> Hashable:
    """Raises AssertionError if the comparison breaks a promise. Returns how the bodies were compared."""
    steering, rest = data[:STEERING_BYTES].ljust(STEERING_BYTES, b"\0"), data[STEERING_BYTES:]
    one, _, two = rest.partition(OTHER)
    budget = Budget(BUDGETS[steering[4] % len(BUDGETS)])
    kind = KINDS[steering[2] % len(KINDS)]
    codings = [CODINGS[each % len(CODINGS)] for each in steering[:2]]
    packed = [(name, pack(body)) for (name, pack), body in zip(codings, (one, two), strict=True)]
    baseline, other = (answer(budget, kind, *each, steering[3]) for each in packed)
    same = answer(budget, kind, *packed[0], 3)
    found = judge(baseline, other, Ignored())
    back = judge(other, baseline, Ignored())
    assert judge(baseline, same, Ignored())[2:] == (set(), "equal")
    assert found.bodies == back.bodies
    assert flipped(found.body) == back.body or (MORE in found.body and MORE in back.body), "it matters which is which"
    assert_nothing_is_told(found.body, one, two)
    fits = budget.limit_bytes == BUDGETS[0]
    is_shallow = max(depth_of(one), depth_of(two)) < SHALLOW
    if fits and is_shallow and all(each % len(CODINGS) < _UNREADABLE for each in steering[:2]):
        if packed[0][1] != packed[1][1]:  # the same bytes in two codings are told by the header
            assert bool(found.body) == differs(one, two, kind), "the json module says otherwise"
        written = rewritten(one)
        if written is not None and looks_like_json(one) and (is_json(kind) or not kind):
            again = answer(budget, kind, b"", written, 100)
            assert not judge(baseline, again, Ignored()).body, "the same JSON, written in another way, differs"
            again.release()
    for each in (baseline, other, same):
        each.release()
    assert budget.used_bytes == 0
    return found.bodies, tuple(sorted({how for _, how in found.body})), len(found.body) > 8


def answer(budget: Budget, kind: bytes, coding: bytes, body: bytes, step: int) -> Answer:
    """The body as it comes, in pieces of `step` bytes."""
    made = Answer(budget)
    made.add_head(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Encoding: %s\r\n\r\n" % (kind, coding))
    for start in range(0, len(body), step + 1):
        made.add_body(body[start : start + step + 1])
    made.end(200, "2xx", 1, True)
    return made


def flipped(differences: set[tuple[str, str]] | frozenset[tuple[str, str]]) -> set[tuple[str, str]]:
    """As they are the other way round."""
    return {(path, flip(how)) for path, how in differences}


def flip(how: str) -> str:
    if " → " in how:
        type_, one, _, two = how.rpartition("type ")[1], *how.removeprefix("type ").split(" ")
        return f"{type_}{two} → {one}"
    return {"missing": "extra", "extra": "missing"}.get(how, how)


def assert_nothing_is_told(found: set[tuple[str, str]] | frozenset[tuple[str, str]], one: bytes, two: bytes) -> None:
    """But keys that are names, types, and what kind of difference it is."""
    assert len(found) <= MAX_PATHS + 1
    texts = [text for body in (one, two) for text in strings_of(body)]
    keys = {text for text, is_key in texts if is_key}
    values = {text for text, is_key in texts if not is_key and len(text) > 3 and text.isalnum()}
    for path, how in found:
        assert how in HOWS or re.fullmatch(r"type [a-z]+ → [a-z]+|sound → broken|broken → sound", how)
        assert path.isascii() and path.isprintable() and len(path) <= 200 and not re.search("[0-9]{4}", path)
        assert path == "body" or path.startswith("$")
        assert not any(len(key) > 40 and key in path for key in keys)
        assert not any(value in path and not any(value in key for key in keys) for value in values), "a value is told"


def strings_of(body: bytes) -> Iterator[tuple[str, bool]]:
    """All of a JSON value, and which of them are keys."""
    value = loaded(body)
    waiting = [] if value is None else [value[0]]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield from ((key, True) for key in each)
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
        elif isinstance(each, str):
            yield each, False


def loaded(body: bytes) -> tuple[Any] | None:
    try:
        return (json.loads(body),)
    except (ValueError, RecursionError):
        return None


def differs(one: bytes, two: bytes, kind: bytes) -> bool:
    """As the json module has it."""
    values = loaded(one), loaded(two)
    is_compared = (is_json(kind) or not kind) and looks_like_json(one) and looks_like_json(two)
    if one == two or not is_compared or values[0] is None or values[1] is None:
        return one != two
    return bool(meaning(values[0][0]) != meaning(values[1][0]))


def looks_like_json(body: bytes) -> bool:
    return body.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")[:1] in (b"{", b"[")


def depth_of(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")


def meaning(value: Any) -> Hashable:
    """Two values mean the same exactly if these are equal."""
    if isinstance(value, dict):
        return "object", frozenset((key, meaning(each)) for key, each in value.items())
    if isinstance(value, list):
        return "array", tuple(map(meaning, value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number", "NaN" if value != value else value
    return type(value).__name__, value


def rewritten(body: bytes) -> bytes | None:
    """The same JSON in another order, with other blanks and escapes; None if it is no JSON, or can't be written."""
    value = loaded(body)
    if value is None or not isinstance(value[0], (dict, list)):
        return None
    try:
        return b"\t" + json.dumps(backwards(value[0]), indent=1).encode()
    except (ValueError, RecursionError):  # an integer of more digits than Python writes
        return None


def backwards(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(each) for each in value] if isinstance(value, list) else value
