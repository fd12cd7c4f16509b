"""The supervisor with a real app, and something simple in the mirror's place."""

from __future__ import annotations

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
