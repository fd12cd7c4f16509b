"""Starts the built-in replayer and reads its account.

Its settings go down the pipe as the first frame, not into its argv, because they may hold credentials. Its account
comes back as JSON lines on a second pipe; totals of processes that have died are kept, so that a restart loses none.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import trio

from launcher import itself
from launcher.child import PIPE, start
from launcher.comparison.report import MAX_REPORT_BYTES
from launcher.counters import MiddlewareCounters, as_dict
from launcher.executable import CANNOT_EXECUTE, CannotStart
from launcher.feed import Feed
from launcher.gor.flags import GorOption
from launcher.log import log
from launcher.output_lines import read_lines
from launcher.records import frame
from launcher.replay_protocol import (
    COMPARED_START,
    Account,
    Closing,
    Compared,
    ComparisonSettings,
    DestinationNews,
    MiddlewareAccount,
    OutputAccount,
    Ready,
    ReplaySettings,
    decode_line,
)
from launcher.replayers import Replayer, Running
from launcher.splicing import set_pipe_size

_OVERHEAD_BYTES = 48 * 1024**2  # of the process itself: 30 MB and some connections
_SHARE_OF_QUEUES = 0.5  # of the rest: Python's objects around the records, and what is being sent
_LEAST_QUEUE_BYTES = 1024**2
# Ignores from its birth what the replayer ignores: its Python takes 0.2 s to say so, and the platform may be quicker.
_DEAF = ("/bin/sh", "-c", "trap '' TERM INT HUP; exec \"$@\"", "replayer")
_LONGEST_ACCOUNT_LINE_BYTES = MAX_REPORT_BYTES + 1024
_LAST_ACCOUNT_SECONDS = 0.2  # of the end's time, for the final account and the exit


def queue_bytes(memory_bytes: int, queues: int) -> int:
    """What each output of a replayer, and its middleware, may hold so that the process stays below `memory_bytes`."""
    spare = (memory_bytes - _OVERHEAD_BYTES) * _SHARE_OF_QUEUES
    return max(int(spare) // max(queues, 1), _LEAST_QUEUE_BYTES)


@dataclass(frozen=True)
class BuiltinLaunch:
    """What every process of the built-in replayer is started with; `account` outlives them all."""

    options: Sequence[GorOption]
    environ: Mapping[str, str]
    queue_bytes: int
    stats_interval: float
    account: ReplayAccount
    comparison: ComparisonSettings | None = None

    final_statuses = frozenset({0, 2})  # 2: it refuses its options, and will again

    async def start(self, readers: trio.Nursery) -> Running:
        """Starts a process. Raises CannotStart."""
        with ExitStack() as childs_ends, ExitStack() as our_ends:
            records_out, records_in = _pipe(childs_ends, our_ends)
            account_out, account_in = _pipe(our_ends, childs_ends)
            os.set_blocking(records_in, False)
            _write_first(records_in, frame(self._settings().encode()))
            set_pipe_size(records_in)  # a larger one is full, and then waited for, less often
            child = await start(
                [*_DEAF, *itself.command(), "--replay", "--launcher-pipe", str(account_in)],
                self.environ, stdin=records_out, stderr=PIPE, pass_fds=[account_in], stands_back=True,
            )  # fmt: skip
            our_ends.pop_all()
        assert child.stderr is not None
        readers.start_soon(self._pass_on, child.stderr)
        readers.start_soon(self._read_account, trio.lowlevel.FdStream(account_out))

        async def opens() -> int:
            return records_in  # it is a plain pipe, and reads in its time

        return Running(child, opens)

    async def finish(self, running: Running, feed: Feed, seconds: float) -> None:
        """Tells how long the process may still drain, and ends its pipe. Its end is the caller's to wait for."""
        feed.write_last(frame(b"") + frame(Closing(max(0.0, seconds - _LAST_ACCOUNT_SECONDS)).encode()))
        feed.close()

    def ended(self) -> None:
        self.account.process_ended()

    @property
    def splits_output(self) -> bool:
        """Whether each record goes to one of its outputs only."""
        return any(option.name == "split-output" and option.value == "true" for option in self.options)

    @property
    def has_middleware(self) -> bool:
        """Whether a program of the user's decides what the outputs get."""
        return any(option.name == "middleware" for option in self.options)

    def _settings(self) -> ReplaySettings:
        return ReplaySettings(
            options=tuple((option.name, option.value, option.shown) for option in self.options),
            queue_bytes=self.queue_bytes,
            stats_interval=self.stats_interval,
            comparison=self.comparison,
        )

    async def _pass_on(self, stream: trio.abc.ReceiveStream) -> None:
        async for line in read_lines(stream):
            if not log.pass_on(line):
                log("replayer-says", level="warning", line=line)

    async def _read_account(self, stream: trio.lowlevel.FdStream) -> None:
        async for line in read_lines(stream, longest_bytes=_LONGEST_ACCOUNT_LINE_BYTES):
            self.account.receive(line)


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """A new pipe's two ends, each closed with the stack that it belongs to. Raises CannotStart."""
    try:
        read_end, write_end = os.pipe()
    except OSError as error:
        raise CannotStart(CANNOT_EXECUTE, f"no pipe for the replayer: {error.strerror}") from None
    reader.callback(os.close, read_end)
    writer.callback(os.close, write_end)
    return read_end, write_end


