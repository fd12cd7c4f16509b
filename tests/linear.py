"""What hostile bytes may cost: time in proportion to their number, by ratio, since the machine may be slow; memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

TIMES = 16
_SLACK = 4  # linear: TIMES; quadratic: TIMES squared
_LEAST_SECONDS = 0.0005  # what takes less at first can't be measured, and is no stall sixteen-fold

Data = TypeVar("Data")


def assert_linear(make: Callable[[int], Data], work: Callable[[Data], object], nbytes: int) -> None:
    """Fails if `work` needs far more than sixteen times as long for `make(nbytes)` as for a sixteenth of it."""

    def seconds(size: int) -> float:
        data = make(size)
        begun = time.process_time()
        work(data)
        return time.process_time() - begun

    small = min(seconds(nbytes // TIMES) for _ in range(3))
    bound = TIMES * _SLACK * max(small, _LEAST_SECONDS)
    took = [seconds(nbytes)]
    while bound < min(took) < 3 * bound and len(took) < 3:  # others may have been in the way
        took.append(seconds(nbytes))
    assert min(took) <= bound, f"{nbytes} bytes take {min(took):.3f} s, a sixteenth of them {small:.4f} s"


@contextmanager
def traced_memory() -> Iterator[Callable[[], tuple[int, int]]]:
    """Tells how many bytes Python's objects take that were made since, now and at the most."""
    tracemalloc.start()
    try:
        yield tracemalloc.get_traced_memory
    finally:
        tracemalloc.stop()
