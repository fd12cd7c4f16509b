"""Apps that go wrong, by programs/bad_app.py. What the app loses by itself, clients lose without the launcher, too."""

from __future__ import annotations

import os
import resource
import select
import signal
import time
from contextlib import suppress

from bench.loads import processor_ns
from faults.destination import WellServed
from faults.scenario import ANSWER_SECONDS, MIB, OK_END, WORK_US, Place, Run, Seen, Setup, python, read_answer
from tests.system import accounts
from tests.system.sink import wait_until

_SOCKETS = 5000
_ANSWERS, _QUICK_ANSWERS = 800, 100  # before it ends: most of the load's time behind its first second, or some
_SAMPLE_SECONDS = 0.02
_EARLY_SECONDS = 0.1  # from one upload to the next: in both halves so many
_ANSWER_SECONDS = 20.0  # a GB has to pass


class BadApp(WellServed):
    group = "App"
    has_own_app = True
    mode = ""

    def answers(self, place: Place) -> int:
        """Behind which it crashes, if it does that."""
        return _QUICK_ANSWERS if place.is_quick else _ANSWERS

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        setup.command = python("bad_app.py", self.mode, str(WORK_US), str(self.answers(place)))
        return setup


class Ends(BadApp):
    """It ends in the middle of the load, and the launcher with it."""

    app_may_fail = True
    more_errors = 32  # one a connection: how many are under way in that moment is chance
    rate = 400.0
    seconds = 1.5
    status = 0

    def stop(self, run: Run) -> None:
        self.seen_status = run.launched.wait()

    def until_ready(self, run: Run) -> None:
        self.copies_arrive = not run.place.is_quick  # else it ends while the replayer starts, and may be killed then
        self.replayer_dies = run.place.is_quick
        pid = run.launched.pid
        self.samples = [(accounts.resident_bytes(pid), processor_ns([pid]))]  # the peak is forgotten a moment later

    def fault(self, run: Run) -> None:
        """Looks at the launcher until it ends with the app: behind the load there is nobody to look at."""
        while run.launched.is_running and not run.ended.is_set():
            if sample := _sample(run):
                self.samples.append(sample)
            time.sleep(_SAMPLE_SECONDS)
        self.seen_status = run.launched.wait()

    def judge(self, run: Run, seen: Seen) -> None:
        assert self.seen_status == self.status, f"the status is {self.seen_status}, and the app's {self.status}"
        if len(self.samples) > 1:
            (at_first, used_at_first), (at_last, used_at_last) = self.samples[0], self.samples[-1]
            seen.grown_mib = (at_last - at_first) / MIB
            seen.processor_us = (used_at_last - used_at_first) / 1000 / max(seen.answered, 1)
            assert not run.place.is_mirrored or at_last - at_first <= self.most_grown_bytes, (
                f"the launcher grew by {seen.grown_mib:.1f} MiB"
            )


class NeverServes(Ends):
    """Its process ends before anybody could connect."""

    no_balance = "nothing is mirrored"
    judges_latency = False  # nobody is answered
    seconds = quick_seconds = 1.0

    def until_served(self, run: Run) -> None:
        self.seen_status = run.launched.wait()

    def until_ready(self, run: Run) -> None:
        self.samples = []

    def fault(self, run: Run) -> None:
        """It has happened."""


class CrashesAtStart(NeverServes):
    name = "app-crashes-at-start"
    says = "ends before it listens, with status 3: clients are refused"
    mode = "crash-at-start"
    status = 3

    def judge(self, run: Run, seen: Seen) -> None:
        super().judge(run, seen)
        assert run.launched.is_refused(), "somebody listens"


