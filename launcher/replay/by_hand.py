"""The replayer run by hand: inputs of its own, signals, and the end.

SIGTERM, SIGINT and SIGHUP stop the inputs; what is held then has 25 s to be sent. A second SIGINT ends it at once.
"""

from __future__ import annotations

import resource
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from launcher.gor.flags import FLAGS, GorOption, Kind
from launcher.gor.values import boolean, duration, integer
from launcher.log import log
from launcher.replay.inputs import Input
from launcher.replay.inputs.file import FileInput, new_file_inputs
from launcher.replay.inputs.group import InputGroup
from launcher.replay.inputs.http import new_http_input
from launcher.replay.inputs.tcp import new_tcp_input
from launcher.replay.middleware import check_program
from launcher.replay.pipeline import Pipeline
from launcher.replay.report import LogReport
from launcher.replay.room import Room
from launcher.replay.settings import understand
from launcher.replay_protocol import ComparisonSettings, ReplaySettings

if TYPE_CHECKING:
    from launcher.comparison.checks import Check

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
INTERRUPTED = 128 + signal.SIGINT
_GOR_STATS_SECONDS = 5.0  # gor's default of --output-http-stats-ms

# One row an input: (its values, the options that can't be repeated, by name, the outputs' room) -> the inputs.
INPUTS: Mapping[str, Callable[[Sequence[str], Mapping[str, str], Room], Sequence[Input]]] = {
    "input-tcp": lambda values, single, _: [new_tcp_input(value, single) for value in values],
    "input-file": new_file_inputs,
    "input-http": lambda values, single, _: [new_http_input(value, single) for value in values],
}


@dataclass(frozen=True, kw_only=True)
class HandSettings:
    """What the words after --replay say."""

    options: Sequence[GorOption]
    queue_bytes: int  # of each output
    comparison: ComparisonSettings | None = None
    report_file: str = ""
    checks: Sequence[Check] = ()
    stats_interval: float | None  # seconds, 0 for none; None: what gor's options say, else a minute


async def run_by_hand(told: HandSettings) -> int:
    """Replays until the inputs end or a signal comes. The exit status. Raises ConfigurationError and InputError."""
    _raise_descriptor_limit()
    single = {option.name: option.value for option in told.options if FLAGS[option.name].kind is not Kind.MULTI}
    settings = understand(
        ReplaySettings(
            options=tuple(
                (option.name, option.value, option.shown) for option in told.options if option.name not in INPUTS
            ),
            queue_bytes=told.queue_bytes,
            stats_interval=_stats_interval(single) if told.stats_interval is None else told.stats_interval,
            comparison=told.comparison,
        )
    )
    check_program(settings.middleware)
    inputs: list[Input] = []
    report = LogReport(inputs)
    pipeline = Pipeline(settings, report)
    values: dict[str, list[str]] = {}
    for each in told.options:
        if each.name in INPUTS:
            values.setdefault(each.name, []).append(each.value)
    for name, given in values.items():
        inputs += INPUTS[name](given, single, pipeline.room)
    for each_input in inputs:
        if isinstance(each_input, FileInput):
            each_input.take_recorded = pipeline.take_recorded
    group = InputGroup(inputs)
    group.open()
    run = _Run(group, pipeline)
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.heed, signals)
            if exit_after := duration(single.get("exit-after", "0")):
                nursery.start_soon(run.end_after, exit_after)
            await pipeline.run(group)
            nursery.cancel_scope.cancel()
    if report.compared is not None:
        run.status = _end_comparison(report.compared, told) or run.status
    return run.status or int(group.has_failed)


def _end_comparison(report: Mapping[str, Any], told: HandSettings) -> int:
    """Says and writes what was found. 1 if a check does not hold, or if the report can't be written."""
    from launcher.compared import tell_compared, write_report

    is_good = tell_compared(report, told.checks)
    is_written = not told.report_file or write_report(told.report_file, report)
    return 0 if is_good and is_written else 1


class _Run:
    """One run, and what may end it."""

    def __init__(self, group: InputGroup, pipeline: Pipeline) -> None:
        self._group = group
        self._pipeline = pipeline
        self.status = 0

    async def heed(self, signals: AsyncIterator[int]) -> None:
        """Acts on signals."""
        interrupts = 0
        async for number in signals:
            interrupts += number == signal.SIGINT
            log("signal", signal=signal.Signals(number).name, then="drain" if interrupts < 2 else "end")
            if interrupts < 2:
                self._group.stop()
            else:
                self.status = INTERRUPTED
                self._pipeline.end_at_once()

    async def end_after(self, seconds: float) -> None:
        """gor's --exit-after."""
        await trio.sleep(seconds)
        log("exit-after", seconds=seconds)
        self._group.stop()


def _stats_interval(single: Mapping[str, str]) -> float:
    """gor's --output-http-stats asks for a line every --output-http-stats-ms; ours come every minute without it."""
    if not boolean(single.get("output-http-stats", "false")):
        return 60.0
    milliseconds = integer(single.get("output-http-stats-ms", "0"))
    return milliseconds / 1000 if milliseconds else _GOR_STATS_SECONDS


def _raise_descriptor_limit() -> None:
    """A thousand clients and fifty connections a destination are more than the usual soft limit of 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
