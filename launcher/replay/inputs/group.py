"""All inputs of a replayer that runs by hand, beside each other: they end when the last one has, or on request."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from launcher.replay.failures import defect
from launcher.replay.inputs import Input, Receive
from launcher.replay_protocol import Closing

_GRACE_SECONDS = 2.0  # for inputs that were asked to stop; longer than each of them needs


class InputGroup:
    """A Source of several inputs."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self.inputs = inputs
        self.has_failed = False  # a defect has ended an input
        self._scope = trio.CancelScope()

    def open(self) -> None:
        """Opens them all. Raises InputError."""
        for each in self.inputs:
            each.open()

    async def read(self, receive: Receive) -> Closing:
        """Runs them all, until the last one ends."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                for each in self.inputs:
                    nursery.start_soon(self._run, each, receive)
        return Closing()

    async def _run(self, each: Input, receive: Receive) -> None:
        try:
            await each.run(receive)
        except Exception as error:  # noqa: BLE001 - trio's cancellation is no Exception; what is held is still sent
            each.tally.failures.add("failed", f"the input has ended: {defect(error)}")
            self.has_failed = True

    def stop(self) -> None:
        """Has all inputs end soon."""
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + _GRACE_SECONDS)
        for each in self.inputs:
            each.stop()
