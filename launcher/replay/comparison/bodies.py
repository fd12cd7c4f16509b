"""How two bodies differ: JSON by path and type, anything else by its bytes. Bounded in bytes, depth and findings.

gzip and deflate are undone, up to MAX_DECODED_BYTES; what is in another coding (br, zstd: nothing in Python's own
library undoes them) is equal if its bytes are, and else can't be told. In JSON the order of keys, blanks and how a
number or a character is written mean nothing. A path is `$.items[].price`: all elements of an array share one, and a
key that is no name is `{key}`.
"""

from __future__ import annotations

import marshal
import re
import zlib
from collections.abc import Iterator
from typing import Any

MAX_DECODED_BYTES = 8 * 1024**2
MAX_MEMBERS = 1000  # of a gzip body: one is usual, and each takes as long as 16 KiB do
MAX_DEPTH = 64  # to which shortcuts are taken
MAX_PATHS = 64  # of one pair; the rest is MORE
MAX_NODES = 200_000  # of one pair that are looked at
MAX_COMPARED_BYTES = 4 * MAX_DECODED_BYTES  # of one pair, by shortcuts
_LONGEST_KEY = 40
_LONGEST_PATH = 200

Difference = tuple[str, str]  # path, how
_Pair = tuple[str, Any, Any, int]  # path, the one value, the other, depth
MORE = ("$...", "more")

_KEY = re.compile(r"[$@_]{0,2}[A-Za-z](?:[A-Za-z_$:.-]|[0-9](?![0-9]{3}))*")  # no more than three digits together
_JSON_TYPE = re.compile(rb"[^;]*[/+]json\s*(?:;.*)?", re.IGNORECASE)
_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
_VOLATILE = re.compile(  # what is made anew for each answer: an UUID, a time, a digest or token, a JWT
    r"(?P<uuid>[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})"
    r"|(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s?(?:Z|[+-]\d\d:?\d\d|UTC)?)"
    r"|(?P<date>(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT)"
    r"|(?P<jwt>eyJ[\w-]+\.[\w-]+\.[\w-]*)"
    r"|(?P<token>(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_+/=-]{16,})"
)
_GZIP = 31  # zlib's window_bits for it
_SLICE_BYTES = 16 * 1024  # of a packed body, at a time
BROKEN = "broken"
_SECONDS = range(10**9, 4 * 10**9)  # a time in Unix seconds, 2001 to 2096
_SAME_MOMENT = 120.0


class Undecodable(Exception):
    """The coding is not known, or its bytes are broken (BROKEN), or there are too many."""


def decoded(body: bytes, coding: bytes) -> bytes:
    """The body without its content coding. Raises Undecodable."""
    coding = coding.strip().lower()
    if coding in (b"", b"identity") or not body:
        return body
    if coding in (b"gzip", b"x-gzip"):
        return _inflated(body, _GZIP)
    if coding == b"deflate":  # zlib's form as it should be, or raw as some send it: RFC 9110 §8.4.1.2
        try:
            return _inflated(body, 15)
        except Undecodable as error:
            if str(error) != BROKEN:
                raise
            return _inflated(body, -15)
    raise Undecodable(coding.decode("ascii", "replace"))


def _inflated(body: bytes, window_bits: int) -> bytes:
    """In slices, since each member's end copies what is left of what was given, and that may be members without end."""
    pieces: list[bytes] = []
    room = MAX_DECODED_BYTES + 1
    inflater, members = zlib.decompressobj(window_bits), 1
    start, view = 0, memoryview(body)
    while start < len(body):
        if inflater.eof:  # gzip's members may follow one another: RFC 1952 §2.2
            if window_bits != _GZIP:
                raise Undecodable(BROKEN)
            if members == MAX_MEMBERS:
                raise Undecodable("too many members")
            inflater, members = zlib.decompressobj(window_bits), members + 1
        piece = view[start : start + _SLICE_BYTES]
        try:
            pieces.append(inflater.decompress(piece, room))
        except zlib.error as error:
            raise Undecodable(BROKEN) from error
        room -= len(pieces[-1])
        if not room:
            raise Undecodable("too large")
        start += len(piece) - len(inflater.unused_data)
    if not inflater.eof:
        raise Undecodable(BROKEN)
    return b"".join(pieces)


def is_json(content_type: bytes) -> bool:
    """Whether a Content-Type is JSON's: RFC 8259, RFC 6839 §3.1."""
    return _JSON_TYPE.fullmatch(content_type) is not None


class _Walk:
    """What was found so far, and what it has cost."""

    def __init__(self) -> None:
        self.found: set[Difference] = set()
        self.nodes = 0
        self.compared_bytes = 0

    def add(self, path: str, how: str) -> None:
        self.found.add((path, how) if len(self.found) < MAX_PATHS else MORE)

    @property
    def is_over(self) -> bool:
        return self.nodes > MAX_NODES or MORE in self.found

    def has_shortcuts(self, depth: int) -> bool:
        """Whether whole values are still compared at once: each level does it again with all that is below."""
        return depth < MAX_DEPTH and self.compared_bytes < MAX_COMPARED_BYTES


