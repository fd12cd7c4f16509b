"""An output behind a limit: what the limit leaves out is `received` by it, and ends as `limited`."""

from __future__ import annotations

import trio

from launcher.destinations import Limit
from launcher.replay.limiters import Limiter, make_limiter
from launcher.replay.outputs import Output


class LimitedOutput:
    """An Output."""

    def __init__(self, output: Output, limiter: Limiter) -> None:
        self.tally = output.tally
        self._output = output
        self._limiter = limiter

    def offer(self, record: bytes) -> None:
        if self._limiter.admits():
            self._output.offer(record)
        else:
            self.tally.received += 1
            self.tally.count("limited")

    def has_room(self, nbytes: int) -> bool:
        return self._output.has_room(nbytes)

    def close(self) -> None:
        self._output.close()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        await self._output.run(task_status=task_status)

    def tick(self) -> None:
        self._output.tick()

    @property
    def held_bytes(self) -> int:
        return self._output.held_bytes


def limited(output: Output, limit: Limit | None) -> Output:
    """The output, behind its limit if it has one."""
    return LimitedOutput(output, make_limiter(limit)) if limit else output
