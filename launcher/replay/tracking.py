"""`--output-http-track-response`: an answer's bytes while they come, and the record that they make.

An answer gets out whole or not at all: one that is cut would lie about the destination. What is kept is charged to the
output's queue, so a destination that answers much does not take more memory than its copies may.
"""

from __future__ import annotations

import time

from launcher.replay.record_format import REPLAYED_RESPONSE, identity
from launcher.replay.record_queue import RecordQueue

DEFAULT_MAX_BYTES = 1024 * 1024  # of one answer, head included
UNTRACKED = "the answer was longer than --output-http-response-buffer, or found no room in the output's queue"


class KeptAnswer:
    """One answer's, as it is on the wire, without interim ones. `release` must follow."""

    __slots__ = ("_bytes", "_fits", "_max_bytes", "_queue")

    def __init__(self, queue: RecordQueue, max_bytes: int) -> None:
        self._queue = queue
        self._max_bytes = max_bytes
        self._bytes = bytearray()
        self._fits = True

    def add(self, data: bytes | bytearray) -> None:
        """The next bytes. When they don't fit, all is let go."""
        if not self._fits:
            return
        if len(self._bytes) + len(data) <= self._max_bytes and self._queue.charge(len(data)):
            self._bytes += data
        else:
            self.release()
            self._fits = False

    def restart(self) -> None:
        """What came was an interim answer: the next byte is the first."""
        self.release()
        self._fits = True

    def release(self) -> None:
        """Lets go what is kept."""
        self._queue.uncharge(len(self._bytes))
        self._bytes.clear()

    def record(self, request_record: bytes, latency_seconds: float) -> bytes | None:
        """gor's record of a replayed response, which has its request's ID; None if it did not fit."""
        if not self._fits:
            return None
        latency_ns = int(latency_seconds * 1e9)
        started_ns = time.time_ns() - latency_ns
        header = b"%s %s %d %d\n" % (REPLAYED_RESPONSE, identity(request_record), started_ns, latency_ns)
        return header + self._bytes
