"""Starts one gor and its helper behind a named pipe.

A new pipe in a new private folder each time: a second reader of an old one would start inside a record. It is opened
for writing without O_RDWR, which would hide the reader's death, so gor's helper has to be there first: 14 to 31 ms
where nobody else wants the processor, else as long as it takes.
Then the folder goes. gor's lines are passed on if they are of a known form: in a panic it prints whole requests.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import trio

from launcher.child import DEVNULL, PIPE, Child, start
from launcher.executable import CANNOT_EXECUTE, CannotStart
from launcher.feed import Feed
from launcher.gor.binary import Gor
from launcher.gor.folder import Place, make_place
from launcher.gor.lines import GorLines
from launcher.gor.processes import GorProcess, environment
from launcher.log import log
from launcher.output_lines import read_lines
from launcher.replayers import Running

# A gor stands back for everybody: on a busy machine, or from a slow disk, its start may take a minute. It costs nobody
# anything meanwhile: its copies wait within --buffer, its memory is watched. One that hangs for ever is told of, often.
_READER_SECONDS = 120.0
_SLOW_SECONDS = 5.0  # more than a start takes: the log tells that it is awaited
_POLL_SECONDS = 0.005
_LONGEST_POLL_SECONDS = 0.1
_POLL_SHARE = 0.02  # of what it has been waited for
_STILL_SECONDS = 0.5  # gor holds requests that nobody can count: it has done them when it uses no processor any more


@dataclass
class GorLaunch:
    """What every process of one gor is started with."""

    gor: Gor
    process: GorProcess
    helper: bytes  # its program
    environ: Mapping[str, str]
    memory_bytes: int

    final_statuses = frozenset({0})  # --exit-after; 2 is a refused flag, but a panic, too

    async def start(self, readers: trio.Nursery) -> Running:
        """Starts a gor, whose helper reads when it has come so far. Raises CannotStart."""
        try:
            place = await trio.to_thread.run_sync(make_place, self.helper)  # a busy disk must not stop the relay
        except (OSError, RuntimeError) as error:  # no thread may be started any more
            raise CannotStart(CANNOT_EXECUTE, str(error)) from None
        try:
            child = await start(
                self.process.argv(self.gor, place.helper),
                environment(self.environ, self.memory_bytes),
                stdin=DEVNULL, stdout=None if self.process.writes_stdout else PIPE, stderr=PIPE, stands_back=True,
            )  # fmt: skip
        except BaseException:  # cancelled, too
            place.remove()
            raise
        for stream in (child.stdout, child.stderr):
            if stream is not None:
                readers.start_soon(self._pass_on, stream)
        return Running(child, partial(self._open_when_read, place, child))

    async def finish(self, running: Running, feed: Feed, seconds: float) -> None:
        """Waits until gor's processor time stands still; then the pipe's end ends helper and gor."""
        used, still_since = -1, trio.current_time()
        with trio.move_on_after(seconds):
            while trio.current_time() - still_since < _STILL_SECONDS:
                now_used = _processor_ticks(running.child.pid)
                if now_used != used:
                    used, still_since = now_used, trio.current_time()
                await trio.sleep(_POLL_SECONDS)
        feed.close()
        running.child.send_signal(signal.SIGTERM)

    def ended(self) -> None:
        """gor keeps no account."""

    async def _open_when_read(self, place: Place, child: Child) -> int:
        """The pipe's write end, once gor's helper has opened the other one. Raises CannotStart."""
        started_at = trio.current_time()
        is_told = False
        try:
            while child.is_running and (waited := trio.current_time() - started_at) < _READER_SECONDS:
                try:
                    return os.open(place.fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                except OSError as error:
                    if error.errno != errno.ENXIO:  # fifo(7): nobody has opened it for reading yet
                        raise CannotStart(CANNOT_EXECUTE, f"no way into gor's pipe: {error.strerror}") from None
                if waited > _SLOW_SECONDS and not is_told:
                    is_told = True
                    log(
                        "replayer-slow", level="warning", replayer=self.process.shown, waited_seconds=round(waited, 1),
                        at_most_seconds=round(_READER_SECONDS),
                        hint="gor does not read yet: what is copied waits within --buffer",
                    )  # fmt: skip
                await trio.sleep(min(max(_POLL_SECONDS, waited * _POLL_SHARE), _LONGEST_POLL_SECONDS))
        finally:
            place.remove()
        if child.is_running:
            raise CannotStart(CANNOT_EXECUTE, f"gor did not start to read within {_READER_SECONDS:g} s")
        status = await child.wait()
        raise CannotStart(status, f"gor did not start to read (status {status})")

    async def _pass_on(self, stream: trio.abc.ReceiveStream) -> None:
        lines = GorLines(log.masked)
        async for line in read_lines(stream):
            known = lines.told(line)
            if known is not None:
                log("gor-says", replayer=self.process.shown, line=known)


def _processor_ticks(pid: int) -> int:
    """User and system time of a process so far; 0 if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])  # proc(5): utime and stime