class Daemonises(NeverServes):
    """By itself it goes on to serve, where the platform lets it: one ends all processes with the first. With the
    launcher nobody listens any more, and a line tells why."""

    name = "app-daemonises"
    says = (
        "goes to the background: its first process ends with 0, and so does the launcher; clients are refused, and the "
        "daemon is left, as without the launcher"
    )
    mode = "daemon"

    def fault(self, run: Run) -> None:
        """The load is only for the half in which somebody listens."""
        self.was_refused = run.launched.is_refused()
        run.wait(run.seconds * 2)
        self.left = run.launched.processes()
        run.launched.send_signal_to_all(signal.SIGKILL)

    def judge(self, run: Run, seen: Seen) -> None:
        super().judge(run, seen)
        assert self.was_refused is run.place.is_mirrored, f"refused: {self.was_refused}"
        assert len(self.left) == 1, f"there should be the daemon, and nothing else: {self.left}"
        if run.place.is_mirrored:
            assert run.launched.facts("app-left"), "nobody has told why"


class Crashes(Ends):
    name = "app-crashes"
    says = "ends in a request, with status 3"
    mode = "crash"
    status = 3


class Segfaults(Ends):
    name = "app-segfaults"
    says = "ends in a request, with SIGSEGV"
    mode = "segfault"

    def judge(self, run: Run, seen: Seen) -> None:
        self.status = 139 if run.place.is_mirrored else -11  # exec'd it is the process itself that is waited for
        super().judge(run, seen)


class ExitsWell(Ends):
    name = "app-exits-0"
    says = "ends with status 0 while clients wait"
    mode = "exit-0"


class Pauses(BadApp):
    """It accepts nobody for a while; those that are connected are served."""

    newcomers = 20

    def fault(self, run: Run) -> None:
        run.wait(0.2)
        run.launched.send_signal(signal.SIGUSR1)
        run.wait(0.2)  # the launcher hands it down
        self.come(run)
        run.launched.send_signal(signal.SIGUSR1)
        self.are_served(run)

    def come(self, run: Run) -> None:
        """Clients, while it accepts nobody."""

    def are_served(self, run: Run) -> None:
        """Clients, once it does again."""


class StopsAccepting(Pauses):
    name = "app-stops-accepting"
    says = "accepts nobody for a while: 20 that come meanwhile wait, and are served later"
    mode = "leaves-waiting"
    beside = Pauses.newcomers

    def come(self, run: Run) -> None:
        self.clients = [run.connect_for_all() for _ in range(self.newcomers)]
        for client in self.clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: app\r\n\r\n")
        run.wait(0.2)
        assert not select.select(self.clients, [], [], 0)[0], "somebody was answered"

    def are_served(self, run: Run) -> None:
        for client in self.clients:
            assert read_answer(client).endswith(OK_END), "a client that had waited got no answer"
            client.close()


class ClosesDoor(Pauses):
    name = "app-closes-door"
    says = "closes its listener for a while: 20 that come meanwhile are refused, by the launcher but for the first"
    mode = "closes-door"

    def come(self, run: Run) -> None:
        with suppress(OSError), run.connect() as first:  # finds out: it is reset
            assert not first.recv(1), "somebody was answered"
        wait_until(lambda: self.is_refused(run), "the launcher's door closes, too", ANSWER_SECONDS)
        assert all(run.launched.is_refused() for _ in range(self.newcomers)), "somebody got in"

    def is_refused(self, run: Run) -> bool:
        try:
            return run.launched.is_refused()
        except ConnectionResetError:  # one more that came before the door was closed
            return False

    def are_served(self, run: Run) -> None:
        wait_until(lambda: not run.launched.is_refused(), "it accepts again", ANSWER_SECONDS)


class Workers(BadApp):
    name = "app-workers"
    says = "forks workers, and replaces one each 0.4 s"
    mode = "workers"
    workers = 2

    def judge(self, run: Run, seen: Seen) -> None:
        started = run.launched.output.count("worker\n")
        assert started > self.workers, f"{started} workers were started: none was replaced"


class Closes(BadApp):
    name = "app-closes"
    says = "closes each connection behind its answer, and has not said so"
    mode = "closes"
    rate = 200.0  # a connection is not used again before its end has been seen

    def judge(self, run: Run, seen: Seen) -> None:
        closed = int(run.launched.output.partition("closed ")[2] or 0)
        assert closed >= seen.answered > 0, f"{closed} connections were closed behind {seen.answered} answers"


