"""The descriptors that the poller waits for, as one level-triggered set: epoll, or poll(2) where there is no epoll.

Both speak of readiness in the same numbers, and tell of a descriptor's end (ERR, HUP) unasked; of one that waits for
nothing else, not every system's poll(2) does. The set of a `Poller` is made by `new_descriptor_set`.
"""

from __future__ import annotations

import os
import select
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import trio

READABLE = select.POLLIN  # the same numbers as EPOLLIN and EPOLLOUT
WRITABLE = select.POLLOUT
PEER_ENDS = getattr(select, "POLLRDHUP", 0)  # as EPOLLRDHUP; Linux only: elsewhere the end shows when it is read


class DescriptorSet(Protocol):
    """What both are. The methods of an epoll object are taken as they are: nothing stands between."""

    @property
    def register(self) -> Callable[[int, int], object]: ...
    @property
    def modify(self) -> Callable[[int, int], object]: ...
    @property
    def unregister(self) -> Callable[[int], object]: ...
    @property
    def forget(self) -> Callable[[int], object]:
        """As `unregister`, for a descriptor that is closed next."""

    @property
    def poll(self) -> Callable[[float, int], list[tuple[int, int]]]:
        """`poll(0, max_events)`: descriptors that are ready now, with what they are ready for. It does not wait."""

    @property
    def wait(self) -> Callable[[], Awaitable[object]]:
        """Waits until one may be ready, or the set has changed."""

    @property
    def close(self) -> Callable[[], object]: ...


class EpollSet:
    """epoll(7): its descriptor is itself readable while any of its members is ready.

    A closed descriptor leaves the set by itself, once no child that is just being started holds it any more; until
    then its events come to nobody, or to a new one of that number, which finds nothing to read.
    """

    def __init__(self) -> None:
        epoll = select.epoll()
        self.register = epoll.register
        self.modify = epoll.modify
        self.unregister = epoll.unregister
        self.poll = epoll.poll
        self.wait = partial(trio.lowlevel.wait_readable, epoll.fileno())
        self.close = epoll.close

    def forget(self, fd: int) -> None:
        """Costs no system call."""


class PollSet:
    """poll(2). It has no descriptor to wait for, so a thread waits in it; a change of the set, or a cancellation, wakes
    that thread by a pipe. A wait costs a switch of threads, and time in proportion to the set: fit for a workstation.
    """

    def __init__(self) -> None:
        self._set = select.poll()
        self._woken, self._waker = os.pipe()
        for fd in (self._woken, self._waker):
            os.set_blocking(fd, False)
        self._set.register(self._woken, READABLE)
        self._thread = trio.CapacityLimiter(1)  # of its own: what else uses threads must not hold the relay up
        self._is_waiting = False

    def register(self, fd: int, events: int) -> None:
        self._set.register(fd, events)
        self._wake()

    def modify(self, fd: int, events: int) -> None:
        self._set.modify(fd, events)
        self._wake()

    def unregister(self, fd: int) -> None:
        self._set.unregister(fd)
        self._wake()

    def forget(self, fd: int) -> None:
        self.unregister(fd)

    def poll(self, _timeout: float, _max_events: int) -> list[tuple[int, int]]:
        """All that are ready: the first `max_events` in poll's fixed order would leave the others waiting for ever."""
        return [(fd, ready) for fd, ready in self._set.poll(0) if fd != self._woken]

    async def wait(self) -> None:
        async with trio.open_nursery() as nursery:
            self._is_waiting = True
            nursery.start_soon(self._wake_when_cancelled)
            await trio.to_thread.run_sync(self._set.poll, limiter=self._thread)
            self._is_waiting = False
            nursery.cancel_scope.cancel()
        try:
            while os.read(self._woken, 4096):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        os.close(self._woken)
        os.close(self._waker)

    async def _wake_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._wake()

    def _wake(self) -> None:
        """The thread, if it waits, which it does in the set as it was."""
        if self._is_waiting:
            try:
                os.write(self._waker, b"\0")
            except BlockingIOError:
                return  # it has been told often enough


new_descriptor_set: Callable[[], DescriptorSet] = EpollSet if hasattr(select, "epoll") else PollSet
