"""What a replayer that runs by hand says on standard error: the launcher's own lines, made here.

Every interval, and at the end with `final=true`, a line for each input and each output. Failures are said at once, and
then summed up each interval. Standard error may be stuck: nobody waits for it (`log`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import trio

from launcher.account_lines import middleware_facts, non_zero, output_facts
from launcher.log import log
from launcher.news_lines import log_news
from launcher.records import request_of
from launcher.replay.inputs import Input, Receive
from launcher.replay.outcomes import FAILURES, Tally
from launcher.replay_protocol import Account, Compared, Ready, Told

_SHOWN_CHARACTERS = 200  # of a path, or of an identity that a stranger's record has


class LogReport:
    """A Report."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self._inputs = inputs
        self._account = Account(())
        self.compared: Mapping[str, Any] | None = None

    def tell(self, told: Told) -> None:
        if isinstance(told, Ready):
            shown = " ".join(each.tally.shown for each in self._inputs)
            log("replaying", inputs=shown, to=" ".join(told.outputs))
        elif isinstance(told, Compared):
            self.compared = told.report
        elif isinstance(told, Account):
            self._account = told
            if told.final:
                self._tell_failures()
                self._tell_lines(final=True)
        else:
            log_news(told)

    def flush(self) -> bool:
        self._tell_failures()
        return True

    def sum_up(self) -> None:
        for each in self._inputs:
            each.tally.failures.sum_up()
        self._tell_lines()

    async def finish(self, seconds: float) -> None:
        await trio.lowlevel.checkpoint()  # who closes the log waits for it

    def _tell_failures(self) -> None:
        for each in self._inputs:
            for kind, error, times in each.tally.failures.take_news():
                log("input-failed", level="warning", input=each.tally.shown, outcome=kind, times=times, error=error)

    def _tell_lines(self, *, final: bool | None = None) -> None:
        for each in self._inputs:
            log("input", input=each.tally.shown, **non_zero(each.tally.counts, always=("received",)), final=final)
        if self._account.middleware is not None:
            log("middleware", **middleware_facts(self._account.middleware), final=final)
        for output in self._account.outputs:
            log("output", **output_facts(output), final=final)


# ---- gor's --verbose: 1 failed sends, 2 every copy's end, 3 every request that comes in ----------------------------


def watch(tally: Tally, level: int) -> None:
    """Has each record's end told, as far as `level` asks for it."""

    def ended(outcome: str, error: str, record: bytes) -> None:
        if outcome in FAILURES or level >= 2:
            log("copy", destination=tally.destination, outcome=outcome, **_about(record), error=error or None)

    if level >= 1:
        tally.watcher = ended


def telling_requests(receive: Receive) -> Receive:
    """`receive`, and each record told."""

    def tell(record: bytes) -> None:
        log("request", **_about(record), bytes=len(record))
        receive(record)

    return tell


def _about(record: bytes) -> dict[str, str]:
    """Its identity, method and path. Not the query: it may hold a key."""
    try:
        line = request_of(record).partition(b"\r\n")[0].split(b" ")
    except ValueError:
        return {}
    words = [*record.split(b"\n", 1)[0].split(b" "), b"", b""]
    path = (line[1] if len(line) > 1 else b"").partition(b"?")
    target = path[0] + (b"?..." if path[1] else b"")
    return {
        name: value[:_SHOWN_CHARACTERS].decode("ascii", "backslashreplace")
        for name, value in (("id", words[1]), ("method", line[0]), ("path", target))
    }
