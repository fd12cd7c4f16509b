"""SIGTERM while clients ask: at random moments, many times, and at each moment of a request's life.

The app ends in good order: it answers what comes on the connections that there are, with `Connection: close`, so a
client that is careful loses nothing when it asks the app alone. Through the launcher it must lose nothing either.
"""

from __future__ import annotations

import random
import signal
import socket
import time

from faults.destination import destination
from faults.scenario import Place, Run, Scenario, Seen, Setup, app_command, read_answer
from tests.system import accounts

_OPEN_SECONDS = 0.5
_BODY = b"x" * 2000
_LARGE_BYTES = 64_000_000  # more than all sockets on its way hold: most of it is still to be written
_LAST_EVENT = b"data: the last\n\n"
_REQUEST = b"POST /moment HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY


class Shutdown(Scenario):
    """SIGTERM in the middle of the load; `stop` only waits, in `fault` already: behind the load all may be over."""

    group = "Shutdown"
    ends_with_app = True
    judges_latency = False  # the load ends in the middle
    judges_door = True
    copies_arrive = False  # the signal may come while the replayer starts
    rate = 400.0
    seconds = quick_seconds = 3.0  # the load ends with the app: were it over before, nobody would see the door
    latest_seconds = 0.8  # the signal
    in_dyno = False
    to_all = False  # as Heroku does: to every process of the dyno
    signals = 1

    def prepare(self, place: Place) -> Setup:
        environ = {"DYNO": "web.1"} if self.in_dyno else {}
        return Setup(options=self.options(place), command=app_command(work_us=100, wait_ms=5), environ=environ)

    def options(self, place: Place) -> list[str]:
        return ["--to", destination(place, "well")]

    def fault(self, run: Run) -> None:
        self.signal(run)
        self.stop(run)

    def signal(self, run: Run) -> None:
        run.wait(random.uniform(0.05, self.latest_seconds))
        self.stopped_at = time.monotonic()
        for _ in range(self.signals):
            if self.to_all:
                run.launched.send_signal_to_all(signal.SIGTERM)
            elif run.launched.is_running:
                run.launched.send_signal(signal.SIGTERM)

    def stop(self, run: Run) -> None:
        self.status = run.launched.wait()
        self.ended_after = time.monotonic() - self.stopped_at

    def judge(self, run: Run, seen: Seen) -> None:
        seen.stop_seconds = self.ended_after  # the load ended with the app
        assert self.status == 0, f"the status is {self.status}, and the app's is 0"
        assert self.ended_after < self.longest_stop_seconds, f"the end took {self.ended_after:.1f} s"


class AtRandom(Shutdown):
    name = "shutdown-random"
    says = "SIGTERM at a random moment under load"
    times = 300
    quick_times = 8


class InDyno(Shutdown):
    name = "shutdown-dyno"
    says = "SIGTERM to every process, twice, as in a dyno, at a random moment under load"
    times = 100
    quick_times = 4
    in_dyno = to_all = True
    signals = 2


class WithHangingDestination(Shutdown):
    name = "shutdown-destination-hangs"
    says = "SIGTERM at a random moment under load, with a destination that hangs"
    times = 100
    quick_times = 4

    def options(self, place: Place) -> list[str]:
        self.url = destination(place, "hang")
        return ["--to", self.url]

    def judge(self, run: Run, seen: Seen) -> None:
        super().judge(run, seen)
        ends = accounts.outcomes(run.launched, self.url) if run.launched.facts("output") else {}
        assert not run.place.is_mirrored or "2xx" not in ends, f"the destination has answered: {ends}"


class LateDoor(Shutdown):
    """For the app nothing has changed until it knows: who comes until then is served, by the launcher as without it."""

    name = "shutdown-late-door"
    says = f"SIGTERM to an app that goes on for {_OPEN_SECONDS:g} s: those who come in that time are served"
    beside = 0

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        setup.command = [*setup.command, "--open-ms", str(1000 * _OPEN_SECONDS)]
        return setup

    def fault(self, run: Run) -> None:
        self.signal(run)
        while time.monotonic() < self.stopped_at + _OPEN_SECONDS / 2:
            with run.connect() as client:
                client.sendall(_REQUEST)
                answer = read_answer(client)
            assert answer.startswith(b"HTTP/1.1 200 "), f"somebody who came then got {answer!r}"
            self.beside += 1
        assert self.beside, "nobody came in time"
        self.stop(run)


class AtEachMoment(Shutdown):
    """Beside the load there is a client at each moment of a request's life when the signal comes."""

    name = "shutdown-moments"
    says = (
        "SIGTERM with a request before its first byte, inside its head, inside its body, before its answer, inside a "
        "large answer, inside a stream of events"
    )
    latest_seconds = 0.1  # there is enough to do before
    cuts = (0, 10, len(_REQUEST) - len(_BODY) - 2, len(_REQUEST) - len(_BODY), len(_REQUEST) - 1, len(_REQUEST))
    beside = 2 * len(cuts) + 2  # each of those had one before; and the two whose answers are long

    def fault(self, run: Run) -> None:
        run.wait(0.2)
        large = self.begin(run, b"/bytes/%d" % _LARGE_BYTES)
        events = self.begin(run, b"/events")
        clients = [run.connect() for _ in self.cuts]
        for client in clients:  # a request before: the connection is one that the app has accepted
            client.sendall(_REQUEST)
            assert read_answer(client).startswith(b"HTTP/1.1 200 ")
        for client, cut in zip(clients, self.cuts, strict=True):
            client.sendall(_REQUEST[:cut])
        self.signal(run)
        time.sleep(0.05)  # inside the app's grace
        for client, cut in zip(clients, self.cuts, strict=True):
            client.sendall(_REQUEST[cut:])
            answer = read_answer(client)
            assert answer.startswith(b"HTTP/1.1 200 "), f"cut at {cut}, the request got {answer!r}"
            client.close()
        told = _rest(events)
        assert told.endswith(_LAST_EVENT) and told.count(_LAST_EVENT) == 1, f"the stream's end was {told[-100:]!r}"
        got = len(_rest(large))
        assert got == _LARGE_BYTES - 1, f"of the large answer {got} bytes of {_LARGE_BYTES - 1} have come"
        self.stop(run)

    def begin(self, run: Run, target: bytes) -> socket.socket:
        """A client that has had its answer's head, and the first byte behind it."""
        client = run.connect_for_all()
        client.sendall(b"GET %s HTTP/1.1\r\nHost: app\r\n\r\n" % target)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        assert client.recv(1), "the answer has ended before the signal"
        return client


def _rest(client: socket.socket) -> bytes:
    """All that comes up to the connection's end. A reset raises ConnectionResetError."""
    got = bytearray()
    while data := client.recv(1 << 20):
        got += data
    client.close()
    return bytes(got)
