"""input -> middleware -> filters, rewriters -> every output or the next -> limit -> output; the account, the drain."""

from __future__ import annotations

import math
import os
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import trio

from launcher.log import log
from launcher.poller import Poller
from launcher.proxies import UnusableProxy
from launcher.replay.account import AccountPipe
from launcher.replay.connector import Connector, Route
from launcher.replay.emitter import Emitter
from launcher.replay.frames import FrameError
from launcher.replay.inputs import Receive
from launcher.replay.inputs.pipe import PipeInput
from launcher.replay.middleware import Middleware
from launcher.replay.outputs import Output
from launcher.replay.outputs.file import FileOutput
from launcher.replay.outputs.http import HttpOutput
from launcher.replay.outputs.limited import limited
from launcher.replay.outputs.null import NullOutput
from launcher.replay.outputs.stdout import StdoutOutput
from launcher.replay.outputs.tcp import TcpOutput
from launcher.replay.record_queue import RecordQueue
from launcher.replay.report import telling_requests, watch
from launcher.replay.resolver import Resolver
from launcher.replay.room import PATIENCE_SECONDS, Room
from launcher.replay.settings import HttpOutputSettings, Settings, understand
from launcher.replay_protocol import Account, Closing, Ready, Told
from launcher.tls_trust import tls_context

if TYPE_CHECKING:
    from launcher.replay.comparing import Comparing

_TICK_SECONDS = 1.0
_DESTINATIONS_SHARE = 0.8  # of the drain; the rest is for writing the answers that came last
_SHARE_OF_MIDDLEWARE = 0.8  # of the drain: the outputs send on what comes from it until then
_SHARE_OF_ANSWERS = 0.5  # of the middleware's: for answers that it is to get
_QUIET_SECONDS = 0.2  # without a copy under way
_LAST_WORDS_SECONDS = 1.0  # for a reader of the account that is slow; one that is stuck is left


async def run_under_launcher(account_fd: int) -> int:
    """The replayer between the launcher's two pipes; the exit status. Raises ConfigurationError."""
    account = AccountPipe(account_fd)
    source = PipeInput()
    try:
        told = await source.settings()
        if told is not None:
            settings = understand(told)
            await Pipeline(settings, account).run(source, settings.exit_after or math.inf)
    except FrameError as error:
        log.error(f"the launcher's pipe makes no sense: {error}")
        return 1
    return 0


def build_outputs(
    settings: Settings, poller: Poller, track: Receive, comparing: Comparing | None = None
) -> list[Output]:
    """The outputs in gor's order: standard output, null, tcp, file, http. `track` takes destinations' answers."""
    outputs: list[Output] = []
    if settings.has_stdout:
        outputs.append(StdoutOutput(RecordQueue(settings.queue_bytes)))
    if settings.has_null:
        outputs.append(NullOutput())
    outputs += [limited(TcpOutput(tcp, settings.queue_bytes), tcp.limit) for tcp in settings.tcp_outputs]
    for file in settings.file_outputs:
        outputs.append(limited(FileOutput(file, RecordQueue(settings.queue_bytes), settings.queue_bytes), file.limit))
    tls = _tls(settings)
    resolver = Resolver(poller)
    has_takers = bool(settings.middleware) or any(output.tally.takes_responses for output in outputs)
    is_tracked = settings.tracks_responses and has_takers
    if settings.tracks_responses and not is_tracked:
        log.tell("--output-http-track-response changes nothing: there is no output that takes answers")
    for each in settings.http_outputs:
        queue = RecordQueue(settings.queue_bytes, each.max_waiting)
        connector = Connector(poller, resolver, _route(each, tls))
        witness = comparing.witness(each.role) if comparing is not None else None
        http = HttpOutput(each, queue, connector, poller, track if is_tracked else None, witness)
        outputs.append(limited(http, each.limit))
    return outputs


def _comparing(settings: Settings) -> Comparing | None:
    if settings.comparison is None:
        return None
    from launcher.replay.comparing import begin_comparing  # a replayer that compares nothing need not have it

    return begin_comparing(settings)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    https = [each for each in settings.http_outputs if each.is_https]
    if not https:
        return None
    context, said = tls_context(verifies=https[0].verifies)  # the option is for all of them
    if said:
        log.tell(said)
    return context


def _route(output: HttpOutputSettings, tls: ssl.SSLContext | None) -> Route:
    if not output.is_https:
        tls = None
    if (proxy := output.proxy) is None:
        return Route(host=output.host, port=output.port, tls=tls, tls_host=output.host)
    if isinstance(proxy, UnusableProxy):
        return Route(host=output.host, port=output.port, closed=proxy.error)
    request = proxy.connect_request(output.host, output.port) if output.is_https else b""
    return Route(
        host=proxy.host, port=proxy.port, is_proxy=True, connect_request=request, tls=tls, tls_host=output.host
    )


class Source(Protocol):
    """Where records come from: the launcher's pipe, or all inputs of a replayer that runs by hand."""

    async def read(self, receive: Receive) -> Closing:
        """Hands every record to `receive` until the end, and says how long the drain may take. Raises FrameError."""


class Report(Protocol):
    """Whom the account is told to. Nothing here waits, but for `finish`."""

    def tell(self, told: Told) -> None: ...

    def sum_up(self) -> None:
        """A stats interval has ended; its failures and the account as it is now have been told."""

    def flush(self) -> bool:
        """Called once a second; False if something is still waiting to be told."""

    async def finish(self, seconds: float) -> None:
        """Waits until all is told, at most so long."""