class AnswersEarly(BadApp):
    name = "app-answers-early"
    says = "answers uploads of 256 KB, 10 a second, before their bodies have come"
    mode = "early"
    body = b"x" * (MIB // 4)
    beside = 0

    def fault(self, run: Run) -> None:
        client = run.connect_for_all(_ANSWER_SECONDS)
        while not run.wait(_EARLY_SECONDS):
            client.sendall(b"POST /early HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n" % len(self.body))
            client.sendall(self.body[:1000])
            assert read_answer(client).endswith(OK_END), "no answer came while the body was missing"
            client.sendall(self.body[1000:])
            self.beside += 1
        client.close()


class Streams(BadApp):
    name = "app-streams"
    says = "sends events for ever on 20 connections (SSE)"
    mode = "events"
    streams = beside = 20

    def fault(self, run: Run) -> None:
        clients = [run.connect_for_all(_ANSWER_SECONDS) for _ in range(self.streams)]
        for client in clients:
            client.sendall(b"GET /events HTTP/1.1\r\nHost: app\r\n\r\n")
        while not run.wait(0.1):
            for client in clients:
                assert client.recv(4096), "a stream ended"


class Bulk(WellServed):
    """One large transfer beside the load, over a link of 2 Gbit/s: without a pace it would take all of the machine, in
    each half another share."""

    group = "App"
    seconds = 5.0  # 1 GiB takes 4.3
    bytes_per_second = 250e6
    beside = 1

    def bytes_to_move(self, run: Run) -> int:
        return 64 * MIB if run.place.is_quick else 1024 * MIB

    def keep_pace(self, started_at: float, nbytes: int) -> None:
        """To be called when so many bytes have been moved."""
        time.sleep(max(0.0, started_at + nbytes / self.bytes_per_second - time.monotonic()))


class Downloads(Bulk):
    name = "app-download"
    says = "answers with 1 GB at 250 MB/s (--quick: 64 MB)"

    def fault(self, run: Run) -> None:
        self.got, started_at = 0, time.monotonic()
        with run.connect(_ANSWER_SECONDS) as client:
            client.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: app\r\n\r\n" % self.bytes_to_move(run))
            while data := client.recv(1 << 20):
                self.got += len(data)
                self.keep_pace(started_at, self.got)

    def judge(self, run: Run, seen: Seen) -> None:
        assert self.got > self.bytes_to_move(run), f"{self.got} bytes have come"


class Uploads(Bulk):
    name = "app-upload"
    says = "is sent 1 GB at 250 MB/s (--quick: 64 MB), more than --max-request"

    def fault(self, run: Run) -> None:
        left = size = self.bytes_to_move(run)
        started_at = time.monotonic()
        with run.connect(_ANSWER_SECONDS) as client:
            client.sendall(b"POST /discard HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n" % left)
            block = bytes(1 << 20)
            while left:
                client.sendall(block[:left])
                left -= min(left, len(block))
                self.keep_pace(started_at, size - left)
            assert read_answer(client).endswith(OK_END), "the upload was not answered"

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            assert accounts.tap_counters(run.launched).get("dropped_large", 0) == 1


class Sockets(BadApp):
    name = "app-sockets"
    says = f"holds {_SOCKETS:,} sockets of its own"
    mode = "sockets"

    def missing(self) -> str | None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return None if hard >= _SOCKETS + 200 else f"a process may have {hard} descriptors (ulimit -Hn)"

    def until_ready(self, run: Run) -> None:
        held = max(len(os.listdir(f"/proc/{pid}/fd")) for pid in run.launched.processes())
        assert held > _SOCKETS, f"nobody holds more than {held} descriptors"


def _sample(run: Run) -> tuple[int, int] | None:
    """The launcher's peak memory in bytes, and its processor time in nanoseconds; None if it has ended."""
    try:
        return accounts.peak_resident_bytes(run.launched.pid), processor_ns([run.launched.pid])
    except (OSError, KeyError, ValueError):
        return None
