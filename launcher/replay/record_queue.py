"""The bounded memory of one output: records that wait for it, and those that it is sending.

`offer` never waits. A record is charged its bytes and 256 more for what Python keeps around it, from `offer` until
`release`, which is called when its outcome is known: what is under way counts, too.
"""

from __future__ import annotations

from collections import deque

import trio

RECORD_OVERHEAD_BYTES = 256


class RecordQueue:
    """First in, first out, for any number of takers."""

    def __init__(self, max_bytes: int, max_waiting: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._max_waiting = max_waiting
        self._records: deque[bytes] = deque()
        self._takers = trio.lowlevel.ParkingLot()
        self._is_closed = False
        self.held_bytes = 0

    def offer(self, record: bytes) -> bool:
        """Takes the record if it fits."""
        assert not self._is_closed, "a record was offered to an output after its input had ended"
        charge = len(record) + RECORD_OVERHEAD_BYTES
        if self.held_bytes + charge > self._max_bytes or len(self._records) == self._max_waiting:
            return False
        self.held_bytes += charge
        self._records.append(record)
        self._takers.unpark()
        return True

    def has_room(self, nbytes: int) -> bool:
        """Whether a record of so many bytes is taken now. An empty queue has room: waiting would make none."""
        charge = nbytes + RECORD_OVERHEAD_BYTES
        return not self.held_bytes or not (
            self.held_bytes + charge > self._max_bytes or len(self._records) == self._max_waiting
        )

    async def take(self) -> bytes | None:
        """The oldest record; None when the queue is closed and empty. A checkpoint only if it has to wait."""
        while not self._records:
            if self._is_closed:
                return None
            await self._takers.park()
        return self._records.popleft()

    def take_nowait(self) -> bytes | None:
        """The oldest record; None when there is none."""
        return self._records.popleft() if self._records else None

    def release(self, record: bytes) -> None:
        """Ends the charge of a record that was taken."""
        self.held_bytes -= len(record) + RECORD_OVERHEAD_BYTES
        assert self.held_bytes >= 0, "a record was released twice"

    def charge(self, count: int) -> bool:
        """Charges so many bytes more, for what belongs to a record that was taken, if they fit."""
        if self.held_bytes + count > self._max_bytes:
            return False
        self.held_bytes += count
        return True

    def uncharge(self, count: int) -> None:
        """Ends such a charge."""
        self.held_bytes -= count

    def close(self) -> None:
        """No record will be offered any more."""
        self._is_closed = True
        self._takers.unpark_all()

    @property
    def has_takers(self) -> bool:
        """Somebody waits for a record."""
        return bool(self._takers)

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"<RecordQueue {len(self._records)} waiting, {self.held_bytes}/{self._max_bytes} bytes>"