class Pipeline:
    """One run of the replayer, from its settings to its final account."""

    def __init__(self, settings: Settings, account: Report) -> None:
        self._settings = settings
        self._account = account
        for note in settings.notes:
            log.tell(note)
        self._poller = Poller()
        self._comparing = _comparing(settings)
        self._outputs: Sequence[Output] = build_outputs(
            settings, self._poller, lambda answer: self._receive(answer), self._comparing
        )
        self._receive: Receive = Emitter(
            self._outputs, settings.modify, splits=settings.splits_output, alternates=self._comparing is not None
        ).emit
        self._middleware: Middleware | None = None
        if settings.middleware:
            self._middleware = Middleware(settings.middleware, self._poller, settings.queue_bytes, self._receive)
            self._receive = self._middleware.give
        # What takes destinations' answers is open until the last of them may have come.
        self._late = [each for each in self._outputs if settings.tracks_responses and each.tally.takes_responses]
        self._early = [each for each in self._outputs if each not in self._late]
        self._error: FrameError | None = None
        longest_exchange = max((each.timeout_seconds for each in settings.http_outputs), default=0.0)
        self.room = Room(self._outputs, longest_exchange + PATIENCE_SECONDS, self._middleware)
        self._told = Account(())
        self._working = trio.CancelScope()  # inputs and outputs
        for output in self._outputs:
            watch(output.tally, settings.verbose)

    @property
    def take_recorded(self) -> Receive | None:
        """What takes the answers in a recording; None if nobody compares them."""
        return None if self._comparing is None else self._comparing.take_recorded

    def end_at_once(self) -> None:
        """Cuts the run, or its drain: what is held ends as `unsent`."""
        self._working.cancel()

    async def run(self, source: Source, max_seconds: float = math.inf) -> None:
        """Replays until the input ends or for so long, then drains. Raises FrameError, but not before the drain."""
        self._account.tell(Ready(os.getpid(), tuple(output.tally.destination for output in self._outputs)))
        receive = telling_requests(self._receive) if self._settings.verbose >= 3 else self._receive
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._poller.run)
            nursery.start_soon(self._tick)
            with self._working:
                await self._work(source, receive, max_seconds)
            nursery.cancel_scope.cancel()
        await self._tell_end()
        if self._error is not None:
            raise self._error

    async def _work(self, source: Source, receive: Receive, max_seconds: float) -> None:
        """Inputs and outputs, and the drain."""
        async with trio.open_nursery() as running:
            for output in self._late:
                await running.start(output.run)
            async with trio.open_nursery() as sending:
                for output in self._early:
                    await sending.start(output.run)
                if self._middleware is not None:
                    sending.start_soon(self._middleware.run)
                drain_seconds = await self._read(source, receive, max_seconds)
                now = trio.current_time()
                self._working.deadline = now + drain_seconds
                if self._late:
                    drain_seconds *= _DESTINATIONS_SHARE
                    sending.cancel_scope.deadline = now + drain_seconds
                if self._middleware is not None:
                    await self._finish_middleware(self._middleware, now + drain_seconds * _SHARE_OF_MIDDLEWARE)
                for output in self._early:
                    output.close()
            for output in self._late:
                output.close()

    async def _finish_middleware(self, middleware: Middleware, deadline: float) -> None:
        """Its input is ended when there is nothing more to give: with tracked answers, when the last seem to be in."""
        if self._settings.tracks_responses:
            seconds = (deadline - trio.current_time()) * _SHARE_OF_ANSWERS
            with trio.move_on_after(seconds):
                last_busy = trio.current_time()
                while trio.current_time() < last_busy + _QUIET_SECONDS:
                    await trio.sleep(_QUIET_SECONDS / 10)
                    is_sending = any(each.tally.held() for each in self._outputs if not each.tally.takes_responses)
                    if is_sending or not middleware.has_read_all:
                        last_busy = trio.current_time()
        await middleware.finish(deadline - trio.current_time())

    async def _read(self, source: Source, receive: Receive, max_seconds: float) -> float:
        """Until the input's end; how many seconds the drain may take."""
        closing = Closing()
        try:
            with trio.move_on_after(max_seconds):
                closing = await source.read(receive)
        except FrameError as error:
            self._error = error
        return closing.drain_seconds

    async def _tick(self) -> None:
        last_sum = trio.current_time()
        while True:
            await trio.sleep(_TICK_SECONDS)
            for output in self._outputs:
                output.tick()
            if self._comparing is not None and (compared := self._comparing.tick()):
                self._account.tell(compared)
            if 0 < self._settings.stats_interval <= trio.current_time() - last_sum:
                last_sum = trio.current_time()
                self._sum_up()
                self._tell_changes()
                self._account.sum_up()
            else:
                self._tell_changes()

    def _sum_up(self) -> None:
        for output in self._outputs:
            output.tally.sum_up()
        if self._middleware is not None:
            self._middleware.tell_failures(sums_up=True)

    def _tell_changes(self) -> None:
        for output in self._outputs:
            for failed in output.tally.take_news():
                self._account.tell(failed)
        if self._middleware is not None:
            self._middleware.tell_failures()
        account = self._new_account()
        if account != self._told:
            self._told = account
            self._account.tell(account)
        self._account.flush()

    async def _tell_end(self) -> None:
        for output in self._outputs:
            assert output.tally.held() == 0, f"records of {output.tally.destination} ended in no outcome"
        self._sum_up()
        self._tell_changes()
        if self._comparing is not None and (compared := self._comparing.end()):
            self._account.tell(compared)
        self._account.tell(self._new_account(final=True))
        await self._account.finish(_LAST_WORDS_SECONDS)

    def _new_account(self, *, final: bool = False) -> Account:
        outputs = tuple(output.tally.account(output.held_bytes) for output in self._outputs)
        return Account(outputs, final, self._middleware.account() if self._middleware is not None else None)
