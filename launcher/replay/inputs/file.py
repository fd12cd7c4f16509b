"""`--input-file PATTERN`: replays files of records at the times that they were recorded at, and ends with them.

A thread reads ahead, a few batches at most. Each record is due at a time that is reckoned from the first one's, so
lateness does not add up; what is late is sent at once, but only as fast as the outputs take it: a file can wait (room).
Only requests (type 1) are replayed; recorded answers are skipped, or compared where they are the baseline. A pipe or a
device is a file that is opened once, when it is its turn to be read.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence

import trio

from launcher.replay.inputs import InputError, InputTally, Receive
from launcher.replay.limiters import Limiter, make_limiter
from launcher.replay.pacing import Pace
from launcher.replay.record_files import InFile, Item, merged
from launcher.replay.record_format import REQUEST
from launcher.replay.room import Room
from launcher.replay.stream_settings import FileInputSettings, file_inputs

_BATCH_RECORDS = 256
_BATCH_BYTES = 1024 * 1024
_LONGEST_TURN_SECONDS = 0.002  # without a checkpoint, when many records are due

_Batch = list[tuple[int, Item]]  # each with its file's index


class FileInput:
    """An Input: files that share one clock. `say` prints what a dry run found.

    Inputs with the same `read_once` don't read the same pipe: it holds those that are read, by device and number.
    """

    def __init__(
        self,
        settings: FileInputSettings,
        room: Room,
        say: Callable[[str], None] = print,
        read_once: set[tuple[int, int]] | None = None,
    ) -> None:
        self.tally = InputTally(" ".join(f"--input-file {pattern}" for pattern, _ in settings.patterns))
        self._settings = settings
        self._room = room
        self._say = say
        self._read_once = set() if read_once is None else read_once
        self.take_recorded: Receive | None = None  # for recorded answers, if they are compared
        self._paths: list[str] = []
        self._limiters: list[Limiter | None] = []  # of each path
        self._stopped = trio.Event()

    def open(self) -> None:
        for pattern, limit in self._settings.patterns:
            paths = _paths(pattern)
            for path in paths:
                if error := self._fault(path):
                    raise InputError(f"--input-file {path}: {error}")
            self._paths += paths
            self._limiters += [make_limiter(limit) if limit else None] * len(paths)  # one for all of the pattern

    def _fault(self, path: str) -> str:
        """Why the file can't be read, if so. Of a pipe nothing is read here: it would be lost."""
        try:
            found = os.stat(path)
            if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
                with open(path, "rb") as file:
                    file.read(1)
                return ""
        except OSError as error:
            return (error.strerror or "error").lower()
        if stat.S_ISSOCK(found.st_mode):
            return "a socket can't be opened as a file"
        if not os.access(path, os.R_OK):
            return "permission denied"
        if self._settings.is_looped:
            return "a pipe or device is read only once: not with --input-file-loop"
        identity = found.st_dev, found.st_ino
        if identity in self._read_once:
            return "a pipe or device is read only once: it is given twice"
        self._read_once.add(identity)
        return ""

    async def run(self, receive: Receive) -> None:
        if self._settings.is_dry_run:
            await trio.to_thread.run_sync(self._dry_run, abandon_on_cancel=True)
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_when_stopped, nursery.cancel_scope)
            while await self._one_pass(receive) and self._settings.is_looped:
                pass
            nursery.cancel_scope.cancel()

    def stop(self) -> None:
        self._stopped.set()

    async def _cancel_when_stopped(self, scope: trio.CancelScope) -> None:
        await self._stopped.wait()
        scope.cancel()

    async def _one_pass(self, receive: Receive) -> bool:
        """Replays all files once; whether a request was among them."""
        pace = Pace(self._settings.speed, self._settings.max_wait)
        origin: float | None = None
        turn = trio.current_time()
        send, batches = trio.open_memory_channel[_Batch](1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_ahead, send)
            async for batch in batches:
                for index, item in batch:
                    if isinstance(item, InFile):
                        self.tally.count(item.kind, item.error)
                    elif item.type != REQUEST:
                        self._take_response(item.data)
                    else:
                        now = trio.current_time()
                        origin = now if origin is None else origin
                        due = origin + pace.next(item.timestamp_ns)
                        if due > now:
                            await trio.sleep_until(due)
                            turn = trio.current_time()
                        elif now - turn > _LONGEST_TURN_SECONDS:
                            await trio.lowlevel.checkpoint()
                            turn = trio.current_time()
                        await self._hand_on(item.data, self._limiters[index], receive)
        return origin is not None

    def _take_response(self, record: bytes) -> None:
        if self.take_recorded is None:
            self.tally.count("skipped_response")
        else:
            self.tally.count("compared_response")
            self.take_recorded(record)

    async def _hand_on(self, record: bytes, limiter: Limiter | None, receive: Receive) -> None:
        """A checkpoint only if outputs are full."""
        if limiter is not None and not limiter.admits():
            self.tally.count("limited")
            return
        if not self._room.is_there(len(record)):
            await self._room.wait(len(record))
        self.tally.hand_on(record, receive)

    async def _read_ahead(self, send: trio.MemorySendChannel[_Batch]) -> None:
        items = merged(self._paths, self._settings.read_depth)
        async with send:
            while batch := await trio.to_thread.run_sync(_batch_of, items, abandon_on_cancel=True):
                await send.send(batch)

    def _dry_run(self) -> None:
        """In the thread."""
        pace = Pace(self._settings.speed, self._settings.max_wait)
        records = nbytes = responses = 0
        wrong: list[InFile] = []
        for _, item in merged(self._paths, self._settings.read_depth):
            if isinstance(item, InFile):
                wrong.append(item)
            elif item.type != REQUEST:
                responses += 1
            else:
                records += 1
                nbytes += len(item.data)
                pace.next(item.timestamp_ns)
        self._say(
            f"requests: {records}\nrecorded responses, not replayed: {responses}\nfiles: {len(self._paths)}\n"
            f"bytes of requests: {nbytes}\nlongest wait: {pace.most_wait:g} s\n"
            f"shortest wait: {pace.least_wait or 0:g} s\nfirst wait: {pace.first_wait or 0:g} s\n"
            f"replaying takes: {pace.due:g} s\nrecords older than the one before: {pace.out_of_order}\n"
            f"damaged: {len(wrong)}" + "".join(f"\n  {each.error}" for each in wrong[:20])
        )


def _batch_of(items: Iterator[tuple[int, Item]]) -> _Batch:
    batch: _Batch = []
    nbytes = 0
    for index, item in items:
        batch.append((index, item))
        nbytes += 0 if isinstance(item, InFile) else len(item.data)
        if len(batch) >= _BATCH_RECORDS or nbytes >= _BATCH_BYTES:
            break
    return batch


def _paths(pattern: str) -> list[str]:
    """Raises InputError."""
    paths = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern))
    if not paths:
        raise InputError(f"--input-file {pattern}: no file has this name or matches it")
    return paths


def new_file_inputs(values: Sequence[str], single: Mapping[str, str], room: Room) -> list[FileInput]:
    """One input for all values that have the same speed."""
    read_once: set[tuple[int, int]] = set()
    return [FileInput(settings, room, read_once=read_once) for settings in file_inputs(values, single)]
