"""One epoll set, hosted by one trio task; calls back for ready descriptors, a batch at a time.

An epoll descriptor is itself readable while any of its members is ready, so trio waits for that one descriptor and
the whole batch is then served in plain calls: one task switch a batch, none a socket. Registration is level-triggered
and stays until it is changed. A checkpoint comes after each millisecond of work, so that other tasks get their turn.
Where there is no epoll, `descriptor_set` has something slower in its place.

Descriptors are closed at the end of a batch: a number reused inside the batch would get the old one's events. A
descriptor that waits for nothing is unregistered, never masked to 0: epoll reports HUP and ERR unasked, for ever.
Whoever registers a callback handles its own failures; one that raises all the same is told and forgotten.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import trio

from launcher import descriptor_set
from launcher.descriptor_set import PEER_ENDS as PEER_ENDS
from launcher.descriptor_set import READABLE as READABLE
from launcher.descriptor_set import WRITABLE as WRITABLE
from launcher.log import log

_MAX_EVENTS = 256
_MAX_BATCH_SECONDS = 0.001


class Closable(Protocol):
    def close(self) -> object: ...


class Poller:
    """The set. Every method is a plain call and may be used from any task of the same trio run."""

    def __init__(self) -> None:
        self._set = members = descriptor_set.new_descriptor_set()
        self._register, self._modify, self._unregister = members.register, members.modify, members.unregister
        self._poll = members.poll  # bound once, like the others: these are called for every socket or batch
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._closing: list[Closable] = []
        self._ending: list[Callable[[], None]] = []
        self._first: Callable[[], bool] | None = None
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self._scope: trio.CancelScope | None = None
        self._in_batch = False

    def register(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Calls `callback(ready_events)` whenever `fd` is ready for one of `events`, or has failed."""
        self._callbacks[fd] = callback
        self._register(fd, events)

    def modify(self, fd: int, events: int) -> None:
        """Waits for other events than before on a registered descriptor."""
        self._modify(fd, events)

    def unregister(self, fd: int) -> None:
        """Forgets a registered descriptor; it gets no further call, not even in the running batch."""
        del self._callbacks[fd]
        self._unregister(fd)

    def replace(self, fd: int, callback: Callable[[int], None]) -> None:
        """Calls another callback from now on for a registered descriptor."""
        self._callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        """As `unregister`, for a registered descriptor that is handed to `close_later` next."""
        del self._callbacks[fd]
        self._set.forget(fd)

    def close_later(self, closable: Closable) -> None:
        """Closes an unregistered socket or file at the end of the running batch, or at once outside of one."""
        if self._in_batch:
            self._closing.append(closable)
        else:
            closable.close()

    def at_batch_end(self, call: Callable[[], None]) -> None:
        """Calls once, when all that is ready now has been served."""
        if self._in_batch:
            self._ending.append(call)
        else:
            self.call_later(0, call)

    @contextmanager
    def first(self, call: Callable[[], bool]) -> Iterator[None]:
        """While the block runs, calls when descriptors are ready and before any of them is served.

        A call that returns True has changed what is registered: descriptors are asked anew, for the number of one that
        it closed may be another's by now. Blocks must not overlap.
        """
        assert self._first is None, "one call at a time comes first"
        self._first = call
        try:
            yield
        finally:
            self._first = None

    def call_later(self, delay_seconds: float, call: Callable[[], None]) -> None:
        """Calls once, `delay_seconds` from now or a little later."""
        deadline = trio.current_time() + delay_seconds
        heapq.heappush(self._timers, (deadline, next(self._serial), call))
        if self._scope is not None and deadline < self._scope.deadline:
            self._scope.deadline = deadline

    async def run(self) -> None:
        """Serves until cancelled."""
        try:
            while True:
                await self._wait()
                self._serve()
        finally:
            self._set.close()

    async def _wait(self) -> None:
        deadline = self._timers[0][0] if self._timers else float("inf")
        with trio.CancelScope(deadline=deadline) as self._scope:
            await self._set.wait()
        self._scope = None

    def _serve(self) -> None:
        stop_at = time.perf_counter() + _MAX_BATCH_SECONDS
        while True:
            events = self._poll(0, _MAX_EVENTS)
            if events and self._first is not None and self._call_first(self._first):
                events = self._poll(0, _MAX_EVENTS)
            self._in_batch = True
            callbacks = self._callbacks
            for fd, ready in events:
                callback = callbacks.get(fd)
                if callback is not None:  # None: unregistered earlier in this batch
                    try:
                        callback(ready)
                    except Exception as error:  # noqa: BLE001 - the last wall: everything else lives on
                        self._forget_failed(fd, error)
            if self._timers:
                self._call_due_timers()
            self._end_batch()
            if not events or time.perf_counter() > stop_at:
                return

    def _call_first(self, call: Callable[[], bool]) -> bool:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - the last wall: everything else lives on
            log("poller-call-failed", level="error", error=repr(error))
            self._first = None
            return True  # it may have come half way

    def _call_due_timers(self) -> None:
        now = trio.current_time()
        while self._timers and self._timers[0][0] <= now:
            _call_walled(heapq.heappop(self._timers)[2])

    def _end_batch(self) -> None:
        ending, self._ending = self._ending, []
        for call in ending:
            _call_walled(call)
        self._in_batch = False
        closing, self._closing = self._closing, []
        for closable in closing:
            closable.close()

    def _forget_failed(self, fd: int, error: Exception) -> None:
        log("poller-callback-failed", level="error", error=repr(error))
        if fd in self._callbacks:  # level-triggered, it would fail again at once
            self.unregister(fd)


def _call_walled(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - the last wall: everything else lives on
        log("poller-call-failed", level="error", error=repr(error))
