"""TLS to a destination: the handshake, without tasks."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

from launcher.poller import READABLE, WRITABLE, Poller
from launcher.replay.outcomes import Ended
from launcher.tls_trust import handshake_failure


class Handshake:
    """One connection's handshake. Exactly one call of `done` follows `start`, but none after `cancel`."""

    def __init__(self, poller: Poller, done: Callable[[socket.socket | Ended], None]) -> None:
        self._poller = poller
        self._done = done
        self._socket: ssl.SSLSocket | None = None
        self._events = 0

    def start(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        """Takes over the socket, which is not registered."""
        try:
            self._socket = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        except (OSError, ValueError) as error:
            self._poller.close_later(sock)
            self._done(Ended(*handshake_failure(error)))
            return
        self._on_event(0)

    def cancel(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._forget()
            self._poller.close_later(self._socket)
            self._socket = None

    def _on_event(self, _ready: int) -> None:
        assert self._socket is not None
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            self._wait(READABLE)
        except ssl.SSLWantWriteError:
            self._wait(WRITABLE)
        except (OSError, ValueError) as error:
            self.cancel()
            self._done(Ended(*handshake_failure(error)))
        else:
            self._forget()
            sock, self._socket = self._socket, None
            self._done(sock)

    def _wait(self, events: int) -> None:
        assert self._socket is not None
        if not self._events:
            self._poller.register(self._socket.fileno(), events, self._on_event)
        elif events != self._events:
            self._poller.modify(self._socket.fileno(), events)
        self._events = events

    def _forget(self) -> None:
        assert self._socket is not None
        if self._events:
            self._poller.unregister(self._socket.fileno())
            self._events = 0
