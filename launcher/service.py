"""Builds everything from a plan and runs it in one nursery: the table of contents."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import trio

from launcher.app_process import AppProcess
from launcher.brake_watch import new_brake_watch
from launcher.builtin_launch import BuiltinLaunch, ReplayAccount, accounts, queue_bytes
from launcher.control.server import serve_control
from launcher.controls import Controls
from launcher.counters import FeedCounters, RelayCounters
from launcher.feed import Feed, frames, hex_lines
from launcher.gor.flags import GorOption, is_output
from launcher.gor.folder import helper_program, make_place
from launcher.gor.launch import GorLaunch
from launcher.gor.processes import plan_processes
from launcher.leftovers import remove_leftovers, temporary_folders
from launcher.log import log
from launcher.mirror import Mirror, MirrorSettings
from launcher.mirror_queue import Budget, MirrorQueue
from launcher.news_lines import log_news
from launcher.plan import Mode, Plan
from launcher.poller import Poller
from launcher.relay import AppAddress, NewTap, Relay
from launcher.replay_protocol import MAX_DRAIN_SECONDS, ComparisonSettings
from launcher.replayers import Launch, Replayer
from launcher.roles import output_roles
from launcher.snapshot import Configuration, Snapshot
from launcher.stats import Stats
from launcher.supervisor import Site, Supervisor
from launcher.until import shown_time

_GOR_BATCH_SECONDS = 0.005


def run(plan: Plan, app: AppProcess) -> int:
    """Relays the app, which has just been started, until it exits. Its exit status."""
    launches = _launches(plan, _gor_helper(plan)) if plan.mode is Mode.MIRROR else []
    return trio.run(_serve, plan, app, launches)


async def _serve(plan: Plan, app: AppProcess, launches: Sequence[tuple[str, Launch]]) -> int:
    """Without launches the app is relayed and nothing is copied."""
    poller = Poller()
    new_tap: NewTap | None = None
    connections = RelayCounters()

    def new_relay(address: AppAddress, app_refused: Callable[[], None]) -> Relay:
        relay = Relay(poller, address, new_tap=new_tap, app_refused=app_refused, counters=connections)
        snapshot.relay = relay
        return relay

    assert plan.port is not None, "without a port the app runs by itself"
    site = Site(
        host=plan.host, port=plan.port, app_port=plan.app_port, app_socket=plan.app_socket,
        in_dyno=plan.in_dyno, drain_seconds=plan.options.drain_timeout,
    )  # fmt: skip
    supervisor = Supervisor(app, site, new_relay)
    mirroring = None
    configuration = Configuration.of(plan, app.process.pid)
    if launches:
        mirroring = Mirroring(plan, launches, poller, connections, supervisor.may_restart_replayers)
        new_tap = mirroring.mirror.new_tap
        snapshot = Snapshot(configuration, connections, mirroring.mirror, mirroring.replayers)
    else:
        snapshot = Snapshot(configuration, connections)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        nursery.start_soon(serve_control, snapshot, plan.environ)
        if plan.metrics_port is not None:
            from launcher.metrics_port import serve_metrics  # few ask for it

            nursery.start_soon(serve_metrics, snapshot, plan.metrics_port)
        if plan.app_socket is not None or (plan.replayer is not None and plan.replayer.gor is not None):
            nursery.start_soon(_tidy)
        status = await supervisor.run(mirroring)
        nursery.cancel_scope.cancel()
    return status


class Mirroring:
    """The mirror as a whole: the tap's side, and each replayer with its queue and feed."""

    def __init__(
        self,
        plan: Plan,
        launches: Sequence[tuple[str, Launch]],
        poller: Poller,
        connections: RelayCounters,
        may_restart: Callable[[], bool],
    ) -> None:
        self._plan = plan
        self._poller = poller
        budget = Budget(plan.options.buffer)
        self.replayers = [
            Replayer(
                name, launch,
                self._new_feed(MirrorQueue(budget, plan.options.buffer // len(launches), FeedCounters())),
                memory_bytes=plan.replayer_memory // len(launches), may_restart=may_restart,
            )
            for name, launch in launches
        ]  # fmt: skip
        settings = MirrorSettings(
            drop_headers=plan.options.drop_header,
            max_request_bytes=plan.max_request,
            split_output=plan.splits_output,
            selection=plan.options.selection,
            in_dyno=plan.in_dyno,
        )
        self.controls = Controls(sample_percent=plan.options.sample, rate_per_second=plan.options.rate)
        queues = [replayer.feed.queue for replayer in self.replayers]
        self.mirror = Mirror(queues, budget, settings, self.controls)
        self._stats = Stats(self.mirror, self.replayers, connections, plan.environ.get("DYNO"))
        self._started_at: float | None = None

    def start(self, nursery: trio.Nursery) -> None:
        """Starts the replayers; until they read, records wait in their queues."""
        self._started_at = trio.current_time()
        nursery.start_soon(self._stats.run, self._plan.options.stats_interval)
        if (seconds_left := self._seconds_left()) <= 0:  # the app took longer to start than that
            self._say_end()
            return
        choice = self._plan.replayer
        assert choice is not None
        to = " ".join(_shown(option) for option in self._plan.gor_options if is_output(option))
        until = shown_time(time.time() + seconds_left) if seconds_left < math.inf else None
        log(
            "mirroring", to=to, copies=self._plan.options.selected, replayer=choice.shown, because=choice.reason,
            until=until,
        )  # fmt: skip
        for replayer in self.replayers:
            nursery.start_soon(_run_walled, replayer)
        nursery.start_soon(self._brake)

    async def finish(self, seconds: float) -> None:
        """Lets the replayers end their work, for at most `seconds`, and tells what became of everything."""
        if self._started_at is None:
            return
        try:
            await self._finish_replayers(seconds)
            self._stats.tell_end()
            self._tell_compared()
        except Exception as error:  # noqa: BLE001 - the exit status is the app's, whatever happens here
            log("mirror-end-failed", level="error", error=repr(error))

    async def _brake(self) -> None:
        """Pauses and resumes; ends mirroring when the time of --until has come. A defect in here is not the app's."""
        try:
            watch = new_brake_watch(self.controls, self._plan.options.max_cpu, self._leaders)
            await watch.run(self._seconds_left)
            self._say_end()
            await self._finish_replayers(MAX_DRAIN_SECONDS)
        except Exception as error:  # noqa: BLE001 - trio's cancellation is no Exception
            log("brakes-failed", level="error", error=repr(error))

    def _leaders(self) -> list[int]:
        """The process groups of the replayers that run."""
        return [replayer.pid for replayer in self.replayers if replayer.pid is not None]

    def _seconds_left(self) -> float:
        """Until the time of --until; the clock is asked each time, because it may be set."""
        until = self._plan.options.until
        if until is None or self._started_at is None:
            return math.inf
        return until.seconds_left(time.time(), trio.current_time() - self._started_at)

    def _say_end(self) -> None:
        assert self._plan.options.until is not None, "mirroring ends by itself by --until only"
        reason = f"--until {self._plan.options.until.text} is over"
        self.controls.pause("until", reason)
        log("mirroring-ended", reason=reason, app="goes on, relayed")

    async def _finish_replayers(self, seconds: float) -> None:
        async with trio.open_nursery() as nursery:
            for replayer in self.replayers:
                nursery.start_soon(replayer.finish, seconds)

    def compared(self) -> Mapping[str, Any] | None:
        """The newest report of the comparison; None if there is none, or none yet."""
        return next((account.compared() for _, account in accounts(self.replayers)), None)

    def _tell_compared(self) -> None:
        if (report := self.compared()) is None:
            return
        from launcher.compared import tell_compared, write_report  # only who compares needs it

        tell_compared(report)
        if self._plan.options.report_file:
            write_report(self._plan.options.report_file, report)

    def _new_feed(self, queue: MirrorQueue) -> Feed:
        assert self._plan.replayer is not None
        if self._plan.replayer.gor is not None:
            return Feed(self._poller, queue, hex_lines, batch_seconds=_GOR_BATCH_SECONDS)
        return Feed(self._poller, queue, frames)


def _launches(plan: Plan, gor_helper: bytes | None) -> list[tuple[str, Launch]]:
    """Each replayer process's name and how to start it."""
    assert plan.replayer is not None, "a plan that mirrors has a replayer"
    if plan.replayer.gor is None:
        roles = output_roles(plan.gor_options)
        queues = sum(is_output(option) or option.name == "middleware" for option in plan.gor_options) + bool(roles)
        launch = BuiltinLaunch(
            options=plan.gor_options,
            environ=plan.environ,
            queue_bytes=queue_bytes(plan.replayer_memory, queues),
            stats_interval=plan.options.stats_interval,
            account=ReplayAccount(log_news),
            comparison=_comparison(plan, roles),
        )
        return [("builtin", launch)]
    if gor_helper is None:
        return []
    processes = plan_processes(plan.gor_options, plan.replayer.gor)
    memory_bytes = plan.replayer_memory // len(processes)
    return [
        (process.shown, GorLaunch(plan.replayer.gor, process, gor_helper, plan.environ, memory_bytes))
        for process in processes
    ]


def _comparison(plan: Plan, roles: tuple[str, ...]) -> ComparisonSettings | None:
    if not roles:
        return None
    return ComparisonSettings(roles=roles, ignored=plan.options.ignore, keep_bodies=plan.options.keep_bodies)


async def _run_walled(replayer: Replayer) -> None:
    """A defect in what is around a replayer ends that replayer, not the app."""
    try:
        await replayer.run()
    except Exception as error:  # noqa: BLE001 - trio's cancellation is no Exception
        log("replayer-failed", level="error", replayer=replayer.name, error=repr(error), mirroring="off")
        replayer.give_up()


def _shown(option: GorOption) -> str:
    """An output as the log names it."""
    return option.shown if option.name == "output-http" else f"--{option.name}"


def _gor_helper(plan: Plan) -> bytes | None:
    """The program of gor's helper; None if there is no gor, or no place for its pipes: then nothing is copied."""
    if plan.replayer is None or plan.replayer.gor is None:
        return None
    try:
        program = helper_program()
        make_place(program).remove()
    except OSError as error:
        log("unmirrored", level="error", reason=str(error), app=Mode.RELAY.value)
        return None
    return program


async def _tidy() -> None:
    """Removes what launchers that were killed have left, where this one may put the like; nobody waits for it."""
    with suppress(RuntimeError):  # no thread may be started any more
        await trio.to_thread.run_sync(remove_leftovers, temporary_folders(), abandon_on_cancel=True)
