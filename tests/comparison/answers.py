"""Answers for the comparison, made without sockets, and sets of them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from launcher.comparison.verdict import CandidateVerdict, Verdict
from launcher.replay.comparison.answers import Answer
from launcher.replay.comparison.judging import Ignored
from launcher.replay.comparison.recorder import Comparison

BASELINE, NOISE, CANDIDATE = 0, 1, 2
ROLES = ("baseline", "baseline2", "candidate")
REQUEST = b"1 %024x 1700000000000000000 -1\n%s %s HTTP/1.1\r\nHost: app\r\nX-Request-Id: id-%d\r\n\r\n"


def record(number: int, path: str = "/", method: str = "GET") -> bytes:
    """A request's record."""
    return REQUEST % (number, method.encode(), path.encode(), number)


def new_comparison(
    roles: Sequence[str] = ROLES, ignored: Sequence[str] = (), max_bytes: int = 1 << 24, **more: Any
) -> Comparison:
    """One with everything drawn from the same seed."""
    shown = [f"http://{role}" for role in roles]
    return Comparison(roles, shown, Ignored.of(ignored), max_bytes, draw=random.Random(1), **more)


def fill(
    answer: Answer, body: Any = None, *, status: int = 200, headers: Mapping[str, str] | None = None,
    milliseconds: float = 10, pieces: int = 1, is_whole: bool = True,
) -> Answer:
    """The answer, with a body as JSON or as it is."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    lines = {"Content-Type": kind, **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    answer.add_head(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode())
    step = max(1, -(-len(data) // pieces))
    for start in range(0, len(data), step):
        answer.add_body(data[start : start + step])
    answer.end(status, "", max(1, int(milliseconds * 1000)), is_whole)
    return answer


Version = Callable[[int, random.Random], dict[str, Any]]  # a request's number -> the arguments of `fill`


def paths(number: int) -> str:
    """Three endpoints in turn."""
    return f"/{('users', 'orders', 'products')[number % 3]}/{number}"


def run(
    versions: Sequence[Version], count: int, *, seed: int = 1, roles: Sequence[str] = ROLES,
    path: Callable[[int], str] = paths, ignored: Sequence[str] = (), apart_seconds: float = 0.02,
) -> Verdict:
    """So many requests to these versions, in the order of `roles`; what comes of it."""
    *_, (_, verdict) = looked_at(
        versions, [count], seed=seed, roles=roles, path=path, ignored=ignored, apart_seconds=apart_seconds
    )
    return verdict


def looked_at(
    versions: Sequence[Version], counts: Sequence[int], *, seed: int = 1, roles: Sequence[str] = ROLES,
    path: Callable[[int], str] = paths, ignored: Sequence[str] = (), apart_seconds: float = 0.02,
) -> Iterator[tuple[int, Verdict]]:
    """The same, as one run that is looked at after so many requests, and so many more."""
    draw = random.Random(seed)
    now = [0.0]  # a slow machine must not leave bodies out
    comparison = new_comparison(roles, ignored, clock=lambda: now[0], processor_clock=lambda: 0.0)
    for number in range(counts[-1]):
        now[0] += apart_seconds
        each_record = record(number, path(number))
        for role in draw.sample(range(len(roles)), len(roles)):
            said = versions[role](number, draw)
            if "outcome" in said:
                comparison.ended(role, each_record, None, said["outcome"])
            else:
                comparison.ended(role, each_record, fill(comparison.new_answer(), **said))
        if number + 1 in counts:
            is_last = number + 1 == counts[-1]
            assert not is_last or comparison.budget.used_bytes == 0
            yield number + 1, Verdict(json.loads(json.dumps(comparison.report(final=is_last))))


def only(verdict: Verdict) -> CandidateVerdict:
    """Its only candidate."""
    [candidate] = verdict.candidates
    return candidate
