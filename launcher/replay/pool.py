"""The idle connections of one output. The newest is used first, so that in calm times the others grow old and go.

Four seconds is just under the shortest keep-alive time-outs that are common (Node and uvicorn close after 5 s): our
side closes first, and no request meets a connection that the destination is just closing.
"""

from __future__ import annotations

import trio

from launcher.replay.connection import Connection

MAX_IDLE_SECONDS = 4.0


class ConnectionPool:
    """Plain calls. A connection is either in here or lent to one exchange."""

    def __init__(self) -> None:
        self._idle: list[tuple[float, Connection]] = []  # since when, the newest last

    def take(self) -> Connection | None:
        """The newest idle connection that is still open; None when there is none."""
        oldest_allowed = trio.current_time() - MAX_IDLE_SECONDS
        while self._idle:
            since, connection = self._idle.pop()
            if since >= oldest_allowed and not connection.is_stale():
                return connection
            connection.close()
        return None

    def give_back(self, connection: Connection) -> None:
        """Keeps a reusable connection for the next exchange."""
        self._idle.append((trio.current_time(), connection))

    def close_old(self) -> None:
        """Closes those that are too old and those that the destination has closed; to be called now and then."""
        oldest_allowed = trio.current_time() - MAX_IDLE_SECONDS
        kept = []
        for since, connection in self._idle:
            if since >= oldest_allowed and not connection.is_stale():
                kept.append((since, connection))
            else:
                connection.close()
        self._idle = kept

    def close(self) -> None:
        """Closes all that are idle."""
        for _, connection in self._idle:
            connection.close()
        self._idle.clear()
