"""Whether the outputs can take another record: for inputs that can wait for it, as a file can and a client can not.

An output that is full is waited for as long as it gets on: a slow one slows the others down, and nothing is lost. One
that is full and has had no answer, or written nothing, for `patience_seconds` has stopped: it is no longer waited for,
its copies end as `queue_full`, and the others go on, until it gets on again. A middleware is waited for likewise,
and outputs keep room for what it still holds; what is inside the program nobody knows.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from launcher.replay.middleware import Middleware
from launcher.replay.outcomes import STATUS_CLASSES
from launcher.replay.outputs import Output

PATIENCE_SECONDS = 30.0  # beyond the time that one exchange may take
_LOOK_SECONDS = 0.005
# What --http-set-header and others may add to a record on its way to the outputs; they have at least a megabyte.
_ADDED_BYTES = 16 * 1024
_IN_MIDDLEWARE_BYTES = 256 * 1024  # in its pipes and itself
_GOT_ON = ("written", *STATUS_CLASSES[1:])


class Room:
    """Of these outputs together, and of the middleware before them."""

    def __init__(
        self,
        outputs: Sequence[Output],
        patience_seconds: float = PATIENCE_SECONDS,
        middleware: Middleware | None = None,
    ) -> None:
        self._outputs = outputs
        self._middleware = middleware
        self._patience_seconds = patience_seconds
        self._stopped: dict[Output | Middleware, int] = {}  # with how far each had got

    def is_there(self, nbytes: int) -> bool:
        """Whether every output that gets on takes a record of so many bytes now."""
        return not self._full(nbytes)

    async def wait(self, nbytes: int) -> None:
        """Until it is so. A checkpoint if it is not so already."""
        seen: dict[Output | Middleware, tuple[int, float]] = {}  # how far each was, and since when
        while full := self._full(nbytes):
            now = trio.current_time()
            for output in full:
                got_on = _got_on(output)
                if output not in seen or seen[output][0] != got_on:
                    seen[output] = (got_on, now)
                elif now - seen[output][1] >= self._patience_seconds:
                    self._stopped[output] = got_on
            await trio.sleep(_LOOK_SECONDS)

    def _full(self, nbytes: int) -> list[Output | Middleware]:
        """Those to wait for."""
        for output, got_on in list(self._stopped.items()):
            if _got_on(output) != got_on:
                del self._stopped[output]
        wanted = nbytes + _ADDED_BYTES
        full: list[Output | Middleware] = []
        if self._middleware is not None:
            if self._middleware not in self._stopped and not self._middleware.has_room(nbytes):
                full.append(self._middleware)
            wanted += self._middleware.held_bytes + _IN_MIDDLEWARE_BYTES
        full += [each for each in self._outputs if each not in self._stopped and not each.has_room(wanted)]
        return full


def _got_on(output: Output | Middleware) -> int:
    if isinstance(output, Middleware):
        return output.got_on
    return sum(output.tally.outcomes[outcome] for outcome in _GOT_ON)
