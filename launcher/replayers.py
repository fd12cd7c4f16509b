"""One replayer process and its feed: started, watched, restarted with back-off when it dies, ended at the end.

Nothing here is ever in the app's way: a replayer that can't be started leaves its queue to fill, and what the queue
doesn't hold is counted. What kind of replayer it is (gor, or the built-in one) is the business of its `Launch`.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import trio

from launcher import memory
from launcher.child import Child
from launcher.executable import CannotStart
from launcher.feed import Feed
from launcher.log import log
from launcher.options import rough_size

_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 30.0
_HEALTHY_SECONDS = 60.0  # a process that read as long starts the back-off anew
_MEMORY_CHECK_SECONDS = 0.25  # 20 µs a process and 10 µs a thread
_POLL_SECONDS = 0.01
_KILLED_SECONDS = 0.5  # a process that the kernel can't end must not hold back the launcher's exit
_LAST_WORDS_SECONDS = 1.0  # for what a process that has ended wrote before


@dataclass(frozen=True)
class Running:
    """A replayer process that has been started."""

    child: Child
    opens: Callable[[], Awaitable[int]]  # waits until it reads; its pipe's non-blocking write end. Raises CannotStart


class Launch(Protocol):
    """How to start one kind of replayer, and how to end it well."""

    @property
    def final_statuses(self) -> frozenset[int]:
        """Exit statuses after which another process would be of no use."""

    async def start(self, readers: trio.Nursery) -> Running:
        """Starts a new process, which stands back for the app, and may take its time until it reads. Raises
        CannotStart. Tasks that read its output go into the nursery."""

    async def finish(self, running: Running, feed: Feed, seconds: float) -> None:
        """All that was fed has been read: lets the process end its work, for at most `seconds`, and ends its pipe."""

    def ended(self) -> None:
        """The process is gone: what it said of its work is final."""


class Replayer:
    """One replayer process after the other, behind one queue."""

    def __init__(
        self,
        name: str,
        launch: Launch,
        feed: Feed,
        *,
        memory_bytes: int,
        may_restart: Callable[[], bool],
    ) -> None:
        self.name = name
        self.launch = launch
        self.feed = feed
        self.restarts = 0
        self.memory_bytes = memory_bytes  # the bound of its process
        self._may_restart = may_restart
        self._running: Running | None = None
        self._reads_since: float | None = None  # None before it does
        self._finishing = trio.Event()
        self._has_ended = trio.Event()

    @property
    def pid(self) -> int | None:
        """Of the process that runs now; it leads the group of all that belong to it."""
        return self._running.child.pid if self._running is not None else None

    @property
    def state(self) -> str:
        """`running`; `waiting` for its first or its next process to read; `ended`, and no other will come."""
        if self._has_ended.is_set():
            return "ended"
        return "running" if self._running is not None and self._reads_since is not None else "waiting"

    async def run(self) -> None:
        """Keeps a process running until none may be started any more."""
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            status = await self._run_once()
            if self._finishing.is_set():
                break
            if status in self.launch.final_statuses or not self._may_restart():
                log(
                    "replayer-ended", level="warning", replayer=self.name, status=status, mirroring="off",
                    held="unknown: what it had taken and not yet sent is gone",
                )  # fmt: skip
                break
            if self._reads_since is not None and trio.current_time() - self._reads_since > _HEALTHY_SECONDS:
                backoff = _FIRST_BACKOFF_SECONDS
            self.restarts += 1
            log(
                "replayer-restart", level="warning", replayer=self.name, status=status,
                attempt=self.restarts, in_seconds=backoff,
            )  # fmt: skip
            with trio.move_on_after(backoff):
                await self._finishing.wait()
                break
            backoff = min(backoff * 2, _LONGEST_BACKOFF_SECONDS)
        self.give_up()

    def give_up(self) -> None:
        """No process will come any more: what waits, and what is offered from now on, is `dropped_shutdown`."""
        self.feed.queue.shut()
        self._has_ended.set()

    async def finish(self, seconds: float) -> None:
        """The end: hands over what waits, lets the process end its work, ends it. At most `seconds` for all of it.
        A process that does not read yet is ended at once."""
        self._finishing.set()
        deadline = trio.current_time() + seconds
        running = self._running
        if running is not None and self._reads_since is not None:
            with trio.CancelScope(deadline=deadline):
                while running.child.is_running and not self._has_all():
                    await trio.sleep(_POLL_SECONDS)
                if running.child.is_running:
                    await self.launch.finish(running, self.feed, deadline - trio.current_time())
                await self._has_ended.wait()
        self.feed.queue.shut()
        self.feed.close()
        if running is not None:
            running.child.send_signal_to_group(signal.SIGKILL)
            with trio.move_on_after(_KILLED_SECONDS):
                await self._has_ended.wait()

    def _has_all(self) -> bool:
        return self.feed.is_drained and self.feed.unread_bytes() == 0

    async def _run_once(self) -> int:
        """Starts one process and waits for its end. The exit status."""
        self._reads_since = None
        async with trio.open_nursery() as readers:
            try:
                running = await self.launch.start(readers)
            except CannotStart as error:
                log("replayer-start-failed", level="error", replayer=self.name, error=str(error))
                readers.cancel_scope.cancel()
                return error.status
            if self._finishing.is_set():  # the end came in between, when there was no process to end
                running.child.send_signal_to_group(signal.SIGKILL)
            status = await self._watch(running)
            readers.cancel_scope.deadline = trio.current_time() + _LAST_WORDS_SECONDS
        self.launch.ended()
        return status

    async def _watch(self, running: Running) -> int:
        child = running.child
        self._running = running
        try:
            async with trio.open_nursery() as watchers:
                watchers.start_soon(child.stand_back_wholly)
                watchers.start_soon(self._watch_memory, child)
                if await self._is_opened(running):
                    watchers.start_soon(self._kill_without_reader, child)
                else:
                    child.send_signal_to_group(signal.SIGKILL)
                status = await child.wait()
                watchers.cancel_scope.cancel()
            return status
        finally:
            self.feed.close()
            child.send_signal_to_group(signal.SIGKILL)
            self._running = None

    async def _is_opened(self, running: Running) -> bool:
        """Opens the feed once the process reads; False, and told, if it won't."""
        try:
            self.feed.open(await running.opens())
        except CannotStart as error:
            if not self._finishing.is_set():
                log("replayer-start-failed", level="error", replayer=self.name, error=str(error))
            return False
        self._reads_since = trio.current_time()
        return True

    async def _kill_without_reader(self, child: Child) -> None:
        """A pipe without a reader is the end of a replayer, whatever its process still does."""
        await self.feed.broken.wait()
        child.send_signal_to_group(signal.SIGKILL)

    async def _watch_memory(self, child: Child) -> None:
        while True:
            await trio.sleep(_MEMORY_CHECK_SECONDS)
            resident = memory.tree_resident_bytes(child.pid)  # with gor's helper, and with middlewares
            if resident > self.memory_bytes:
                log(
                    "replayer-memory", level="warning", replayer=self.name,
                    resident=rough_size(resident), bound=rough_size(self.memory_bytes),
                )  # fmt: skip
                child.send_signal_to_group(signal.SIGKILL)
                return
