"""The demo's destination: keeps what arrives of each copy, and shows it to a person who looks."""

from __future__ import annotations

import hashlib
import threading
from typing import NamedTuple

from serving import Handler, Server

SHOWN = 50


class Copy(NamedTuple):
    """What must be the same in a request and in its copy."""

    method: str
    target: str
    sha256: str

    @classmethod
    def of(cls, method: str, target: str, body: bytes) -> Copy:
        return cls(method, target, hashlib.sha256(body).hexdigest())


class Destination(Server):
    """Listens on a free port from the moment it is made, in a thread of its own."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Keeper)
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self.arrivals: list[Copy] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Keeper(Handler):
    """Every copy carries the launcher's header; a request without it comes from a person."""

    server: Destination

    def answer(self) -> None:
        copy = Copy.of(self.command, self.path, self.read_body())
        if "X-Traffic-Duplicator" in self.headers:
            self.server.arrivals.append(copy)
            self.send(b"kept\n", "text/plain")
            return
        arrivals = self.server.arrivals
        lines = [f"{len(arrivals)} copies have arrived. The last of them, with their bodies' sha256:"]
        lines += [" ".join(kept) for kept in arrivals[-SHOWN:]]
        self.send("\n".join([*lines, ""]).encode(), "text/plain; charset=utf-8")
