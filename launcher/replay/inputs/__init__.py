"""One file an input of a replayer that runs by hand. `pipe`, the launcher's, is the only input of its own replayer.

Inputs run beside each other (`group`). Each hands records to `receive`, which is a plain call and never waits: what an
output can't take is that output's to count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from launcher.replay.failures import Failures, defect

Receive = Callable[[bytes], None]  # takes one whole record, gor's header line included

INPUT_COUNTERS: Mapping[str, str] = {
    "received": "handed on to the outputs",
    "limited": "left out by the limit behind | of the input",
    "skipped_loop": "copies already, told by X-Traffic-Duplicator: they would go round and round",
    "refused": "asked for a tunnel (CONNECT), or found no place: as many connections as there may be are busy",
    "skipped_response": "recorded answers (types 2 and 3): only requests are replayed",
    "compared_response": "recorded answers that candidates are compared with",
    "too_large": "larger than --copy-buffer-size",
    "dropped_buffer": "did not fit what the input may hold of requests half read",
    "malformed": "not HTTP/1.x, ambiguous, or of an unknown method; of a file or a gor: no record of gor's form, "
    "or not one whole request",
    "incomplete": "the connection or the file ended before the request or record did",
    "failed": "a defect of the replayer's was in its way: a line tells which, please report it",
}


class InputError(Exception):
    """An input that can't start: its port is taken, its file can't be read. The text is one line with option and value.

    Exit status 1.
    """


class InputTally:
    """One input's account: each request or record that it could tell apart ends in one counter."""

    def __init__(self, shown: str) -> None:
        self.shown = shown  # such as `--input-http :8081`, without secrets
        self.counts = dict.fromkeys(INPUT_COUNTERS, 0)
        self.failures = Failures()

    def count(self, counter: str, error: str = "") -> None:
        """One request's or record's end. With `error` it is also told in words, once and then summed up."""
        self.counts[counter] += 1
        if error:
            self.failures.add(counter, error)

    def hand_on(self, record: bytes, receive: Receive) -> None:
        """Hands one record to the outputs: `received`, or `failed` if that raised. Raises nothing itself."""
        try:
            receive(record)
        except Exception as error:  # noqa: BLE001 - one record's defect must not end the others
            self.count("failed", defect(error))
        else:
            self.count("received")


class Input(Protocol):
    """Where records come from."""

    tally: InputTally

    def open(self) -> None:
        """Takes what it needs, a port or a file, before anything runs. Raises InputError.

        A file whose reading takes time is read in `run`; what fails then is told through the tally.
        """

    async def run(self, receive: Receive) -> None:
        """Hands records on until there are no more, or until `stop`. Raises nothing for what the far side does.

        It passes a checkpoint now and then even if it never has to wait. Cancelled, it just ends.
        """

    def stop(self) -> None:
        """Takes nothing more in: `run` returns soon, within a second. May be called at any time, and again."""
