"""Asks running launchers on their control sockets, from another process and perhaps another environment."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launcher.control.request import decode_answer
from launcher.control.socket_file import find_sockets, may_be_asked, peer_of

_PATIENCE_SECONDS = 10.0  # a launcher that answers at all answers in milliseconds, unless others ask it all the time
_MOST_BYTES = 16 * 1024**2
_AGAIN_SECONDS = 0.05


class NoAnswer(Exception):
    """The launcher did not answer, or refused. The text says why."""


class Gone(NoAnswer):
    """The launcher has ended: nobody listens on its socket any more."""


@dataclass(frozen=True)
class Launcher:
    """One that runs. `pid` as seen from here; 0 if it can't be seen."""

    path: str
    pid: int
    uid: int

    def figures(self) -> dict[str, Any]:
        """What GET /status has. Raises NoAnswer."""
        return self.ask("GET", "/status")

    def ask(self, method: str, target: str, body: bytes = b"") -> dict[str, Any]:
        """The answer, a JSON object. Raises NoAnswer, of which Gone is one."""
        try:
            answer = decode_answer(_exchange(self.path, method, target, body))
            if answer.status != 200:
                raise NoAnswer(answer.body.decode(errors="replace").strip())
            found = json.loads(answer.body)
            if not isinstance(found, dict):
                raise ValueError("the answer is no JSON object")
        except TimeoutError:
            raise NoAnswer(f"it has not answered for {_PATIENCE_SECONDS:g} s") from None
        except (FileNotFoundError, ConnectionRefusedError):
            raise Gone("it has ended") from None
        except (OSError, ValueError, RecursionError) as error:
            raise NoAnswer(getattr(error, "strerror", None) or str(error)) from None
        return found


def find_launchers(environ: Mapping[str, str]) -> list[Launcher]:
    """Every launcher of this user's on this machine (in this container); for root everybody's. By their pids."""
    found = []
    for path in find_sockets(environ):
        try:
            with _connect(path, time.monotonic() + _PATIENCE_SECONDS) as sock:
                peer = peer_of(sock)
                if may_be_asked(path, peer):
                    found.append(Launcher(path, peer.pid if peer else 0, peer.uid if peer else os.lstat(path).st_uid))
        except OSError:
            continue  # it has just ended, or was killed and its socket is left
    return sorted(found, key=lambda launcher: (launcher.pid, launcher.path))


def _connect(path: str, deadline: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        while True:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                sock.connect(path)
            except BlockingIOError:  # its backlog is full
                if time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_SECONDS)
                continue
            return sock
    except BaseException:
        sock.close()
        raise


def _exchange(path: str, method: str, target: str, body: bytes) -> bytes:
    """The whole answer, as it is on the wire. Raises OSError."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with _connect(path, deadline) as sock:
        if not may_be_asked(path, peer_of(sock)):
            raise OSError(f"{path} is not the launcher's any more")
        sock.sendall(head.encode("ascii") + body)
        pieces: list[bytes] = []
        while sum(map(len, pieces)) < _MOST_BYTES:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = sock.recv(64 * 1024)
            if not piece:
                break
            pieces.append(piece)
    return b"".join(pieces)
