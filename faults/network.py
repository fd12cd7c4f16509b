"""Machines whose network lacks something: a port that somebody else has, a loopback without IPv6."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from faults.destination import destination
from faults.machine import PoorMachine
from faults.scenario import Place, Run, Seen, Setup, app_command
from tests.system.launched import PATIENCE_SECONDS
from tests.system.machine import free_port, listener, listeners
from tests.system.sink import wait_until


class PortTaken(PoorMachine):
    """Another app has $PORT already. Without the launcher the app finds that, and ends; so it must with it."""

    name = "machine-port-taken"
    says = "has another app on $PORT: ours can't listen, and ends; clients meet the other"
    judges_latency = False  # it is another app's
    no_balance = "nothing is mirrored"
    rate = 200.0

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        port = free_port()
        other = subprocess.Popen([*app_command(), "--port", str(port)])
        place.stack.callback(other.wait)
        place.stack.callback(other.kill)
        wait_until(lambda: _is_open(port), "the other app listens", PATIENCE_SECONDS)
        setup.environ["PORT"] = str(port)
        return setup

    def until_served(self, run: Run) -> None:
        self.status = run.launched.wait()

    def judge(self, run: Run, seen: Seen) -> None:
        assert self.status == 1, f"the status is {self.status}, and the app's 1"
        assert "address already in use" in run.launched.log.lower(), "the app did not tell"
        if run.place.is_mirrored:
            assert run.launched.facts("unmirrored"), "the launcher has not told why nothing is copied"


class AppPortTaken(PoorMachine):
    name = "machine-app-port-taken"
    says = "has somebody on the port behind $PORT, which the app would get"

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        port = free_port()
        self.taken = port + 1
        place.stack.enter_context(listener(self.taken))
        setup.environ["PORT"] = str(port)
        return setup

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            [line] = run.launched.facts("listening")
            assert line["app"] != f"127.0.0.1:{self.taken}", "the app got the port that somebody had"


class NoIPv6(PoorMachine):
    """A network namespace with nothing but a loopback of IPv4; launcher, app, destination and clients are in it."""

    name = "machine-no-ipv6"
    says = "has no IPv6 at all, on loopback neither (a network namespace)"

    def missing(self) -> str | None:
        with ExitStack() as stack:
            try:
                _without_ipv6(stack)
            except (OSError, subprocess.CalledProcessError) as error:
                return f"a network namespace without IPv6 (ip netns) needs root: {getattr(error, 'stderr', error)}"
        return None

    def prepare(self, place: Place) -> Setup:
        self.inside = _without_ipv6(place.stack)
        return Setup(options=["--to", destination(place, "well", prefix=self.inside)], prefix=self.inside)

    def client_prefix(self) -> Sequence[str]:
        return self.inside

    def until_served(self, run: Run) -> None:
        if run.place.is_mirrored:
            run.launched.wait_until_listening()
        else:  # no client of ours gets in there
            ours = f"tcp 127.0.0.1:{run.port}"
            wait_until(lambda: ours in listeners(run.launched.pid), "the app listens", PATIENCE_SECONDS)

    def fault(self, run: Run) -> None:
        addresses = Path(f"/proc/{run.launched.pid}/net/if_inet6").read_text()
        assert not addresses, f"there is IPv6: {addresses}"


def _without_ipv6(stack: ExitStack) -> list[str]:
    """Words that run a command in such a namespace. Raises OSError, CalledProcessError."""
    name = f"faults-no-ipv6-{os.getpid()}"
    ip = shutil.which("ip") or "/sbin/ip"
    inside = [ip, "netns", "exec", name]
    _run(ip, "netns", "add", name)
    stack.callback(_run, ip, "netns", "delete", name)
    _run(*inside, "sh", "-ec", 'for file in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > "$file"; done')
    _run(*inside, "ip", "link", "set", "lo", "up")
    return inside


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)


def _is_open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return True
    except OSError:
        return False
