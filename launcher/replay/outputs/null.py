"""`--output-null`: throws everything away, counted."""

from __future__ import annotations

import trio

from launcher.replay.outcomes import Tally


class NullOutput:
    """An Output that holds nothing."""

    held_bytes = 0

    def __init__(self) -> None:
        self.tally = Tally("null")
        self._closed = trio.Event()

    def offer(self, record: bytes) -> None:
        self.tally.received += 1
        self.tally.count("written", "", record)

    def has_room(self, nbytes: int) -> bool:
        return True

    def close(self) -> None:
        self._closed.set()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await self._closed.wait()

    def tick(self) -> None:
        pass
