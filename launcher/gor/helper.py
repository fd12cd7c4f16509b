"""Between the launcher's pipe and gor: `PYTHON -I -S -u gor_helper.py FIFO [--echo-responses | PROGRAM [ARG...]]`.

gor runs this as its middleware: what goes to standard output is gor's input, and with --output-http-track-response
gor writes its responses to standard input. Those are always read, because a gor that can't write them stops for ever;
they go to the user's PROGRAM, or back to gor for its file outputs (--echo-responses), or nowhere. They are joined with
the launcher's lines between lines only. PROGRAM writes to gor by itself. The end of FIFO ends gor, so does the end of
PROGRAM; the end of gor ends this. It stands alone, copied into a private folder: little of the standard library, 9 MB.
The launcher removes that folder as soon as FIFO is open at both ends; if it was killed before, this does.
"""

from __future__ import annotations

import os
import select
import sys
import time

STDIN, STDOUT, STDERR = 0, 1, 2
SIGKILL, SIGPIPE, SIGTERM, SIGXFSZ = 9, 13, 15, 25  # the same everywhere; importing `signal` costs 1 MB
CHUNK = 64 * 1024
MAX_RESPONSES = 4 * 1024 * 1024  # bytes of responses that wait for PROGRAM or gor; what comes then is dropped
OPENING_SECONDS = 30.0  # for the launcher to open FIFO: from then on it looks every 0.1 s or oftener; it unlinks it
ENDING_SECONDS = 2.0  # for PROGRAM to write what it still has, and for gor to end after SIGTERM


class GorEndedError(Exception):
    """gor's end of our standard input is closed: while gor lives it holds it, and nobody else does."""


def tell(text: str) -> None:
    """One line into gor's standard error, where the launcher reads it; if nobody does, so be it."""
    try:
        os.write(STDERR, text.encode("utf-8", "backslashreplace") + b"\n")
    except OSError:
        pass


class Lines:
    """Cuts a stream into blocks of whole lines; a line longer than `max_bytes` is left out."""

    def __init__(self, max_bytes: int = sys.maxsize) -> None:
        self._max_bytes = max_bytes
        self._partial: list[bytes] = []
        self._size = 0
        self._skipping = False

    def receive(self, chunk: bytes) -> bytes:
        """The lines that `chunk` completes, with their newlines, or b""."""
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._hold(chunk)
            return b""
        start = chunk.find(b"\n") + 1 if self._skipping else 0
        block = b"".join([*self._partial, chunk[start:end]])
        self._partial, self._size, self._skipping = [], 0, False
        self._hold(chunk[end:])
        return block

    def _hold(self, piece: bytes) -> None:
        if self._skipping or not piece:
            return
        self._partial.append(piece)
        self._size += len(piece)
        if self._size > self._max_bytes:
            self._partial, self._size, self._skipping = [], 0, True


class Program:
    """The user's middleware. Its standard output is gor's input; its standard error is told, line by line."""

    def __init__(self, words: list[str]) -> None:
        """Raises OSError when it can't be started."""
        self.name = words[0]  # its arguments may hold secrets
        stdin, self.stdin = os.pipe()
        self.stderr, stderr = os.pipe()
        self._said = Lines(CHUNK)
        self._pid = os.posix_spawnp(
            words[0], words, os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, stdin, STDIN), (os.POSIX_SPAWN_DUP2, stderr, STDERR)],
            setsigdef=[SIGPIPE, SIGXFSZ],  # Python ignores these, and a child would inherit that
        )
        os.close(stdin)
        os.close(stderr)

    def tell_what_it_says(self) -> bool:
        """Reads its standard error once. False at the end."""
        chunk = os.read(self.stderr, CHUNK)
        for line in self._said.receive(chunk or b"\n").splitlines():
            if line:
                tell(f"[MIDDLEWARE] {line.decode(errors='backslashreplace')}")
        return bool(chunk)

    def end(self) -> str:
        """How it ended, once its input is closed; it gets `ENDING_SECONDS` before it is killed."""
        os.close(self.stdin)
        poll = select.poll()
        poll.register(self.stderr, select.POLLIN)
        deadline = time.monotonic() + ENDING_SECONDS
        pid = status = 0
        while not pid and time.monotonic() < deadline:
            if not poll.poll(20):
                pid, status = os.waitpid(self._pid, os.WNOHANG)
            elif not self.tell_what_it_says():
                poll.unregister(self.stderr)
        if not pid:
            os.kill(self._pid, SIGKILL)
            return f"was killed: it had not ended {ENDING_SECONDS:g} s after its input"
        if os.WIFSIGNALED(status):
            return f"was ended by signal {os.WTERMSIG(status)}"
        return f"ended with status {os.WEXITSTATUS(status)}"


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


