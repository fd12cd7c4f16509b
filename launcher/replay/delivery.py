"""One record's way to its destination: a connection, the exchange, and what may follow on it. It ends once.

A GET or HEAD without body that met a kept connection which ended before one byte of an answer is sent once more, on a
new one; nothing else is sent twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from launcher.replay.connection import Connection
from launcher.replay.connector import Attempt, Connector
from launcher.replay.outcomes import Ended
from launcher.replay.pool import ConnectionPool
from launcher.replay.redirects import redirected
from launcher.replay.requests import Request
from launcher.replay.responses import ResponseReader
from launcher.replay.tracking import KeptAnswer

if TYPE_CHECKING:
    from launcher.replay.comparison.answers import Answer


class Dispatcher(Protocol):
    """What a delivery needs of its output."""

    pool: ConnectionPool
    connector: Connector
    max_redirects: int
    scheme: str
    max_body_bytes: int  # of an answer that is worth reading to its end

    def new_kept_answer(self) -> KeptAnswer | None:
        """Where an answer's bytes go; None if nobody wants them."""

    def new_compared_answer(self) -> Answer | None:
        """What an answer is compared by; None if nobody compares it."""

    def retried(self) -> None:
        """A request is sent once more."""

    def delivered(self, delivery: Delivery, ended: Ended) -> None:
        """The record has its outcome."""


class Delivery:
    """`cancel` gives it up: then nobody is told of its end."""

    __slots__ = (
        "_attempt", "_connection", "_is_kept", "_output", "_redirects_left", "answer", "compared", "record", "request",
        "started",
    )  # fmt: skip

    def __init__(self, output: Dispatcher, record: bytes, request: Request, started: float) -> None:
        self._output = output
        self.record = record
        self.request = request
        self.started = started
        self._connection: Connection | None = None
        self._attempt: Attempt | None = None
        self._is_kept = False
        self._redirects_left = output.max_redirects
        self.answer: KeptAnswer | None = None
        self.compared: Answer | None = None  # until somebody takes it

    def start(self) -> None:
        """Sends the request, on a connection that is idle, or on a new one."""
        connection = self._output.pool.take()
        if connection is not None:
            self._is_kept = True
            self._exchange(connection)
        else:
            self._connect()

    def cancel(self) -> None:
        """Closes what it uses."""
        if self._connection is not None:
            self._connection.close()
        if self._attempt is not None:
            self._attempt.cancel()
        self._release_answer()

    def exchanged(self, connection: Connection, ended: Ended) -> None:
        """The connection's exchange has ended."""
        self._connection = None
        if ended.is_reusable:
            self._output.pool.give_back(connection)
        else:
            connection.close()
        if ended.was_silent and self._is_kept and self.request.is_retryable:
            self._output.retried()
            self._release_answer()
            self._connect()
        elif following := self._redirected(ended):
            self._redirects_left -= 1
            self.request = following
            self._release_answer()
            self.start()
        else:
            self._output.delivered(self, ended)
            self._release_answer()

    def take_compared(self) -> Answer | None:
        """The answer, which is the caller's then."""
        compared, self.compared = self.compared, None
        return compared

    def _redirected(self, ended: Ended) -> Request | None:
        response = ended.response
        if not self._redirects_left or response is None or not response.location:
            return None
        return redirected(self.request, response.status, response.location, self._output.scheme)

    def _connect(self) -> None:
        self._is_kept = False
        self._attempt = self._output.connector.connect(self._connected)

    def _connected(self, connected: Connection | Ended) -> None:
        self._attempt = None
        if isinstance(connected, Ended):
            self._output.delivered(self, connected)
        else:
            self._exchange(connected)

    def _exchange(self, connection: Connection) -> None:
        self._connection = connection
        self.answer = self._output.new_kept_answer()
        self.compared = self._output.new_compared_answer()
        reader = ResponseReader(
            self.request.method, needs_keep_alive=self.request.is_http10,
            max_body_bytes=self._output.max_body_bytes, keeper=self.answer, listener=self.compared,
        )  # fmt: skip
        connection.exchange(self.request, reader, self)

    def _release_answer(self) -> None:
        if self.answer is not None:
            self.answer.release()
            self.answer = None
        if self.compared is not None:
            self.compared.release()
            self.compared = None
