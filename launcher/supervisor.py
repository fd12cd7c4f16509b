"""Start order, readiness, signals, grace: the app's life, and what the launcher does around it.

The app has been started. `$PORT` is bound only when the app accepts, so the platform's boot timeout keeps its meaning;
from then on the listener follows the app. Signals are handed down; in a dyno SIGTERM is held back, because the
platform has sent it to every process itself. The app's exit ends the launcher, never a replayer's.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import trio

from launcher import child, itself
from launcher.app_process import AppProcess
from launcher.child import Child
from launcher.destinations import host_port
from launcher.log import log
from launcher.readiness import AppWatch, accepting_address, accepts, is_taken
from launcher.relay import AppAddress, Relay

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
_PROBE_SECONDS = 0.05
_FOLLOW_SECONDS = 0.1
_FOLLOW_CLOSELY_SECONDS = 0.002  # where the app doesn't notice, while it may close its listener
_SILENT_APP_SECONDS = 20.0
_NOBODY_TOLD_IT_SECONDS = 2.0
_LEAST_FLUSH_SECONDS = 1.0  # an app that took longer than --drain-timeout has said its last words all the same
_MIRROR_SECONDS_ASKED = 2.0  # for the mirror after the app's end, when somebody asked it to stop
_MIRROR_SECONDS_UNASKED = 1.0
_SWEEP_SECONDS = 10.0
_GC_THRESHOLDS = (50_000, 50, 100)  # full collections with 5,000 connections show in the app's p99


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where clients connect and where the app listens."""

    host: str
    port: int
    app_port: int
    app_socket: str | None
    in_dyno: bool
    drain_seconds: float


class Mirroring(Protocol):
    """The mirror as a whole, from here."""

    def start(self, nursery: trio.Nursery) -> None: ...
    async def finish(self, seconds: float) -> None: ...


