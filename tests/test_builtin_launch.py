"""Starting the built-in replayer: what a start that fails leaves behind."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from launcher.builtin_launch import BuiltinLaunch, ReplayAccount
from launcher.executable import CannotStart
from launcher.gor.flags import GorOption


def launch(*values: str) -> BuiltinLaunch:
    options = tuple(GorOption("http-set-header", value, "***", "test") for value in values)
    return BuiltinLaunch(options, dict(os.environ), 1024**2, 0, ReplayAccount(lambda failed: None))


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """As if the process had used up all its descriptors but `count`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    first_free = os.dup(0)
    os.close(first_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_settings_that_no_pipe_holds_are_refused_before_a_process_is_started():
    before = open_descriptors()
    async with trio.open_nursery() as readers:
        with pytest.raises(CannotStart, match="longer than 64 KiB"):
            await launch("X-A: " + "a" * 70_000).start(readers)
        assert not readers.child_tasks
    assert open_descriptors() == before


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
async def test_without_descriptors_a_start_fails_as_one_that_may_be_tried_again(count):
    before = open_descriptors()
    async with trio.open_nursery() as readers:
        with descriptors_left(count), pytest.raises(CannotStart, match="Too many open files"):
            await launch().start(readers)
    assert open_descriptors() == before
