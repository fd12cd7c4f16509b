"""`--output-stdout`: records in gor's form, each followed by a newline, three monkeys and a newline.

Standard output belongs to others, too, so it is not made non-blocking: a thread writes (outputs/batches.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from launcher.replay.outcomes import Tally
from launcher.replay.outputs.batches import BatchOutput, Result, write_all
from launcher.replay.record_format import SEPARATOR
from launcher.replay.record_queue import RecordQueue


class StdoutOutput(BatchOutput):
    """An Output. `fd` may be blocking or not, and a pipe that nobody reads."""

    def __init__(self, queue: RecordQueue, fd: int = 1) -> None:
        super().__init__(Tally("stdout"), queue, self._write_records)
        self._fd = fd

    def _write_records(self, records: Sequence[bytes]) -> Sequence[Result]:
        try:
            write_all(self._fd, b"".join(part for record in records for part in (record, SEPARATOR)))
        except OSError as error:
            return [("write_failed", (error.strerror or "error").lower())] * len(records)
        return [("written", "")] * len(records)
