"""The demo's destination: keeps what arrives of each copy, and shows it to a person who looks."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import NamedTuple

from serving import Handler, Server

SHOWN = 50  # arrivals


class Copy(NamedTuple):
    """What makes a copy the right one."""

    method: str
    target: str
    sha256: str  # of the body

    @classmethod
    def of(cls, method: str, target: str, body: bytes) -> Copy:
        return cls(method, target, hashlib.sha256(body).hexdigest())


class Destination(Server):
    """Serves from the moment it is made, in a thread of its own."""

    def __init__(self) -> None:
        super().__init__(0, Keeper)
        self.arrivals: list[Copy] = []
        self.last_arrival = 0.0  # by time.monotonic
        self._arrived = threading.Condition()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def keep(self, copy: Copy) -> None:
        with self._arrived:
            self.arrivals.append(copy)
            self.last_arrival = time.monotonic()
            self._arrived.notify_all()

    def wait_for(self, count: int, seconds: float) -> None:
        """Returns when `count` copies have arrived, or after `seconds`."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self.arrivals) >= count, seconds)


class Keeper(Handler):
    """Every copy carries the launcher's header; a request without it comes from a person."""

    server: Destination

    def answer(self) -> None:
        copy = Copy.of(self.command, self.path, self.read_body())
        if "X-Traffic-Duplicator" in self.headers:
            self.server.keep(copy)
            self.send(b"kept\n", "text/plain")
            return
        lines = [f"{len(self.server.arrivals)} copies have arrived; the last {SHOWN}, with their bodies' sha256:", ""]
        lines += [f"{kept.method} {kept.target}  {kept.sha256}" for kept in self.server.arrivals[-SHOWN:]]
        self.send("\n".join([*lines, ""]).encode(), "text/plain; charset=utf-8")
