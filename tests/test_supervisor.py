"""The supervisor with a real app, and something simple in the mirror's place."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys

import pytest
import trio

from launcher.app_command import AppCommand
from launcher.app_process import CONCERNING_THE_APP, AppProcess
from launcher.counters import RelayCounters
from launcher.poller import Poller
from launcher.relay import Relay
from launcher.supervisor import Site, Supervisor

EXITS_AT_THE_FIRST_CONNECTION = "import socket, sys; socket.create_server(('127.0.0.1', int(sys.argv[1]))).accept()"
EXITS_WHEN_TOLD = """
import socket, sys
listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))
while not listener.accept()[0].recv(1):
    pass
"""


@pytest.fixture(autouse=True)
def _signals_as_before():
    before = {number: signal.getsignal(number) for number in (getattr(signal, name) for name in CONCERNING_THE_APP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Started:
    """Notes whether it was started; nothing else."""

    was_started = False

    def start(self, nursery: trio.Nursery) -> None:
        self.was_started = True

    async def finish(self, seconds: float) -> None:
        pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_an_app_that_ends_between_its_first_accept_and_the_launcher_s_is_not_mirrored():
    """Its end may have been told by then: what starts afterwards would have no end of its own."""
    site = Site(
        host="127.0.0.1", port=free_port(), app_port=free_port(), app_socket=None, in_dyno=False, drain_seconds=5
    )
    words = (sys.executable, "-c", EXITS_AT_THE_FIRST_CONNECTION, str(site.app_port))
    app = AppProcess(AppCommand(argv=words, environ=dict(os.environ)))
    mirroring = Started()
    relays = []

    async def run() -> int:
        poller = Poller()

        def new_relay(address, app_refused):
            os.waitid(os.P_PID, app.process.pid, os.WEXITED | os.WNOWAIT)
            relays.append(Relay(poller, address, new_tap=None, app_refused=app_refused, counters=RelayCounters()))
            return relays[0]

        return await Supervisor(app, site, new_relay).run(mirroring)

    assert trio.run(run) == 0
    assert relays and not relays[0].is_listening
    assert not mirroring.was_started


def test_garbage_is_looked_for_seldom_once_clients_come_and_not_in_what_the_start_has_made():
    """A full collection with 5,000 connections shows in the app's p99."""
    site = Site(
        host="127.0.0.1", port=free_port(), app_port=free_port(), app_socket=None, in_dyno=False, drain_seconds=5
    )
    words = (sys.executable, "-c", EXITS_WHEN_TOLD, str(site.app_port))
    app = AppProcess(AppCommand(argv=words, environ=dict(os.environ)))
    seen = []

    async def run() -> None:
        poller = Poller()

        def new_relay(address, app_refused):
            return Relay(poller, address, new_tap=None, app_refused=app_refused, counters=RelayCounters())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            nursery.start_soon(tell_app)
            await Supervisor(app, site, new_relay).run(None)
            nursery.cancel_scope.cancel()

    async def tell_app() -> None:
        while True:
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", site.port)
                break
            except OSError:
                await trio.sleep(0.01)
        seen.append((gc.get_freeze_count(), gc.get_threshold()))
        await stream.send_all(b"x")
        await stream.aclose()

    before = gc.get_threshold()
    try:
        trio.run(run)
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
    (frozen, thresholds), = seen
    assert frozen > 1000
    assert thresholds[0] >= 10_000 and thresholds[2] >= 100