class Supervisor:
    """One run of the app."""

    def __init__(
        self, app: AppProcess, site: Site, new_relay: Callable[[AppAddress, Callable[[], None]], Relay]
    ) -> None:
        self._started = app
        self._site = site
        self._new_relay = new_relay
        self._app: Child | None = None
        self._address: AppAddress | None = None
        self._relay: Relay | None = None
        self._stop_asked_at: float | None = None
        self._has_got_sigterm = False
        self._listen_error = ""  # said once, until it is another one
        self._app_doubted = trio.Event()  # refused a connection, or was asked to stop: does it still accept?

    def may_restart_replayers(self) -> bool:
        """Not once the platform has sent SIGTERM to every process, replayers too."""
        return not (self._site.in_dyno and self._has_got_sigterm)

    async def run(self, mirroring: Mirroring | None) -> int:
        """The app's exit status. If it raises, a defect of ours, the app still runs."""
        with _received_signals(self._started) as signals:
            self._app = app = child.adopt(self._started.process)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._handle_signals, signals, nursery)
                nursery.start_soon(self._serve_clients, mirroring, nursery)
                status = await app.wait()
                log("app-exited", status=status)
                if status == 0 and self._stop_asked_at is None:
                    await self._tell_of_daemon()
                await self._shut_down(mirroring)
                nursery.cancel_scope.cancel()
        return status

    # ---- clients --------------------------------------------------------------------------------------------

    async def _serve_clients(self, mirroring: Mirroring | None, nursery: trio.Nursery) -> None:
        self._address = await self._first_accepting_address()
        if self._address is None:
            return
        self._relay = relay = self._new_relay(self._address, lambda: self._app_doubted.set())
        _raise_descriptor_limit()
        while self._app_runs():  # looked at right before: once it has ended, `run` may be past its mirror's end
            if self._listen(relay):
                break
            await trio.sleep(_FOLLOW_SECONDS)
        else:
            return
        itself.note_app_clients()
        if mirroring is not None:
            mirroring.start(nursery)
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        nursery.start_soon(_sweep, relay)
        with AppWatch(self._address) as watch:
            while True:
                await self._app_doubted.wait()
                self._app_doubted = trio.Event()
                await self._follow_app(relay, watch)

    async def _first_accepting_address(self) -> AppAddress | None:
        """Where the app accepts, once it does; None if it took the clients' port for itself."""
        site = self._site
        started_at = trio.current_time()
        is_told = False
        while True:
            address = await accepting_address(site.app_port, site.app_socket)
            if address is not None:
                return address
            if await is_taken(site.host, site.port):
                log(
                    "port-taken", level="error", port=site.port, mirroring="off",
                    hint=f"the app listens on {site.port} itself: let it listen on the port in PORT, "
                    f"{site.app_port}, or write {{port}} in its command",
                )  # fmt: skip
                itself.note_app_clients()
                return None
            if not is_told and trio.current_time() - started_at > _SILENT_APP_SECONDS:
                is_told = True
                where = site.app_socket or f"port {site.app_port}"
                log(
                    "app-silent", level="warning", seconds=_SILENT_APP_SECONDS,
                    hint=f"the app should listen on {where}; {site.port} opens when it does",
                )  # fmt: skip
            await trio.sleep(_PROBE_SECONDS)

    def _app_runs(self) -> bool:
        return self._app is not None and self._app.is_running

    def _listen(self, relay: Relay) -> bool:
        try:
            relay.listen(self._site.host, self._site.port)
        except OSError as error:
            if str(error) != self._listen_error:
                self._listen_error = str(error)
                log("listen-failed", level="error", host=self._site.host, port=self._site.port, error=error.strerror)
            return False
        self._listen_error = ""
        log("listening", host=self._site.host, port=self._site.port, app=_text(self._address))
        return True

    async def _follow_app(self, relay: Relay, watch: AppWatch) -> None:
        """Listens while the app accepts, until it accepts and nobody has asked it to stop.

        A client that connects after the app has closed its door would meet a reset, where it would have been refused.
        The app's answers are looked at first: one that says `Connection: close` makes its client come again at once.
        """

        def stop_listening_first() -> bool:
            if not relay.is_listening or watch.is_listening() is not False:
                return False
            self._stop_listening(relay)
            return True

        with relay.poller.first(stop_listening_first):
            while True:
                is_accepting = await watch.accepts()
                if not self._app_runs():
                    relay.stop_listening()
                    return  # what accepts there now was left over by the app: no client may meet it
                if is_accepting and not relay.is_listening:
                    self._listen(relay)
                elif not is_accepting and relay.is_listening:
                    self._stop_listening(relay)
                if is_accepting and relay.is_listening and not self._is_stopping():
                    return
                is_urgent = relay.is_listening and watch.is_unseen
                await trio.sleep(_FOLLOW_CLOSELY_SECONDS if is_urgent else _FOLLOW_SECONDS)

    def _stop_listening(self, relay: Relay) -> None:
        relay.stop_listening()
        level = None if self._is_stopping() else "warning"
        log("not-listening", level=level, reason="the app does not accept", app=_text(self._address))

    def _is_stopping(self) -> bool:
        """Whether the app may be about to end. One that lives on after INT or QUIT has not been asked to stop."""
        if self._stop_asked_at is None or self._has_got_sigterm:
            return self._stop_asked_at is not None
        if trio.current_time() - self._stop_asked_at > self._site.drain_seconds:
            self._stop_asked_at = None
        return self._stop_asked_at is not None

    # ---- signals --------------------------------------------------------------------------------------------

    async def _handle_signals(self, signals: AsyncIterator[int], nursery: trio.Nursery) -> None:
        async for number in signals:
            if number == signal.SIGCHLD:
                if os.getpid() == 1:
                    child.reap_adopted()
                continue
            if number in _STOPPING:
                self._stop_asked_at = self._stop_asked_at or trio.current_time()
                self._app_doubted.set()
            if number == signal.SIGTERM:
                self._receive_sigterm(nursery)
            else:
                self._forward(number)

    def _receive_sigterm(self, nursery: trio.Nursery) -> None:
        """Passes on the first, whatever came before: an app may live on after INT, or QUIT (the JVM's thread dump)."""
        if self._has_got_sigterm:
            log("signal", signal="SIGTERM", passed_on="no", reason="it has come before")
        elif self._site.in_dyno:
            log("signal", signal="SIGTERM", passed_on="no", reason="the platform sends it to every process")
            nursery.start_soon(self._tell_app_if_nobody_did)
        else:
            self._forward(signal.SIGTERM)
        self._has_got_sigterm = True

    def _forward(self, number: int, reason: str | None = None) -> None:
        assert self._app is not None
        name = signal.Signals(number).name
        try:
            if number in _FROM_TERMINAL and _is_in_foreground():
                self._app.send_signal_to_group(number)  # as the terminal would, were the app not in its own session
            else:
                self._app.send_signal(number)
        except PermissionError:
            log("signal", level="warning", signal=name, passed_on="no", reason="the app runs as another user")
        else:
            log("signal", signal=name, passed_on="yes", reason=reason)

    async def _tell_app_if_nobody_did(self) -> None:
        await trio.sleep(_NOBODY_TOLD_IT_SECONDS)
        if self._address is None or await accepts(self._address):
            self._forward(signal.SIGTERM, reason="the app still accepts, so nobody has told it")

    # ---- the end --------------------------------------------------------------------------------------------

    async def _tell_of_daemon(self) -> None:
        """An app that goes to the background can't be waited for; a platform ends it with its first process."""
        address = await accepting_address(self._site.app_port, self._site.app_socket)
        if address is not None:
            log(
                "app-left", level="warning", listens=_text(address),
                hint="the app has gone to the background, where nobody relays it: let it run in the foreground",
            )  # fmt: skip

    async def _shut_down(self, mirroring: Mirroring | None) -> None:
        now = trio.current_time()
        asked_at = self._stop_asked_at
        end_by = (now if asked_at is None else asked_at) + self._site.drain_seconds
        if self._relay is not None:
            self._relay.stop_listening()
            with trio.CancelScope(deadline=max(end_by, now + _LEAST_FLUSH_SECONDS)):
                await self._relay.drained()
            self._relay.close()
        if mirroring is not None:
            longest = _MIRROR_SECONDS_UNASKED if asked_at is None else _MIRROR_SECONDS_ASKED
            await mirroring.finish(max(0.0, min(longest, end_by - trio.current_time())))


@contextmanager
def _received_signals(app: AppProcess) -> Iterator[AsyncIterator[int]]:
    """The signals that concern the app, those that have come since its start among them.

    Afterwards they are only noted again: a second SIGTERM must not change the exit status that the launcher is about to
    give.
    """
    with trio.open_signal_receiver(*app.signals, signal.SIGCHLD) as signals:
        for number in app.noted:
            os.kill(os.getpid(), number)
        yield signals


async def _sweep(relay: Relay) -> None:
    while True:
        await trio.sleep(_SWEEP_SECONDS)
        relay.close_silent_half_closed()


def _raise_descriptor_limit() -> None:
    """Two descriptors a connection; the app, which has been started, keeps the limit that it was given."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            log("descriptor-limit", level="warning", error=str(error), limit=soft)


def _is_in_foreground() -> bool:
    """Whether Ctrl-C on a terminal reaches this process."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _text(address: AppAddress | None) -> str | None:
    if address is None:
        return None
    if isinstance(address.address, str):
        return address.address
    return host_port(*address.address)
