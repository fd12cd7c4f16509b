"""The data plane: accepts clients and opens a connection to the app for each.

What happens between the two is a `Pair`'s business. A connection that fails costs only itself. There are no time-outs
but one: a pair that has been half-closed and silent for 60 s is closed, because the kernel would have ended the app's
FIN_WAIT2 by then. Everything here is a plain call from the poller; nothing awaits, but for `drained`.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import trio

from launcher import addresses
from launcher.counters import RelayCounters
from launcher.log import log
from launcher.pair import Pair, Tap
from launcher.poller import READABLE, WRITABLE, Poller
from launcher.sockets import new_connecting, open_listener, set_up_accepted
from launcher.splicing import PipePool

MAX_PENDING_CONNECTS = 64  # then accepting pauses, so that clients see the app's own full backlog

_ACCEPTS_A_BATCH = 64
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_SECONDS = 0.1  # level-triggered, the listener would spin
_FULL_BACKLOG_RETRY_SECONDS = 0.01  # a Unix socket's full backlog gives EAGAIN at once and no event later
_SILENT_HALF_CLOSED_SECONDS = 60.0
_SILENT_DRAIN_SECONDS = 1.0

NewTap = Callable[[Callable[[], Any]], Tap]  # takes the client's socket's `getpeername`


@dataclass(frozen=True)
class AppAddress:
    """Where the app accepts, and from where the relay connects to it."""

    family: socket.AddressFamily
    address: tuple[str, int] | str
    source: str | None = None  # an address of this machine's own; None: as the kernel chooses


class Relay:
    """All connections between clients and the app."""

    def __init__(
        self,
        poller: Poller,
        app: AppAddress,
        *,
        new_tap: NewTap | None,
        app_refused: Callable[[], None],
        counters: RelayCounters | None = None,
    ) -> None:
        self.poller = poller
        self.counters = counters or RelayCounters()
        self.pipes = PipePool()
        self._app = app
        self._new_tap = new_tap
        self._app_refused = app_refused
        self._listener: socket.socket | None = None
        self._is_accepting = False
        self._is_pause_told = False
        self._next_app_socket: socket.socket | None = None
        self._pairs: set[Pair] = set()
        self._connecting = 0
        self.is_draining = False
        self._drained = trio.Event()
        self._delivered_bytes = 0

    @property
    def open_connections(self) -> int:
        return len(self._pairs)

    @property
    def is_listening(self) -> bool:
        return self._listener is not None

    @property
    def port(self) -> int:
        """The port of the open listener."""
        assert self._listener is not None, "only an open listener has a port"
        port: int = self._listener.getsockname()[1]
        return port

    def listen(self, host: str, port: int) -> None:
        """Opens the listener. `::` takes both families. Raises OSError when the address can't be had."""
        assert self._listener is None, "the relay has one listener"
        self._listener = open_listener(host, port)
        self._resume_accepting()

    def stop_listening(self) -> None:
        """Closes the listener: clients are refused from now on, connections live on."""
        if self._listener is not None:
            self._pause_accepting()
            self.poller.close_later(self._listener)
            self._listener = None

    async def drained(self) -> None:
        """Waits until what the app has sent is with the clients, or until they take no more. The app has ended."""
        self.is_draining = True
        for pair in list(self._pairs):
            pair.close_if_delivered()
        has_progressed = True
        while self._pairs and has_progressed:  # a process that the app has left behind may hold the others open
            self._delivered_bytes = 0
            with trio.move_on_after(_SILENT_DRAIN_SECONDS):
                await self._drained.wait()
            has_progressed = self._delivered_bytes > 0

    def delivered(self, nbytes: int) -> None:
        """A pair tells, while draining, that its client took some of the app's last words."""
        self._delivered_bytes += nbytes

    def close(self) -> None:
        """Ends the listener and every connection."""
        self.stop_listening()
        if self._next_app_socket is not None:
            self._next_app_socket.close()
            self._next_app_socket = None
        for pair in list(self._pairs):
            pair.close()
        self.pipes.close()

    def close_silent_half_closed(self) -> None:
        """To be called every few seconds."""
        oldest = trio.current_time() - _SILENT_HALF_CLOSED_SECONDS
        for pair in list(self._pairs):
            if pair.half_closed_since is not None and pair.half_closed_since < oldest:
                pair.close()

    # ---- accepting ------------------------------------------------------------------------------------------

    def _resume_accepting(self) -> None:
        if self._listener is not None and not self._is_accepting and self._connecting < MAX_PENDING_CONNECTS:
            self.poller.register(self._listener.fileno(), READABLE, self._accept)
            self._is_accepting = True

    def _pause_accepting(self) -> None:
        if self._listener is not None and self._is_accepting:
            self.poller.unregister(self._listener.fileno())
            self._is_accepting = False

    def _accept(self, _ready: int) -> None:
        try:
            self._accept_batch()
        except Exception as error:  # noqa: BLE001 - a defect of ours must not close the door for ever
            self._pause_for(error)

    def _accept_batch(self) -> None:
        for _ in range(_ACCEPTS_A_BATCH):
            if self._listener is None or not self._is_accepting:
                return
            try:
                app = self._app_socket()
            except OSError as error:
                self._pause_for(error)
                return
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_DESCRIPTORS:
                    self._pause_for(error)
                    return
                continue  # ECONNABORTED and its like: that client has left already
            self._next_app_socket = None
            self._is_pause_told = False
            self._start_pair(client, app)

    def _pause_for(self, error: Exception) -> None:
        if not self._is_pause_told:  # once until a client is accepted again, not ten times a second
            self._is_pause_told = True
            log("accept-paused", level="warning", error=str(error), retry_seconds=_PAUSE_SECONDS)
        self._pause_accepting()
        self.poller.call_later(_PAUSE_SECONDS, self._resume_accepting)

    def _start_pair(self, client: socket.socket, app: socket.socket) -> None:
        self.counters.connections += 1
        set_up_accepted(client)
        pair = Pair(self, client, app)
        self._pairs.add(pair)
        self._connecting += 1
        self._connect(pair)
        if self._connecting >= MAX_PENDING_CONNECTS:
            self._pause_accepting()

    # ---- connecting to the app ------------------------------------------------------------------------------

    def _app_socket(self) -> socket.socket:
        """The next client's, made before it is accepted: then there is no client that meets EMFILE here."""
        if self._next_app_socket is None:
            try:
                self._next_app_socket = self._new_app_socket()
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL or self._app.source is None:
                    raise
                self._find_new_source()
                self._next_app_socket = self._new_app_socket()
        return self._next_app_socket

    def _new_app_socket(self) -> socket.socket:
        return new_connecting(self._app.family, self._app.source)

    def _find_new_source(self) -> None:
        """The machine has lost the address: its network was joined anew. Waiting for the old one may take for ever."""
        source = addresses.private_address(self._app.family)
        log("source-changed", level="warning", before=self._app.source, now=source or "loopback")
        self._app = replace(self._app, source=source)

    def _connect(self, pair: Pair) -> None:
        if pair.is_closed:
            return
        code = pair.app.sock.connect_ex(self._app.address)
        if code == errno.EINPROGRESS:  # on loopback it is mostly made by now: asking costs less than waiting
            code = pair.app.sock.connect_ex(self._app.address)
        if code in {0, errno.EISCONN}:
            self._connected(pair)
        elif code in {errno.EINPROGRESS, errno.EALREADY}:
            pair.app.wait_for(WRITABLE, lambda _ready: self._connect_ended(pair))
        elif code == errno.EAGAIN:
            self.poller.call_later(_FULL_BACKLOG_RETRY_SECONDS, lambda: self._connect(pair))
        else:
            self._connect_failed(pair, code)

    def _connect_ended(self, pair: Pair) -> None:
        code = pair.app.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            self._connected(pair)
        else:
            self._connect_failed(pair, code)

    def _connected(self, pair: Pair) -> None:
        self._connect_is_over()
        pair.start(self._new_tap(pair.client.sock.getpeername) if self._new_tap is not None else None)

    def _connect_failed(self, pair: Pair, code: int) -> None:
        self._connect_is_over()
        pair.is_connecting = False
        pair.reset()
        if code in (errno.ECONNREFUSED, errno.ENOENT):
            self.counters.app_refused += 1
            self._app_refused()
        else:
            self.counters.failed += 1
            log("connect-failed", level="warning", error=errno.errorcode.get(code, str(code)))

    def _connect_is_over(self) -> None:
        self._connecting -= 1
        self._resume_accepting()

    # ---- what pairs tell ------------------------------------------------------------------------------------

    def pair_failed(self, pair: Pair, error: Exception) -> None:
        """A defect of ours: it costs this connection, and the log says so."""
        self.counters.failed += 1
        log("connection-failed", level="error", error=repr(error))
        pair.reset()

    def pair_closed(self, pair: Pair) -> None:
        self._pairs.discard(pair)
        if pair.is_connecting:
            pair.is_connecting = False
            self._connect_is_over()
        if self.is_draining and not self._pairs:
            self._drained.set()
