"""Two launchers beside each other, each before an app of its own: what a request costs the one and the other.

wrk loads one and then the other with keep-alive requests, in turns, so that what else happens on the machine meets
both; every start has its pairs. A cost is the processor time of the launcher's own process for one answered request,
in us. What counts is the median of the pairs' ratios. Needs wrk and nginx.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

from contestants import Contestant, Place, Running, needs, place
from loads import KEEP_ALIVE, load, processor_ns

SECONDS = 1  # a round: many short ones, for what else happens falls on whole rounds

Pair = tuple[float, float]
Beside = Callable[[Running, Running], AbstractContextManager[None]]


class Missing(Exception):
    """What the machine lacks, in words."""


def costs(
    one: Contestant, other: Contestant, *, starts: int, pairs: int,
    beside: Beside = lambda *_: nullcontext(),
) -> list[Pair]:  # fmt: skip
    """`starts` x `pairs` pairs; `beside` runs along with each start of both. Raises Missing."""
    lacking = [needs("wrk", "wrk")(), needs("nginx", "nginx-light")(), one.missing(), other.missing()]
    if any(lacking):
        raise Missing("; ".join(dict.fromkeys(text for text in lacking if text)))
    found: list[Pair] = []
    with tempfile.TemporaryDirectory() as name, place(Path(name), 1024, 1) as here:
        os.chmod(name, 0o755)  # for nginx's worker
        for start in range(starts):
            print(f"start {start + 1} of {starts}", file=sys.stderr)
            with ExitStack() as stack:
                order = (one, other) if start % 2 == 0 else (other, one)
                running = {each.name: stack.enter_context(each.start(here)) for each in order}  # type: ignore[arg-type]
                first, second = running[one.name], running[other.name]
                stack.enter_context(beside(first, second))
                found += _one_start(here, first, second, pairs)
    return found


def _one_start(here: Place, one: Running, other: Running, pairs: int) -> list[Pair]:
    for running in (one, other):
        load(here.folder, running.port, KEEP_ALIVE, 1)  # everybody's buffers, caches and connections
    found = []
    for number in range(pairs):
        order = (one, other) if number % 2 == 0 else (other, one)
        taken = {running.port: _cost(here, running) for running in order}
        found.append((taken[one.port], taken[other.port]))
    return found


def _cost(here: Place, running: Running) -> float:
    before = processor_ns(running.pids)
    answered = load(here.folder, running.port, KEEP_ALIVE, SECONDS)
    return (processor_ns(running.pids) - before) / 1e3 / answered.requests


def spread(pairs: Sequence[Pair]) -> float:
    """How far the rounds of the first lie apart, as a share of their median."""
    alone = sorted(first for first, _ in pairs)
    return (alone[-1] - alone[0]) / statistics.median(alone)


def report(pairs: Sequence[Pair], names: tuple[str, str], bound: float) -> bool:
    """Prints the figures. Whether the ratio keeps to its bound."""
    width = max(len(name) for name in names) + 1
    for at, name in enumerate(names):
        print(f"{f'{name}:':{width}}  {statistics.median(pair[at] for pair in pairs):.1f} us a request")
    print(f"spread between rounds of the first: {spread(pairs):.0%}")
    ratios = sorted(second / first for first, second in pairs)
    ratio = statistics.median(ratios)
    verdict = "holds" if ratio <= bound else "missed"
    print(
        f"ratio, median of {len(pairs)} pairs ({ratios[0]:.3f} to {ratios[-1]:.3f}): {ratio:.3f}, "
        f"goal: at most {bound:.3f}: {verdict}"
    )
    return ratio <= bound
