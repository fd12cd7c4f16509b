"""Apps that go wrong, by programs/bad_app.py. What the app loses by itself, clients lose without the launcher, too."""

from __future__ import annotations

from faults.destination import WellServed
from faults.scenario import MIB, OK_END, WORK_US, Place, Run, Seen, Setup, python, read_answer
from tests.system import accounts

_ANSWER_SECONDS = 20.0  # a GB has to pass


class BadApp(WellServed):
    group = "App"
    has_own_app = True
    mode = ""

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        setup.command = python("bad_app.py", self.mode, str(WORK_US))
        return setup


class Ends(BadApp):
    """It ends in the middle of the load, and the launcher with it."""

    app_may_fail = True
    more_errors = 32  # one a connection: how many are under way in that moment is chance
    judges_latency = False  # of those few that are answered
    rate = 400.0
    seconds = quick_seconds = 1.0
    status = 0

    def stop(self, run: Run) -> None:
        self.seen_status = run.launched.wait()

    def fault(self, run: Run) -> None:
        self.seen_status = run.launched.wait()

    def judge(self, run: Run, seen: Seen) -> None:
        assert self.seen_status == self.status, f"the status is {self.seen_status}, and the app's {self.status}"


class Crashes(Ends):
    name = "app-crashes"
    says = "ends in a request, with status 3"
    mode = "crash"
    status = 3


class Segfaults(Ends):
    name = "app-segfaults"
    says = "ends in a request, with SIGSEGV"
    mode = "segfault"

    def judge(self, run: Run, seen: Seen) -> None:  # exec'd by the launcher it is the process itself that is waited for
        assert self.seen_status == (139 if run.place.is_mirrored else -11), f"the status is {self.seen_status}"


class ExitsWell(Ends):
    name = "app-exits-0"
    says = "ends with status 0 while clients wait"
    mode = "exit-0"


class Workers(BadApp):
    name = "app-workers"
    says = "forks workers, and replaces one each 0.4 s"
    mode = "workers"


class Closes(BadApp):
    name = "app-closes"
    says = "closes each connection behind its answer, and has not said so"
    mode = "closes"
    rate = 200.0  # a connection is not used again before its end has been seen


class AnswersEarly(BadApp):
    name = "app-answers-early"
    says = "answers uploads before their bodies have come"
    mode = "early"
    body = b"x" * MIB

    def fault(self, run: Run) -> None:
        client = run.connect_for_all(_ANSWER_SECONDS)
        while not run.ended.is_set():
            client.sendall(b"POST /early HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n" % len(self.body))
            client.sendall(self.body[:1000])
            assert read_answer(client).endswith(OK_END), "no answer came while the body was missing"
            client.sendall(self.body[1000:])
        client.close()


class Streams(BadApp):
    name = "app-streams"
    says = "sends events for ever on 20 connections (SSE)"
    mode = "events"
    streams = 20

    def fault(self, run: Run) -> None:
        clients = [run.connect_for_all(_ANSWER_SECONDS) for _ in range(self.streams)]
        for client in clients:
            client.sendall(b"GET /events HTTP/1.1\r\nHost: app\r\n\r\n")
        while not run.wait(0.1):
            for client in clients:
                assert client.recv(4096), "a stream ended"


class Bulk(WellServed):
    """One large transfer beside the load."""

    group = "App"
    seconds = 3.0

    def bytes_to_move(self, run: Run) -> int:
        return 64 * MIB if run.place.is_quick else 1024 * MIB


class Downloads(Bulk):
    name = "app-download"
    says = "answers with 1 GB (--quick: 64 MB)"

    def fault(self, run: Run) -> None:
        self.got = 0
        with run.connect(_ANSWER_SECONDS) as client:
            client.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: app\r\n\r\n" % self.bytes_to_move(run))
            while data := client.recv(1 << 20):
                self.got += len(data)

    def judge(self, run: Run, seen: Seen) -> None:
        assert self.got > self.bytes_to_move(run), f"{self.got} bytes have come"


class Uploads(Bulk):
    name = "app-upload"
    says = "is sent 1 GB (--quick: 64 MB), more than --max-request"

    def fault(self, run: Run) -> None:
        left = self.bytes_to_move(run)
        with run.connect(_ANSWER_SECONDS) as client:
            client.sendall(b"POST /discard HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n" % left)
            block = bytes(1 << 20)
            while left:
                client.sendall(block[:left])
                left -= min(left, len(block))
            assert read_answer(client).endswith(OK_END), "the upload was not answered"

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            assert accounts.tap_counters(run.launched).get("dropped_large", 0) == 1


class Sockets(BadApp):
    name = "app-sockets"
    says = "holds 5,000 sockets of its own"
    mode = "sockets"
