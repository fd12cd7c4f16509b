"""Versions of an app for simulations: calm ones, noisy ones, and ones with a planted regression; and the weather.

A version is called with a request's number and draws, and says the arguments of `answers.fill`. Weather makes the
latencies of instances of one version as they are on shared machines, so that none of it is the version's fault.
"""

from __future__ import annotations

import gzip
import json
import math
import random
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from tests.comparison.answers import Version

Said = dict[str, Any]


def noisy(number: int, draw: random.Random) -> Said:
    """A version whose answers are never twice the same: ids, times, tokens, order of keys, cookies, an optional field,
    a flaky status, and latencies with a heavy tail."""
    members = [
        ("id", number), ("token", draw.getrandbits(128).to_bytes(16, "big").hex()),
        ("at", f"2026-01-01T00:00:{draw.random() * 60:09.6f}Z"), ("request", str(uuid.UUID(int=draw.getrandbits(128)))),
        ("sequence", draw.randrange(10**6)), ("price", number % 7 + 0.5), ("active", True),
        ("items", [{"name": "tea", "amount": number % 5 + 1}, {"name": "cup", "amount": 1}]),
    ]  # fmt: skip
    if draw.random() < 0.02:
        members.append(("note", "sometimes"))
    draw.shuffle(members)
    return {
        "body": dict(members), "status": 503 if draw.random() < 0.005 else 200,
        "milliseconds": draw.lognormvariate(2.3, 0.6),
        "headers": {"Set-Cookie": f"session={draw.random()}; Path=/; HttpOnly", "Cache-Control": "no-store",
                    "Date": f"Mon, 01 Jan 2026 00:00:{draw.randrange(60):02} GMT", "ETag": f'"{draw.random()}"'},
    }  # fmt: skip


def calm(number: int, draw: random.Random) -> Said:
    """A version that always answers the same."""
    said = noisy(number, random.Random(number))
    return {**said, "status": 200, "milliseconds": draw.lognormvariate(2.3, 0.2)}


# ---- what is planted


def with_body(said: Said, **changed: Any) -> Said:
    return {**said, "body": {**said["body"], **changed}}


def without(said: Said, name: str) -> Said:
    return {**said, "body": {key: value for key, value in said["body"].items() if key != name}}


def packed(said: Said) -> Said:
    body = with_body(said, id=-1)["body"]
    headers = {**said["headers"], "Content-Encoding": "gzip", "Content-Type": "application/json"}
    return {**said, "body": gzip.compress(json.dumps(body).encode()), "headers": headers}


Change = Callable[[Said], Said]
REGRESSIONS: dict[str, tuple[Change, tuple[str, str]]] = {  # what is planted -> the answer, and what must be found
    "status": (lambda said: {**said, "status": 500}, ("status", "200 → 500")),
    "no answer": (lambda said: {"outcome": "timeout"}, ("status", "200 → timeout")),
    "type": (lambda said: with_body(said, price=str(said["body"]["price"])), ("$.price", "type number → string")),
    "boolean as number": (lambda said: with_body(said, active=1), ("$.active", "type boolean → number")),
    "null": (lambda said: with_body(said, price=None), ("$.price", "type number → null")),
    "value": (lambda said: with_body(said, price=said["body"]["price"] + 0.01), ("$.price", "value")),
    "missing": (lambda said: without(said, "active"), ("$.active", "missing")),
    "extra": (lambda said: with_body(said, debug="on"), ("$.debug", "extra")),
    "shorter array": (lambda said: with_body(said, items=said["body"]["items"][:1]), ("$.items", "length")),
    "order of an array": (lambda said: with_body(said, items=said["body"]["items"][::-1]), ("$.items", "order")),
    "header": (
        lambda said: {**said, "headers": {**said["headers"], "Cache-Control": "public"}},
        ("header:cache-control", "value"),
    ),
    "in gzip": (packed, ("$.id", "value")),
}
COMES_ALONG = {("header:content-encoding", "extra")}  # of what is packed


def planted(version: Version, name: str, rate: float) -> Version:
    """With one regression."""
    change = REGRESSIONS[name][0]
    return lambda number, draw: (
        change(version(number, draw)) if draw.random() < rate else version(number, draw)
    )


def planted_all(version: Version, rate: float) -> Version:
    """With all of them, each in so many of the answers, never two in one."""
    changes = [change for change, _ in REGRESSIONS.values()]

    def planted(number: int, draw: random.Random) -> Said:
        kind = int(draw.random() / rate)
        said = version(number, draw)
        return changes[kind](said) if kind < len(changes) else said

    return planted


# ---- latencies


class Weather:
    """What makes instances of one version slow: load that all of them share and that comes and goes, bursts of it,
    pauses of one instance (a garbage collection), a neighbour that takes processor time from one for an eighth to a
    quarter of the run, and a heavy tail. `seconds` apart are the requests, `count` of them."""

    def __init__(self, seed: int, roles: int, count: int, seconds: float, middle_ms: float = 8.0) -> None:
        draw = random.Random(seed)
        self._draw = draw
        self._seconds = seconds
        self._middle_ms = middle_ms
        self._load = list(_load(draw, count))
        self._pauses = [list(_pauses(draw, count, seconds)) for _ in range(roles)]
        self._neighbours = [_neighbour(draw, count) if draw.random() < 0.5 else range(0) for _ in range(roles)]

    def milliseconds(self, role: int, number: int) -> float:
        """Of one answer."""
        own = self._middle_ms * self._load[number] * math.exp(self._draw.gauss(0, 0.25))
        if number in self._neighbours[role]:
            own *= 1.3
        if self._draw.random() < 0.01:
            own *= 1 + self._draw.paretovariate(1.5)
        now = number * self._seconds
        return own + max((1000 * (end - now) for start, end in self._pauses[role] if start <= now < end), default=0.0)

    def version(self, role: int, of: Version, slower: Callable[[int, random.Random], float] | None = None) -> Version:
        """An instance of that version, with these latencies, or so many times them."""

        def said(number: int, draw: random.Random) -> Said:
            factor = slower(number, draw) if slower else 1.0
            return {**of(number, draw), "milliseconds": self.milliseconds(role, number) * factor}

        return said


def _load(draw: random.Random, count: int) -> Sequence[float]:
    level, burst, loads = 0.0, 0, []
    for _ in range(count):
        level = 0.99 * level + draw.gauss(0, 0.03)
        burst = burst - 1 if burst else draw.randrange(10, 100) * (draw.random() < 0.002)
        loads.append(math.exp(level) * (3 if burst else 1))
    return loads


def _pauses(draw: random.Random, count: int, seconds: float) -> Sequence[tuple[float, float]]:
    now, pauses = 0.0, []
    while (now := now + draw.expovariate(1 / 8)) < count * seconds:
        pauses.append((now, now + draw.uniform(0.02, 0.3)))
    return pauses


def _neighbour(draw: random.Random, count: int) -> range:
    start = draw.randrange(count)
    return range(start, start + draw.randrange(count // 8, count // 4))
