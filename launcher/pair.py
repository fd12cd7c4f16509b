"""One client's connection and the one to the app that belongs to it: bytes both ways, ends passed on as what they are.

Bytes go to the peer first and are shown to the tap afterwards. A full socket stops the reading of its peer, and only
that. A FIN does not tell a half-close from a close, so it is passed on and the other way stays open; a reset is passed
on as a reset. A tap that raises is told once, detached from this connection, and the bytes flow on.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable
from typing import Protocol

import trio

from launcher.log import log
from launcher.poller import READABLE, WRITABLE, Poller
from launcher.sockets import reset_on_close
from launcher.splicing import Pipe, PipePool

_RECEIVE_BYTES = 64 * 1024
_SHORT_RECEIVE_BYTES = 16 * 1024  # what a request or an answer needs mostly: a large buffer costs time for nothing
_READS_TO_SPLICE = 4  # as many full reads one after the other make a transfer large
_READS_TO_COPY = 4  # and as many small ones end it
_LEAST_SPLICED_BYTES = 256 * 1024


class Tap(Protocol):
    """What the relay shows one connection's bytes to, after they have gone to the peer."""

    wants_app: bool  # True while it wants to see what the app sends
    app_has_spoken: bool  # set whenever the app has sent something that it is not shown

    def client_sent(self, data: bytes) -> None: ...
    def indifferent_bytes(self) -> int:
        """How many of the client's next bytes it need not see; a very large number if it needs none any more."""

    def client_sent_unseen(self, nbytes: int) -> None:
        """As many bytes of those have gone to the app."""

    def app_sent(self, data: bytes) -> None: ...
    def closed(self) -> None:
        """The connection has ended; nothing comes any more."""

    def abandon(self) -> None:
        """The tap raised: count that, let go of what it holds; it is not called again."""


class Owner(Protocol):
    """What a pair belongs to."""

    @property
    def poller(self) -> Poller: ...
    @property
    def pipes(self) -> PipePool: ...
    is_draining: bool  # the app has ended: a client that has got all that it sent is done with

    def delivered(self, nbytes: int) -> None: ...
    def pair_failed(self, pair: Pair, error: Exception) -> None: ...
    def pair_closed(self, pair: Pair) -> None: ...


class Side:
    """One socket of a pair, and what it waits for."""

    __slots__ = ("_poller", "_waits_for", "on_event", "sock")

    def __init__(self, poller: Poller, sock: socket.socket) -> None:
        self.sock = sock
        self._poller = poller
        self._waits_for = 0
        self.on_event: Callable[[int], None] | None = None

    def wait_for(self, events: int, callback: Callable[[int], None] | None = None) -> None:
        """Waits for `events` from now on; for nothing with 0. A new callback takes the old one's place."""
        if callback is not None and callback is not self.on_event:
            self.on_event = callback
            if self._waits_for:
                self._poller.replace(self.sock.fileno(), callback)
        if events == self._waits_for:
            return
        if not events:
            self._poller.unregister(self.sock.fileno())
        elif self._waits_for:
            self._poller.modify(self.sock.fileno(), events)
        else:
            assert self.on_event is not None, "a side that waits has a callback"
            self._poller.register(self.sock.fileno(), events, self.on_event)
        self._waits_for = events

    def close(self) -> None:
        """Waits for nothing any more, and closes the socket at the end of the batch."""
        if self._waits_for:
            self._poller.forget(self.sock.fileno())
            self._waits_for = 0
        self._poller.close_later(self.sock)


class Flow:
    """One direction of a pair."""

    __slots__ = (
        "has_ended", "is_finished", "pending", "pipe", "receive", "receive_bytes", "send", "sink", "source", "streak",
    )  # fmt: skip

    def __init__(self, source: Side, sink: Side) -> None:
        self.source = source
        self.sink = sink
        self.receive = source.sock.recv  # bound once: looked up for every request, they cost as much as a system call's
        self.send = sink.sock.send  # own way into the kernel
        self.pending: memoryview | Pipe | None = None  # holds what was received and the sink has not taken yet
        self.pipe: Pipe | None = None  # while the transfer is spliced
        self.receive_bytes = _SHORT_RECEIVE_BYTES
        self.streak = 0  # full reads in a row, or small ones while it is spliced
        self.has_ended = False  # nothing more is read from the source
        self.is_finished = False  # and the sink has been told


