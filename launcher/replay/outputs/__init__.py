"""One file an output, each with its own queue: what one output can't take is never in another's way."""

from __future__ import annotations

from typing import Protocol

import trio

from launcher.replay.outcomes import Tally


class Output(Protocol):
    """Where copies go. Its tally holds each record from `offer` until it has an outcome."""

    tally: Tally

    def offer(self, record: bytes) -> None:
        """Takes a record, or ends it as `queue_full`. Never waits."""

    def has_room(self, nbytes: int) -> bool:
        """Whether a record of so many bytes would not end as `queue_full` now, or waiting would not help it."""

    def close(self) -> None:
        """No record follows."""

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Sends what is offered, and returns once it is closed and all is sent; cancelled, the rest is `unsent`.

        Records may be offered as soon as it has said that it is started.
        """

    def tick(self) -> None:
        """Called once a second, for what must not be forgotten in calm times."""

    @property
    def held_bytes(self) -> int:
        """What the records are charged that have no outcome yet."""
