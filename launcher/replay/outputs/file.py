"""`--output-file NAME`: records in gor's form, into files that are named and cut as gor does it.

Every batch is whole when it is written: in a .gz it is a gzip member of its own (RFC 1952 §2.2), so a file is sound
whenever anything dies, and gor reads it. What a full disk cut short is taken off again. A file that is there is never
overwritten: without --output-file-append a new one gets the next index, with it records go behind what the file has.
"""

from __future__ import annotations

import gzip
import os
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from launcher.replay.file_names import expand, has_type, is_per_record, next_index, with_index
from launcher.replay.outcomes import Tally
from launcher.replay.outputs.batches import BatchOutput, Result, write_all
from launcher.replay.record_format import SEPARATOR, identity
from launcher.replay.record_queue import RecordQueue
from launcher.replay.stream_settings import FileOutputSettings

_BATCH_BYTES = 256 * 1024
_MODE = 0o660  # gor's; the umask counts
_GZIP_LEVEL = 6
_INSTANCE = uuid.uuid4().hex[:8]
_WRITTEN: Result = ("written", "")


class FileOutput(BatchOutput):
    """An Output."""

    def __init__(self, settings: FileOutputSettings, queue: RecordQueue, max_queue_bytes: int) -> None:
        super().__init__(
            Tally(settings.shown), queue, FileWriter(settings).write,
            # Far below what the queue holds, or a queue that is small would be full before the interval is over.
            batch_bytes=min(_BATCH_BYTES, max_queue_bytes // 4), interval_seconds=settings.flush_seconds,
        )  # fmt: skip


class FileWriter:
    """Lives in the output's thread. `clock` gives Unix nanoseconds."""

    def __init__(self, settings: FileOutputSettings, clock: Callable[[], int] = time.time_ns) -> None:
        self._settings = settings
        self._clock = clock
        self._is_per_record = is_per_record(settings.template)
        self._needs_record = self._is_per_record or has_type(settings.template)
        self._path = ""  # as the patterns give it, of the chunk that is open
        self._chunk: _Chunk | None = None
        self._total_bytes = 0

    def write(self, records: Sequence[bytes]) -> Sequence[Result]:
        """What became of each record."""
        results: list[Result] = []
        group: list[bytes] = []
        for record in records:
            path = self._name_for(record)
            if group and (path != self._path or self._is_chunk_full(group) or self._is_limit_near(group)):
                results += self._write_group(group)
                group = []
            self._path = self._turned_to(path)
            group.append(record)
        return [*results, *self._write_group(group)]

    def _name_for(self, record: bytes) -> str:
        seconds, nanoseconds = divmod(self._clock(), 1_000_000_000)
        about = (identity(record).decode("latin-1"), record[:1].decode("latin-1")) if self._needs_record else ("", "")
        now = datetime.fromtimestamp(seconds)
        return os.path.normpath(expand(self._settings.template, now, nanoseconds, about, _INSTANCE))

    def _turned_to(self, path: str) -> str:
        if path != self._path:
            self._close()
        return path

    def _is_chunk_full(self, group: Sequence[bytes]) -> bool:
        """As gor checks it, before a record: so a chunk is larger than the limit by the end of its last record."""
        if self._settings.append:
            return False
        nbytes, records = (self._chunk.nbytes, self._chunk.records) if self._chunk else (0, 0)
        limit = self._settings.queue_limit
        return nbytes + _nbytes(group) >= self._settings.size_limit or 0 < limit <= records + len(group)

    def _is_limit_near(self, group: Sequence[bytes]) -> bool:
        return self._total_bytes + _nbytes(group) >= self._settings.max_size

    def _write_group(self, group: Sequence[bytes]) -> Sequence[Result]:
        if not group:
            return []
        if self._total_bytes >= self._settings.max_size:
            return [("size_limit", f"{self._settings.max_size} bytes have been written")] * len(group)
        try:
            chunk = self._chunk = self._chunk or self._open()
            self._total_bytes += chunk.write(group)
        except OSError as error:
            if self._chunk is not None and not self._chunk.is_sound:
                self._close()
            return [("write_failed", f"{(error.strerror or 'error').lower()}: {self._path}")] * len(group)
        if self._is_per_record or self._is_chunk_full([]):
            self._close()
        return [_WRITTEN] * len(group)

    def _open(self) -> _Chunk:
        if self._settings.append:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            return _Chunk(os.open(self._path, flags, _MODE), self._path)
        # A name for each record has no chunks before it: then looking through the folder would only take time.
        index = 0 if self._is_per_record else next_index(self._path, os.listdir(os.path.dirname(self._path) or "."))
        while True:
            path = with_index(self._path, index)
            try:
                return _Chunk(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE), path)
            except FileExistsError:  # another process was quicker
                index += 1

    def _close(self) -> None:
        chunk, self._chunk = self._chunk, None
        if chunk is not None:
            chunk.close()


def _nbytes(group: Sequence[bytes]) -> int:
    """Before compression."""
    return sum(len(record) + len(SEPARATOR) for record in group)


class _Chunk:
    """One open file."""

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self._is_gzip = path.endswith(".gz")
        self.nbytes = os.fstat(fd).st_size
        self.records = 0
        self.is_sound = True  # it ends behind a record

    def write(self, group: Sequence[bytes]) -> int:
        """Writes them all, or none. Raises OSError. Returns how many bytes the file has got."""
        data = b"".join(part for record in group for part in (record, SEPARATOR))
        if self._is_gzip:
            data = gzip.compress(data, _GZIP_LEVEL, mtime=0)
        try:
            write_all(self._fd, data)
        except OSError:
            self._take_back()
            raise
        self.nbytes += len(data)
        self.records += len(group)
        return len(data)

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._fd, self.nbytes)
            os.lseek(self._fd, self.nbytes, os.SEEK_SET)
        except OSError:  # no regular file
            self.is_sound = False

    def close(self) -> None:
        try:
            os.close(self._fd)
        except OSError:
            pass
