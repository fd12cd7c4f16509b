"""Measures by ratio, not by the clock, whether work takes time in proportion to its bytes: the machine may be slow."""

from __future__ import annotations

import time
from collections.abc import Callable
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
    while took[-1] > bound and len(took) < 3:  # others may have been in the way
        took.append(seconds(nbytes))
    assert min(took) <= bound, f"{nbytes} bytes take {min(took):.3f} s, a sixteenth of them {small:.4f} s"