class Pair:
    """One client's connection and the one to the app that belongs to it."""

    def __init__(self, owner: Owner, client: socket.socket, app: socket.socket) -> None:
        self._owner = owner
        self.client = Side(owner.poller, client)
        self.app = Side(owner.poller, app)
        self._upward = Flow(self.client, self.app)
        self._downward = Flow(self.app, self.client)
        self._tap: Tap | None = None
        self.is_connecting = True
        self.is_closed = False
        self._is_app_reset = False  # told by a send: a reset is told once, and what is read afterwards is an end
        self.half_closed_since: float | None = None  # or the last sign of life since

    def start(self, tap: Tap | None) -> None:
        """The app has accepted: bytes may flow."""
        self.is_connecting = False
        self._tap = tap
        self.app.wait_for(READABLE, self._on_app)
        self.client.wait_for(READABLE, self._on_client)

    def close(self) -> None:
        """Closes both sockets at the end of the batch."""
        if self.is_closed:
            return
        self.is_closed = True
        for side in (self.client, self.app):
            side.close()
        for flow in (self._upward, self._downward):
            self._stop_splicing(flow)
        if self._tap is not None:
            self._tell_tap(self._tap.closed)
        self._owner.pair_closed(self)

    def reset(self) -> None:
        """Closes both sockets so that their peers see a reset, as they would have without the relay between them."""
        if not self.is_closed:
            for side in (self.client, self.app):
                reset_on_close(side.sock)
            self.close()

    def close_if_delivered(self) -> None:
        """At the end of the app: closes unless bytes for the client are still on their way."""
        if self.is_connecting or self._downward.is_finished:
            self.close()

    # ---- events ---------------------------------------------------------------------------------------------

    def _on_client(self, ready: int) -> None:
        self._serve(self._upward, self._downward, ready)

    def _on_app(self, ready: int) -> None:
        self._serve(self._downward, self._upward, ready)

    def _serve(self, from_here: Flow, to_here: Flow, ready: int) -> None:
        try:
            if ready != READABLE and to_here.pending is not None:
                self._send_pending(to_here)
            if ready != WRITABLE and from_here.pending is None and not from_here.has_ended and not self.is_closed:
                self._receive(from_here)
        except Exception as error:  # noqa: BLE001 - the last wall: one bad connection costs only itself
            self._owner.pair_failed(self, error)

    def _receive(self, flow: Flow) -> None:
        """The path of every request and every answer, in as few calls as can be: each call costs 0.1 µs."""
        if flow.pipe is not None:
            self._splice(flow, flow.pipe)
            return
        try:
            data = flow.receive(flow.receive_bytes)
        except BlockingIOError:
            return
        except OSError:  # ECONNRESET, or ETIMEDOUT of a peer that is gone
            self.reset()
            return
        if not data:
            self._end(flow)
            return
        try:  # as `_write`, which would cost a call more
            sent = flow.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._sink_is_gone(flow, error)
            sent = len(data)  # nobody takes it
        if sent < len(data):
            flow.pending = memoryview(data)[sent:]
            self._update_waits()
        tap = self._tap
        if tap is not None:
            try:
                if flow is self._upward:
                    tap.client_sent(data)
                elif tap.wants_app:
                    tap.app_sent(data)
                else:
                    tap.app_has_spoken = True
            except Exception as error:  # noqa: BLE001 - the mirror must not hurt the connection
                self._detach_tap(error)
        if flow is self._downward and self._owner.is_draining:
            self._owner.delivered(sent)
        if self.half_closed_since is not None:
            self.half_closed_since = trio.current_time()
        if len(data) == flow.receive_bytes:
            self._has_filled_buffer(flow)
        elif flow.streak:
            flow.receive_bytes = _SHORT_RECEIVE_BYTES
            flow.streak = 0

    # ---- large transfers, which never enter Python ----------------------------------------------------------

    def _has_filled_buffer(self, flow: Flow) -> None:
        unseen = self._unseen_bytes(flow)
        if unseen:  # what the tap sees comes in small pieces: thousands of requests may be in one
            flow.receive_bytes = _RECEIVE_BYTES
        flow.streak += 1
        is_large = flow.streak >= _READS_TO_SPLICE and not flow.has_ended and not self.is_closed
        if is_large and unseen >= _LEAST_SPLICED_BYTES:  # no pipe for what has just ended
            flow.pipe = self._owner.pipes.take()
            flow.streak = 0

    def _unseen_bytes(self, flow: Flow) -> int:
        """How many bytes may pass that the tap does not see."""
        if self._tap is None:
            return sys.maxsize
        if flow is self._downward:
            return 0 if self._tap.wants_app else sys.maxsize
        return self._tap.indifferent_bytes()

    def _splice(self, flow: Flow, pipe: Pipe) -> None:
        most = self._unseen_bytes(flow)
        if not most:
            self._stop_splicing(flow)
            self._receive(flow)
            return
        try:
            received = pipe.fill(flow.source.sock.fileno(), most)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EINVAL:
                self.reset()
                return
            self._owner.pipes.give_up()
            self._stop_splicing(flow)
            return
        if not received:
            self._stop_splicing(flow)
            self._end(flow)
            return
        if self._tap is not None:
            if flow is self._upward:
                self._tell_tap(self._tap.client_sent_unseen, received)
            else:
                self._tap.app_has_spoken = True
        if self.half_closed_since is not None:
            self.half_closed_since = trio.current_time()
        flow.streak = flow.streak + 1 if received < _RECEIVE_BYTES else 0
        flow.pending = pipe
        self._send_pending(flow)
        if pipe.held_bytes and not self.is_closed:
            self._update_waits()

    def _stop_splicing(self, flow: Flow) -> None:
        if flow.pipe is not None:
            self._owner.pipes.give_back(flow.pipe)
            flow.pipe = None
            flow.streak = 0

    # ---- what the sink takes --------------------------------------------------------------------------------

    def _send_pending(self, flow: Flow) -> None:
        pending = flow.pending
        assert pending is not None
        sent = self._write(flow, pending)
        if sent is None:
            return
        if isinstance(pending, Pipe):
            if pending.held_bytes:
                return
            if flow.streak >= _READS_TO_COPY:
                self._stop_splicing(flow)
        elif sent < len(pending):
            flow.pending = pending[sent:]
            return
        flow.pending = None
        if flow.has_ended:
            self._finish(flow)
        if not self.is_closed:
            self._update_waits()

    def _write(self, flow: Flow, data: bytes | memoryview | Pipe) -> int | None:
        """How much the sink took; None if it is gone, which has been dealt with."""
        try:
            sent = data.drain(flow.sink.sock.fileno()) if isinstance(data, Pipe) else flow.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._sink_is_gone(flow, error)
            return None
        if flow is self._downward and self._owner.is_draining:
            self._owner.delivered(sent)
        return sent

    def _sink_is_gone(self, flow: Flow, error: OSError) -> None:
        """A client that is gone is a reset for the app. Of an app that is gone the client still gets the last words,
        and then the end that it was: EPIPE tells of a reset behind a FIN, which `_receive` finds."""
        flow.pending = None
        self._stop_splicing(flow)
        if flow is self._downward:
            self.reset()
            return
        self._is_app_reset = error.errno != errno.EPIPE
        flow.has_ended = flow.is_finished = True
        if self._downward.is_finished:
            self.close()
        else:
            self._update_waits()

    def _end(self, flow: Flow) -> None:
        """The source has no more bytes: a FIN, which tells a half-close and a close alike, so it is passed on."""
        flow.has_ended = True
        self.half_closed_since = trio.current_time()
        if flow.pending is None:
            self._finish(flow)
        if not self.is_closed:
            self._update_waits()

    def _finish(self, flow: Flow) -> None:
        flow.is_finished = True
        if flow is self._downward and self._is_app_reset:
            self.reset()
            return
        other = self._upward if flow is self._downward else self._downward
        if other.is_finished or (flow is self._downward and self._owner.is_draining):
            self.close()
            return
        try:
            flow.sink.sock.shutdown(socket.SHUT_WR)
        except OSError:  # ENOTCONN: the sink has been reset meanwhile
            if flow is self._downward:
                self.reset()
            # else: what the app said before is still to be read, and behind it the reset

    def _update_waits(self) -> None:
        for side, out_of, into in (
            (self.client, self._upward, self._downward),
            (self.app, self._downward, self._upward),
        ):
            reads = READABLE if not out_of.has_ended and out_of.pending is None else 0
            writes = WRITABLE if into.pending is not None else 0
            side.wait_for(reads | writes)

    def _tell_tap(self, call: Callable[..., None], *args: bytes | int) -> None:
        try:
            call(*args)
        except Exception as error:  # noqa: BLE001 - the mirror must not hurt the connection
            self._detach_tap(error)

    def _detach_tap(self, error: Exception) -> None:
        tap, self._tap = self._tap, None
        log("mirror-detached", level="error", error=repr(error))
        if tap is not None:
            tap.abandon()
