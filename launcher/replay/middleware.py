"""`--middleware 'PROGRAM ARG...'`: the user's program between the inputs and the outputs, in gor's protocol.

It gets each record as one line of hex, and the lines that it prints, in the same form, are all that the outputs get.
`give` never waits: records wait for the program in a queue bounded in bytes, and what does not fit is counted. A
program that neither reads nor prints costs its own copies only. gor stays deaf for ever when its middleware ends;
here it is started again with back-off, and what it had not read by then is `lost`.

SIGTERM, SIGINT and SIGHUP are ignored for it from its birth: a platform sends them to every process at once, and what
is held is to go through it all the same. It ends by the end of its input. It stays in the replayer's process group, so
that whoever kills that reaches it, too. Its arguments may hold secrets: lines name its first word only.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace

import trio

from launcher import child
from launcher.counters import MiddlewareCounters
from launcher.executable import CANNOT_EXECUTE, CannotStart, find_executable
from launcher.feed import Feed, hex_lines
from launcher.log import log
from launcher.mirror_queue import Budget, MirrorQueue
from launcher.options import ConfigurationError
from launcher.output_lines import read_lines
from launcher.poller import Poller
from launcher.replay.failures import Failures, defect
from launcher.replay.hex_lines import HexLines, Malformed
from launcher.replay_protocol import MiddlewareAccount

_DEAF = ("/bin/sh", "-c", "trap '' TERM INT HUP; exec \"$@\"", "middleware")
_RECEIVE_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 500  # of a line of its standard error
_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 30.0
_HEALTHY_SECONDS = 60.0  # a process that lived as long starts the back-off anew
_POLL_SECONDS = 0.01
_LAST_WORDS_SECONDS = 1.0  # between the end of its input, its output or itself, and the end of all three
_KILLED_SECONDS = 0.5  # for a process that the kernel can't end


def check_program(words: Sequence[str], environ: Mapping[str, str] = os.environ) -> None:
    """Raises ConfigurationError if there is no such program; without words there is nothing to check."""
    if not words:
        return
    try:
        find_executable(words[:1], environ)
    except CannotStart as error:
        raise ConfigurationError(f"--middleware can't be started: {error}") from None


class Middleware:
    """One process after the other, behind one queue. What they print goes to `emit`, a record a call."""

    def __init__(self, words: Sequence[str], poller: Poller, max_bytes: int, emit: Callable[[bytes], None]) -> None:
        """`max_bytes` bounds what waits; a line of the program's output may have twice as many."""
        self._words = words
        self._emit = emit
        self._max_line_bytes = 2 * max_bytes
        self._counters = MiddlewareCounters()
        self._queue = MirrorQueue(Budget(max_bytes), max_bytes, self._counters)
        self._feed = Feed(poller, self._queue, hex_lines)
        self._restarts = 0
        self._failures = Failures()
        self._deadline = math.inf  # of all
        self._is_ending = trio.Event()
        self._has_ended = trio.Event()

    def give(self, record: bytes) -> None:
        """Takes one record, or counts why not. Never waits."""
        self._queue.offer(record)

    def has_room(self, nbytes: int) -> bool:
        """Whether a record of so many bytes fits into half of the queue: for inputs that can wait."""
        held = self.held_bytes
        return not held or held + nbytes <= self._queue.statistics().share_bytes // 2

    @property
    def held_bytes(self) -> int:
        """Of records that wait for the program."""
        return self._queue.statistics().charged_bytes

    @property
    def got_on(self) -> int:
        """How many records the program has read."""
        self._feed.update_counters()
        return self._counters.taken

    @property
    def has_read_all(self) -> bool:
        """Nothing that it was given is waiting or in its pipe; while it is started anew, False."""
        return self._feed.is_drained and self._feed.unread_bytes() == 0

    def account(self) -> MiddlewareAccount:
        """The totals of this moment."""
        self._feed.update_counters()
        return MiddlewareAccount(
            program=self._words[0],
            counters=replace(self._counters),
            waiting=self._queue.statistics().records,
            restarts=self._restarts,
        )

    def tell_failures(self, *, sums_up: bool = False) -> None:
        """Says what was wrong with its lines: once for each kind, and then in sums."""
        if sums_up:
            self._failures.sum_up()
        for _, error, times in self._failures.take_news():
            log("middleware-malformed", level="warning", program=self._words[0], lines=times, error=error)

    async def run(self) -> None:
        """Keeps a process running until `finish`. Cancelled, it counts what waits as `dropped_shutdown`."""
        backoff = _FIRST_BACKOFF_SECONDS
        try:
            while True:
                started_at = trio.current_time()
                status = await self._run_once()
                if self._is_ending.is_set():
                    break
                if trio.current_time() - started_at > _HEALTHY_SECONDS:
                    backoff = _FIRST_BACKOFF_SECONDS
                self._restarts += 1
                log(
                    "middleware-restart", level="warning", program=self._words[0], status=status,
                    attempt=self._restarts, in_seconds=backoff,
                )  # fmt: skip
                with trio.move_on_after(backoff):
                    await self._is_ending.wait()
                    break
                backoff = min(backoff * 2, _LONGEST_BACKOFF_SECONDS)
        finally:
            self._queue.shut()
            self._has_ended.set()

    async def finish(self, seconds: float) -> None:
        """No record will be given: lets it read what waits, ends its input, and waits for its last lines."""
        self._deadline = trio.current_time() + seconds
        self._is_ending.set()
        await self._has_ended.wait()

    async def _run_once(self) -> int:
        """Starts a process and waits for its end. The exit status."""
        with ExitStack() as ours:
            try:
                process, stdin, stdout = await self._start(ours)
            except CannotStart as error:
                log("middleware-start-failed", level="error", program=self._words[0], error=str(error))
                return error.status
            self._feed.open(stdin)
            try:
                await self._watch(process, stdout)
            finally:
                with suppress(PermissionError):  # it has become another user's
                    process.send_signal(signal.SIGKILL)
                with trio.move_on_after(_KILLED_SECONDS, shield=True):
                    await process.wait()
                self._feed.close()
            return await process.wait()

    async def _start(self, ours: ExitStack) -> tuple[child.Child, int, trio.lowlevel.FdStream]:
        """The process, the feed's end of its input, and its output. Raises CannotStart."""
        find_executable(self._words[:1], os.environ)
        with ExitStack() as its_ends, ExitStack() as feeds_end:
            stdin_out, stdin_in = _pipe()
            its_ends.callback(os.close, stdin_out)
            feeds_end.callback(os.close, stdin_in)
            stdout_out, stdout_in = _pipe()
            its_ends.callback(os.close, stdout_in)
            stdout = trio.lowlevel.FdStream(stdout_out)
            ours.callback(stdout.close)
            os.set_blocking(stdin_in, False)
            process = await child.start(
                [*_DEAF, *self._words], os.environ,
                stdin=stdin_out, stdout=stdout_in, stderr=child.PIPE, has_own_session=False,
            )  # fmt: skip
            feeds_end.pop_all()
            return process, stdin_in, stdout

    async def _watch(self, process: child.Child, stdout: trio.lowlevel.FdStream) -> None:
        """Returns when the process has ended and all that it said was read, or when it is good for nothing more."""
        async with trio.open_nursery() as readers:
            scope = readers.cancel_scope

            def hurry() -> None:
                scope.deadline = min(scope.deadline, trio.current_time() + _LAST_WORDS_SECONDS)

            async def notice_exit() -> None:
                await process.wait()
                hurry()  # its children may hold the pipes open

            async def notice_deafness() -> None:
                await self._feed.broken.wait()
                hurry()

            assert process.stderr is not None
            readers.start_soon(self._pass_on, process.stderr)
            async with trio.open_nursery() as watchers:
                watchers.start_soon(notice_exit)
                watchers.start_soon(notice_deafness)
                watchers.start_soon(self._end_input, scope)
                await self._read(stdout)
                hurry()  # a process that prints nothing any more is of no use
                await process.wait()
                watchers.cancel_scope.cancel()
        if scope.cancelled_caught and process.is_running:
            log("middleware-killed", level="warning", program=self._words[0], because=self._why_killed())

    def _why_killed(self) -> str:
        if self._is_ending.is_set():
            return "it had not ended when its time was over"
        return "it had closed its input or its output"

    async def _end_input(self, scope: trio.CancelScope) -> None:
        await self._is_ending.wait()
        scope.deadline = min(scope.deadline, self._deadline)
        # Closed before it has read all, the pipe could not tell any more what it has read.
        while not self.has_read_all:
            await trio.sleep(_POLL_SECONDS)
        self._feed.close()

    async def _read(self, stdout: trio.lowlevel.FdStream) -> None:
        lines = HexLines(self._max_line_bytes)
        try:
            while data := await stdout.receive_some(_RECEIVE_BYTES):
                # Who cancels this also cancels the outputs: once they have ended, they must get no record.
                await trio.lowlevel.checkpoint_if_cancelled()
                self._take(lines.receive(data))
        finally:
            self._take(lines.receive_eof())  # never a record

    def _take(self, found: Sequence[bytes | Malformed]) -> None:
        for record in found:
            if isinstance(record, Malformed):
                self._count_malformed(record.error)
                continue
            try:
                self._emit(record)
            except Exception as error:  # noqa: BLE001 - one record's defect must not end the others
                self._count_malformed(defect(error))
            else:
                self._counters.returned += 1

    def _count_malformed(self, error: str) -> None:
        self._counters.malformed += 1
        self._failures.add("malformed", error)

    async def _pass_on(self, stderr: trio.abc.ReceiveStream) -> None:
        async for line in read_lines(stderr):
            log("middleware-says", line=log.masked(line)[:_SHOWN_CHARACTERS])  # half a secret would not be told


def _pipe() -> tuple[int, int]:
    try:
        return os.pipe()
    except OSError as error:
        raise CannotStart(CANNOT_EXECUTE, f"no pipe for the middleware: {error.strerror}") from None