def _write_first(fd: int, settings: bytes) -> None:
    """The pipe is new and empty: 64 KiB fit, and gor.options that are longer are nobody's."""
    if os.write(fd, settings) != len(settings):
        raise CannotStart(CANNOT_EXECUTE, "gor's options are longer than 64 KiB")


class ReplayAccount:
    """What the processes of one built-in replayer have said of their work, added up."""

    def __init__(self, tell: Callable[[DestinationNews], None]) -> None:
        self._tell = tell
        self._ended: dict[str, OutputAccount] = {}  # of processes that have ended, by destination
        self._current: dict[str, OutputAccount] = {}
        self._ended_middleware: MiddlewareAccount | None = None
        self._middleware: MiddlewareAccount | None = None
        self.compared_line = ""  # the newest report, of one process, unread: reading it takes milliseconds

    def receive(self, line: str) -> None:
        """One line of the account pipe."""
        if line.startswith(COMPARED_START):
            self.compared_line = line
            return
        try:
            told = decode_line(line.encode())
        except ValueError as error:
            log("account-unreadable", level="error", error=str(error))
            return
        if isinstance(told, Account):
            self._current = {output.destination: output for output in told.outputs}
            self._middleware = told.middleware
        elif not isinstance(told, Ready | Compared):
            self._tell(told)

    def compared(self) -> Mapping[str, Any] | None:
        """The newest report; None if there is none."""
        try:
            told = decode_line(self.compared_line.encode()) if self.compared_line else None
        except ValueError as error:
            log("account-unreadable", level="error", error=str(error))
            return None
        return told.report if isinstance(told, Compared) else None

    def process_ended(self) -> None:
        """What the process said last is kept. What it still held then has an unknown end."""
        self._ended = {output.destination: _settled(output) for output in self.outputs()}
        self._current = {}
        middleware = self.middleware()
        self._ended_middleware = middleware and _settled_middleware(middleware)
        self._middleware = None

    def middleware(self) -> MiddlewareAccount | None:
        """The middleware's totals, if there is one."""
        if self._middleware is None or self._ended_middleware is None:
            return self._middleware or self._ended_middleware
        return _sum_of_middlewares(self._ended_middleware, self._middleware)

    def outputs(self) -> list[OutputAccount]:
        """The totals by output, in the replayer's order."""
        return [
            _sum(self._ended[name], self._current[name]) if name in self._ended and name in self._current
            else self._current.get(name) or self._ended[name]
            for name in {**self._ended, **self._current}
        ]  # fmt: skip


def accounts(replayers: Iterable[Replayer]) -> Iterator[tuple[Replayer, ReplayAccount]]:
    """Of each built-in replayer among them, what it has told."""
    for replayer in replayers:
        if isinstance(replayer.launch, BuiltinLaunch):
            yield replayer, replayer.launch.account


def outputs(replayers: Iterable[Replayer]) -> Iterator[tuple[Replayer, OutputAccount]]:
    """Each output's account, and whose it is."""
    return ((replayer, output) for replayer, account in accounts(replayers) for output in account.outputs())


def middlewares(replayers: Iterable[Replayer]) -> Iterator[tuple[Replayer, MiddlewareAccount]]:
    """The account of each middleware that there is, and whose it is."""
    return (
        (replayer, middleware)
        for replayer, account in accounts(replayers)
        if (middleware := account.middleware()) is not None
    )


def _settled(output: OutputAccount) -> OutputAccount:
    unknown = output.received - sum(output.outcomes.values())
    outcomes = Counter(output.outcomes) + Counter(unknown=unknown)
    return replace(output, outcomes=dict(outcomes), held_bytes=0, is_paused=False)


def _sum(before: OutputAccount, now: OutputAccount) -> OutputAccount:
    return OutputAccount(
        destination=now.destination,
        received=before.received + now.received,
        outcomes=dict(Counter(before.outcomes) + Counter(now.outcomes)),
        held_bytes=now.held_bytes,
        retries=before.retries + now.retries,
        responses=before.responses + now.responses,
        tracked=before.tracked + now.tracked,
        untracked=before.untracked + now.untracked,
        is_paused=now.is_paused,
        latencies=before.latencies + now.latencies,
    )


def _settled_middleware(middleware: MiddlewareAccount) -> MiddlewareAccount:
    counters = middleware.counters
    return replace(middleware, counters=replace(counters, lost=counters.lost + counters.imbalance()), waiting=0)


def _sum_of_middlewares(before: MiddlewareAccount, now: MiddlewareAccount) -> MiddlewareAccount:
    counted = Counter(as_dict(before.counters))
    counted.update(as_dict(now.counters))
    return replace(now, counters=MiddlewareCounters(**counted), restarts=before.restarts + now.restarts)
