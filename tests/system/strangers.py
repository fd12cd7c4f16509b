"""What a stranger does to a running launcher: raw bytes, as a client and as a destination."""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from tests.system.launched import Launched, Product, app

LISTENS = app("controlled.py", "listen")
PATIENCE_SECONDS = 30.0
_CHUNK = 65536
_TLS = b"\x16"  # how a handshake begins


@contextmanager
def serving(
    product: Product,
    *options: str,
    cwd: Path | None = None,
    environ: Mapping[str, str | None] | None = None,
    command: Sequence[str] = LISTENS,
) -> Iterator[Launched]:
    """A launcher whose app listens in the block and then ends."""
    with product.launch(options, command, cwd=cwd, environ=environ) as launched:
        launched.wait_until_listening()
        yield launched
        launched.tell("exit 0")
        launched.wait()


def say(launched: Launched, data: bytes) -> bytes:
    """Sends bytes on a connection of their own, ends it, and returns what comes back."""
    with launched.connect() as client:
        answer = b""
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while piece := client.recv(_CHUNK):
                answer += piece
        except (ConnectionResetError, BrokenPipeError):
            pass  # the app had not read all of it
        return answer


class HostileDestination:
    """Answers each request head with the next of `answers`, raw bytes, and ends the connection; over and over."""

    def __init__(self, answers: Sequence[bytes], context: ssl.SSLContext | None = None) -> None:
        self._answers = itertools.cycle(answers)
        self._context = context
        self._changed = threading.Condition()
        self._met = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> HostileDestination:
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def wait_until_met(self, count: int, seconds: float = PATIENCE_SECONDS) -> bool:
        """Whether so many connections have had their answer, or failed before they asked, in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._met >= count, seconds)

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._meet, args=(connection,), daemon=True).start()

    def _meet(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(PATIENCE_SECONDS)
            if self._context is None:
                self._serve(connection)
                return
            try:
                secured = self._context.wrap_socket(connection, server_side=True)
            except OSError:
                self._note()
                raise
            with secured:
                self._serve(secured)

    def _serve(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head and not head.startswith(_TLS) and (piece := connection.recv(_CHUNK)):
            head += piece
        with self._changed:
            answer = next(self._answers) if head else b""
        try:
            connection.sendall(answer)
        finally:
            self._note()
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(_CHUNK):  # so that no reset takes the answer away
            pass

    def _note(self) -> None:
        with self._changed:
            self._met += 1
            self._changed.notify_all()