class Ears:
    """Waits, and meanwhile reads what must always be read: gor's responses, and what the program says."""

    def __init__(self, program: Program | None, *, keeps_responses: bool) -> None:
        self.responses = bytearray()  # whole lines
        self._program = program
        self._errors = program.stderr if program else -1
        self._keeps_responses = keeps_responses
        self._lines = Lines(MAX_RESPONSES)
        self._dropped = False

    def wait(self, wanted: dict[int, int], seconds: float | None = None, *, or_responses: bool = False) -> bool:
        """Until one of `wanted` (descriptor: poll mask) is ready, or responses wait; False after `seconds`.

        Raises GorEndedError, and BrokenPipeError when nobody reads a descriptor of `wanted` any more.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            ready = self._poll(wanted, 0 if or_responses and self.responses else _left(deadline))
            if STDIN in ready:
                self._receive_responses()
            if self._errors in ready and self._program and not self._program.tell_what_it_says():
                self._errors = -1
            if any(ready.get(descriptor, 0) & select.POLLERR for descriptor in wanted):
                raise BrokenPipeError
            if not wanted.keys().isdisjoint(ready) or (or_responses and self.responses):
                return True
            if _left(deadline) == 0:
                return False

    def _poll(self, wanted: dict[int, int], seconds: float | None) -> dict[int, int]:
        poll = select.poll()
        poll.register(STDIN, select.POLLIN)
        if self._errors >= 0:
            poll.register(self._errors, select.POLLIN)
        for descriptor, mask in wanted.items():
            poll.register(descriptor, mask)
        return dict(poll.poll(None if seconds is None else seconds * 1000))

    def _receive_responses(self) -> None:
        chunk = os.read(STDIN, CHUNK)
        if not chunk:
            raise GorEndedError
        if not self._keeps_responses:
            return
        block = self._lines.receive(chunk)
        if len(self.responses) + len(block) <= MAX_RESPONSES:
            self.responses += block
        elif not self._dropped:
            self._dropped = True
            tell("[GOR-HELPER] responses come faster than they are read: some are dropped")


def splice_lines(ears: Ears, fifo: int) -> bool:
    """FIFO into gor without reading it, to its end. False if this kernel doesn't do that."""
    for_input, for_room = {fifo: select.POLLIN, STDOUT: 0}, {STDOUT: select.POLLOUT}
    wanted = for_input
    while True:
        ears.wait(wanted)
        try:
            if not os.splice(fifo, STDOUT, 16 * CHUNK, flags=os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK):
                return True
            wanted = for_input
        except BlockingIOError:  # either FIFO is empty or gor's pipe is full: what was just ready can't be it
            wanted = for_room if wanted is for_input else for_input
        except BrokenPipeError:
            raise
        except OSError:
            return False


def copy_lines(ears: Ears, fifo: int, target: int) -> None:
    """FIFO, and responses between its lines, into `target`, to the end of FIFO."""
    lines = Lines()
    while True:
        ears.wait({fifo: select.POLLIN, target: 0}, or_responses=True)
        try:
            chunk = os.read(fifo, CHUNK)
            if not chunk:
                return
            block = lines.receive(chunk)
        except BlockingIOError:  # it was the responses
            block = b""
        pending = memoryview(block + ears.responses)
        ears.responses.clear()
        while pending:
            try:
                pending = pending[os.write(target, pending):]
            except BlockingIOError:
                ears.wait({target: select.POLLOUT})


def pass_lines(ears: Ears, path: str, target: int, *, joined: bool) -> None:
    """Everything from the launcher's pipe into `target`. Raises GorEndedError, BrokenPipeError."""
    # Not blocking: a launcher that died before it opened the pipe must not leave gor and us behind.
    fifo = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(target, False)
    opened = ears.wait({fifo: select.POLLIN, target: 0}, OPENING_SECONDS, or_responses=True)
    if not opened and os.path.exists(path):
        return
    if joined or not hasattr(os, "splice") or not splice_lines(ears, fifo):
        copy_lines(ears, fifo, target)


def run(path: str, words: list[str], *, echoes_responses: bool) -> int:
    """The whole work; returns the exit status. Raises GorEndedError."""
    try:
        program = Program(words) if words else None
    except OSError as error:
        tell(f"[GOR-HELPER] can't start the middleware {words[0]}: {error.strerror}")
        return 1
    joined = echoes_responses or program is not None
    ears = Ears(program, keeps_responses=joined)
    early = False
    try:
        pass_lines(ears, path, program.stdin if program else STDOUT, joined=joined)
    except BrokenPipeError:
        if not program:
            raise GorEndedError from None
        early = True
    finally:
        how = program.end() if program else ""
    if program and early:
        tell(f"[GOR-HELPER] the middleware {program.name} {how}: gor is ended, too")
    return int(early)


def remove_folder(path: str) -> None:
    """FIFO has ended: the folder is still there only if the launcher could not remove it any more."""
    folder = os.path.dirname(path)
    if not os.path.basename(folder).startswith("traffic-duplicator-gor-"):
        return
    try:
        for name in ("python", "gor_helper.py", os.path.basename(path)):
            if os.path.lexists(f"{folder}/{name}"):
                os.unlink(f"{folder}/{name}")
        if os.path.isdir(folder):
            os.rmdir(folder)
    except OSError:
        pass  # another launcher removes it, an hour later


def end_gor(gor: int) -> None:
    """SIGTERM, which ends a gor within milliseconds; then SIGKILL."""
    ears = Ears(None, keeps_responses=False)
    try:
        ears.wait({}, 0)  # raises if gor has ended: whoever is our parent now, it isn't gor
        if os.getppid() == gor:
            os.kill(gor, SIGTERM)
            ears.wait({}, ENDING_SECONDS)
            os.kill(gor, SIGKILL)
    except (GorEndedError, ProcessLookupError):
        pass


def main(argv: list[str]) -> int:
    """Ends gor in every case but one: that it has ended."""
    gor = os.getppid()
    status = 1
    try:
        path, *words = argv
        if words == ["--echo-responses"]:
            status = run(path, [], echoes_responses=True)
        else:
            status = run(path, words, echoes_responses=False)
        remove_folder(path)
    except GorEndedError:
        return 0
    except Exception as error:  # noqa: BLE001 - whatever it is, gor must not stay behind, deaf
        tell(f"[GOR-HELPER] {type(error).__name__}: {error}")
    end_gor(gor)
    return status


if __name__ == "__main__":
    try:
        os._exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        os._exit(130)