def json_differences(baseline: Any, other: Any) -> set[Difference]:
    """Where and how two JSON values differ: `type`, `value`, `volatile`, `missing`, `extra`, `length` or `order`.

    Raises Undecodable if there are none as far as it looks, and it does not look to the end."""
    walk = _Walk()
    levels: list[Iterator[_Pair]] = [iter([("$", baseline, other, 0)])]  # what is left of each; the last one is next
    while levels and not walk.is_over:
        pair = next(levels[-1], None)
        if pair is None:
            levels.pop()
        elif below := _looked_at(*pair, walk):
            levels.append(below)
    if levels:
        if not walk.found:
            raise Undecodable("too much to look through")
        walk.found.add(MORE)
    return walk.found


def _looked_at(path: str, one: Any, two: Any, depth: int, walk: _Walk) -> Iterator[_Pair] | None:
    """What is to be looked at below, as it is asked for: of all that differs in a large value the pairs are many."""
    walk.nodes += 1
    kind, two_kind = _type(one), _type(two)
    if kind != two_kind:
        walk.add(path, f"type {kind} → {two_kind}")
    elif kind == "object":
        return _members(path, one, two, depth, walk)
    elif kind == "array":
        return _elements(path, one, two, depth, walk)
    elif one != two and (one == one or two == two):  # NaN is not equal to itself
        walk.add(path, "volatile" if _is_volatile(one, two) else "value")
    return None


def _members(path: str, one: dict[str, Any], two: dict[str, Any], depth: int, walk: _Walk) -> Iterator[_Pair]:
    for key, value in one.items():
        if walk.is_over:
            return
        if key not in two:
            walk.add(_below(path, key), "missing")
        elif not _is_same(value, two[key], depth, walk):
            yield _below(path, key), value, two[key], depth + 1
    for key in two:
        if walk.is_over:
            return
        if key not in one:
            walk.add(_below(path, key), "extra")


def _elements(path: str, one: list[Any], two: list[Any], depth: int, walk: _Walk) -> Iterator[_Pair]:
    if len(one) != len(two):
        walk.add(path, "length")
        return
    if len(one) > 1 and walk.has_shortcuts(depth) and _is_shuffled(one, two, walk):
        walk.add(path, "order")
        return
    below = f"{path}[]"[:_LONGEST_PATH]
    for value, other in zip(one, two, strict=True):
        if not _is_same(value, other, depth, walk):
            yield below, value, other, depth + 1


def _is_same(value: Any, other: Any, depth: int, walk: _Walk) -> bool:
    """Whether there is nothing to look for below. To Python true equals 1, to marshal it does not; marshal minds the
    order of keys, so what it does not find the same may be so nevertheless."""
    if not isinstance(value, (dict, list)):
        return type(value) is type(other) and bool(value == other)
    if not walk.has_shortcuts(depth) or type(value) is not type(other) or value != other:
        return False
    ours, theirs = marshal.dumps(value, 2), marshal.dumps(other, 2)
    walk.compared_bytes += len(ours) + len(theirs)
    return ours == theirs


def _is_shuffled(one: list[Any], two: list[Any], walk: _Walk) -> bool:
    """Whether the same elements stand in another order: the sums of their hashes, which nobody knows before, agree."""
    return one != two and _sum_of(one, walk) == _sum_of(two, walk)


def _sum_of(elements: list[Any], walk: _Walk) -> int:
    total = 0
    for each in elements:
        data = marshal.dumps(each, 2)
        walk.compared_bytes += len(data)
        total += hash(data)
    return total


def _type(value: Any) -> str:
    return _TYPES.get(type(value), "null")


def shown_key(key: str) -> str:
    """A key as a report may show it: names as they are, what may be data (ids, addresses) as `{key}`."""
    return key if len(key) <= _LONGEST_KEY and _KEY.fullmatch(key) else "{key}"


def _below(path: str, key: str) -> str:
    return f"{path}.{shown_key(key)}"[:_LONGEST_PATH]


def _is_volatile(one: Any, two: Any) -> bool:
    """Whether both look like the same kind of thing that is made anew for each answer."""
    if isinstance(one, str) and isinstance(two, str):
        first = _VOLATILE.fullmatch(one)
        second = _VOLATILE.fullmatch(two) if first else None
        return bool(first and second and first.lastgroup == second.lastgroup and abs(len(one) - len(two)) <= 8)
    if isinstance(one, (int, float)) and isinstance(two, (int, float)):
        before, after = min(one, two), max(one, two)  # any numbers: infinite ones, and integers that are no float
        unit = 1000 if after > _SECONDS[-1] else 1
        is_time = _SECONDS[0] * unit <= before and after <= _SECONDS[-1] * unit
        return is_time and after - before <= _SAME_MOMENT * unit
    return False


def is_ignored(path: str, ignored: frozenset[str]) -> bool:
    """Whether a path, or what it is in, is among those that don't count."""
    return path in ignored or any(path.startswith((f"{each}.", f"{each}[")) for each in ignored)
