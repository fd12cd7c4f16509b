"""A replayer that runs by hand as a real process, and what it says on standard error."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.replay.harness import LONG_SECONDS, PROGRAM, ROOT


class ByHand:
    """A running replayer."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.said = ""

    async def until(self, pattern: str) -> re.Match[str]:
        """Reads standard error until it has said this."""
        assert self.process.stderr is not None
        while not (match := re.search(pattern, self.said)):
            data = await self.process.stderr.receive_some()
            assert data, f"it ended before it said {pattern!r}:\n{self.said}"
            self.said += data.decode()
        return match

    async def port(self) -> int:
        """Where its first input listens."""
        return int((await self.until(r"at=replaying level=info inputs=\"--input-\w+ \S*:(\d+)"))[1])

    async def end(self) -> int:
        """The exit status, when all that it says has been read."""
        assert self.process.stderr is not None
        async for data in self.process.stderr:
            self.said += data.decode()
        return await self.process.wait()

    def final(self, at: str, name: str) -> int:
        """A figure of the last summary's first line of that kind; 0 if it is not there."""
        line = next(line for line in self.said.splitlines() if f" at={at} " in line and line.endswith(" final=true"))
        match = re.search(rf" {name}=(\d+)", line)
        return int(match[1]) if match else 0


@asynccontextmanager
async def by_hand(*words: str) -> AsyncIterator[ByHand]:
    """A replayer with these words after --replay."""
    process = await trio.lowlevel.open_process(
        [*PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        cwd=ROOT, env=dict(os.environ),
    )  # fmt: skip
    try:
        with trio.fail_after(LONG_SECONDS):
            yield ByHand(process)
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        assert process.stderr is not None
        await trio.aclose_forcefully(process.stderr)
