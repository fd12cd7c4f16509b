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
        self._idle: dict[Connection, float] = {}  # since when, the newest last

    def take(self) -> Connection | None:
        """The newest idle connection that is still open; None when there is none."""
        oldest_allowed = trio.current_time() - MAX_IDLE_SECONDS
        while self._idle:
            connection, since = self._idle.popitem()
            if since >= oldest_allowed and not connection.is_stale():
                return connection
            connection.close()
        return None

    def give_back(self, connection: Connection) -> None:
        """Keeps a reusable connection for the next exchange, unless it has grown old."""
        now = trio.current_time()
        if now >= connection.old_at:
            connection.close()
        else:
            connection.keeper = self
            self._idle[connection] = now

    def went_stale(self, connection: Connection) -> None:
        self._idle.pop(connection, None)

    def close_old(self) -> None:
        """Closes those that have been idle too long; to be called now and then."""
        oldest_allowed = trio.current_time() - MAX_IDLE_SECONDS
        for connection in [each for each, since in self._idle.items() if since < oldest_allowed]:
            connection.close()
            del self._idle[connection]

    def close(self) -> None:
        """Closes all that are idle."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def __len__(self) -> int:
        return len(self._idle)
