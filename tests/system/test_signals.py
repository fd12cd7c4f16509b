"""What signals do: each reaches the app once, and requests that are under way are answered before all ends.

In a dyno the platform sends SIGTERM to every process, so these tests do; other signals go to the launcher alone.
"""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.needs import NAMESPACES, unavailable
from tests.system.destination import Destination
from tests.system.launched import PATIENCE_SECONDS, Answer, Launched, Product, app
from tests.system.machine import listener
from tests.system.sink import wait_until

DYNO = {"DYNO": "web.1"}
PLACES: dict[str, dict[str, str | None]] = {"dyno": {**DYNO}, "elsewhere": {"DYNO": None}}
LONGER_THAN_THE_LAUNCHER_WAITS = 2.5  # in a dyno it looks after 2 s whether the app has been told
CTRL_C = "\x03"
ROUNDS = 30  # of clients that come again; one that comes too early to be refused is a matter of a millisecond
FORWARDED = ("SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU", "SIGWINCH")


class Client(threading.Thread):
    """A request that the app does not answer yet."""

    def __init__(self, launched: Launched) -> None:
        super().__init__(daemon=True)
        self._launched = launched
        self._answer: Answer | OSError | None = None

    def run(self) -> None:
        try:
            self._answer = self._launched.http("GET", "/wait")
        except OSError as error:
            self._answer = error

    def answer(self) -> Answer | OSError | None:
        """What it got in the end: None if nothing came."""
        self.join(PATIENCE_SECONDS)
        return self._answer


@contextmanager
def serving(product: Product, destination: Destination, environ: dict[str, str | None]) -> Iterator[Launched]:
    """A launcher whose app accepts clients."""
    with product.launch(["--to", destination.url], app("controlled.py", "listen"), environ=environ) as launched:
        launched.wait_until_listening()
        yield launched


def request_under_way(launched: Launched) -> Client:
    client = Client(launched)
    client.start()
    launched.wait_for_output("waiting")
    return client


def send_as_the_platform_does(launched: Launched, number: int) -> None:
    if number == signal.SIGTERM and "DYNO" in launched.environ:
        launched.send_signal_to_all(number)
    else:
        launched.send_signal(number)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_stopping_app_is_told_once_and_answers_what_is_under_way_and_what_still_comes(
    product: Product, name: str, place: str
) -> None:
    with Destination() as destination, serving(product, destination, PLACES[place]) as launched:
        client = request_under_way(launched)
        send_as_the_platform_does(launched, signal.Signals[name])
        launched.wait_for_output(f"got {name}")
        assert launched.http("GET", "/while-it-still-accepts").status == 200
        launched.tell("stop-listening")
        launched.wait_for_line("not-listening")
        assert launched.is_refused()
        launched.tell("answer")
        answer = client.answer()
        assert isinstance(answer, Answer) and answer.body == b"GET /wait 0\n"
        launched.tell(f"exit 3 {LONGER_THAN_THE_LAUNCHER_WAITS if name == 'SIGTERM' else 0}")
        assert launched.wait() == 3
        assert launched.output.count("got ") == 1, launched.story()
        [line] = launched.facts("signal")
        is_held_back = name == "SIGTERM" and place == "dyno"
        assert (line["signal"], line["passed_on"]) == (name, "no" if is_held_back else "yes")
        assert {arrival.target for arrival in destination.arrivals} == {"/wait", "/while-it-still-accepts"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the app is asked by connecting, ten times a second")
def test_whoever_comes_after_a_stopping_app_s_answer_is_refused_if_the_app_would_have_refused_it(
    product: Product,
) -> None:
    """Not accepted, and then reset: the answer may have said `Connection: close`, so its client comes at once."""
    with product.launch(["--to", "http://127.0.0.1:9"], app("leaving.py")) as launched:
        launched.wait_until_listening()
        launched.send_signal(signal.SIGTERM)
        launched.wait_for_line("signal")
        with launched.connect() as client:
            for _ in range(ROUNDS):
                client.sendall(b"GET / HTTP/1.1\r\nHost: app\r\n\r\n")
                assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
                with pytest.raises(ConnectionRefusedError):
                    launched.connect()
                client.sendall(b"GET /open HTTP/1.1\r\nHost: app\r\n\r\n")
                wait_until(lambda: not launched.is_refused(), "it listens again", PATIENCE_SECONDS)
        assert launched.wait() == 0
        [connections] = [facts for facts in launched.facts("connections") if facts.get("final") == "true"]
        assert "app_refused" not in connections, launched.story()


def test_a_slow_client_gets_all_that_the_app_sent_before_it_ended(product: Product) -> None:
    nbytes = 8_000_000  # more than all kernel buffers on the way
    with Destination() as destination, serving(product, destination, {}) as launched, launched.connect() as client:
        client.sendall(b"GET /large/%d HTTP/1.0\r\n\r\n" % nbytes)
        answer = bytearray()
        while "sent\n" not in launched.output:  # reads no more than it must for the app to get rid of its last byte
            answer += client.recv(64 * 1024)
            time.sleep(0.002)
        launched.send_signal(signal.SIGTERM)
        launched.wait_for_output("got SIGTERM")
        launched.tell("exit 0")
        launched.wait_for_line("app-exited")
        while data := client.recv(64 * 1024):
            answer += data
        assert len(answer.partition(b"\r\n\r\n")[2]) == nbytes
        assert launched.wait() == 0


def test_a_client_that_does_not_read_holds_the_end_up_for_the_drain_timeout_only(product: Product) -> None:
    options, command = ["--to", "http://127.0.0.1:1", "--drain-timeout", "1"], app("controlled.py", "listen")
    with product.launch(options, command) as launched:
        launched.wait_until_listening()
        with launched.connect() as client:
            client.sendall(b"GET /large/20000000 HTTP/1.0\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
            launched.send_signal(signal.SIGTERM)
            launched.wait_for_output("got SIGTERM")
            launched.tell("exit 0")
            launched.wait_for_line("app-exited")
            exited_at = time.monotonic()
            assert launched.wait() == 0
            assert time.monotonic() - exited_at < 15, "the default is 25"


@pytest.mark.parametrize("place", PLACES)
def test_every_other_signal_is_handed_on_once_and_the_app_serves_on(product: Product, place: str) -> None:
    with Destination() as destination, serving(product, destination, PLACES[place]) as launched:
        for name in FORWARDED:
            launched.send_signal(signal.Signals[name])
            launched.wait_for_output(f"got {name}")
            assert launched.http("GET", f"/{name}").status == 200
        assert [line for line in launched.output.splitlines() if line.startswith("got")] == [
            f"got {name}" for name in FORWARDED
        ]
        launched.tell("exit 0")
        assert launched.wait() == 0


def test_sigterm_to_the_launcher_alone_in_a_dyno_reaches_the_app_after_all(product: Product) -> None:
    with Destination() as destination, serving(product, destination, {**DYNO}) as launched:
        launched.send_signal(signal.SIGTERM)
        launched.wait_for_line("signal", signal="SIGTERM", passed_on="no")
        assert "got" not in launched.output
        launched.wait_for_output("got SIGTERM")
        launched.wait_for_line("signal", signal="SIGTERM", passed_on="yes")
        launched.tell("exit 0")
        assert launched.wait() == 0
        assert launched.output.count("got ") == 1


@pytest.mark.parametrize("place", PLACES)
def test_a_repeated_sigterm_is_not_passed_on(product: Product, place: str) -> None:
    with Destination() as destination, serving(product, destination, PLACES[place]) as launched:
        send_as_the_platform_does(launched, signal.SIGTERM)
        launched.wait_for_output("got SIGTERM")
        launched.wait_for_line("signal", signal="SIGTERM")  # two that are not yet told apart would count as one
        launched.tell("stop-listening")
        for nth in (2, 3):
            launched.send_signal(signal.SIGTERM)
            assert launched.wait_for_line("signal", signal="SIGTERM", nth=nth)["passed_on"] == "no"
        launched.tell(f"exit 0 {LONGER_THAN_THE_LAUNCHER_WAITS if place == 'dyno' else 0}")
        assert launched.wait() == 0
        assert launched.output.count("got ") == 1


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["SIGINT", "SIGQUIT"])
def test_an_app_that_lives_on_after_another_signal_gets_the_first_sigterm(
    product: Product, name: str, place: str
) -> None:
    with Destination() as destination, serving(product, destination, PLACES[place]) as launched:
        launched.send_signal(signal.Signals[name])
        launched.wait_for_output(f"got {name}")
        launched.send_signal(signal.SIGTERM)  # to the launcher alone, in a dyno too
        launched.wait_for_output("got SIGTERM")
        launched.tell("exit 0")
        assert launched.wait() == 0


def test_an_app_that_takes_longer_than_the_drain_timeout_has_its_last_answer_delivered(product: Product) -> None:
    nbytes = 8_000_000
    options, command = ["--to", "http://127.0.0.1:1", "--drain-timeout", "0"], app("controlled.py", "listen")
    with product.launch(options, command) as launched:
        launched.wait_until_listening()
        with launched.connect() as client:
            launched.send_signal(signal.SIGTERM)
            launched.wait_for_output("got SIGTERM")
            client.sendall(b"GET /large/%d HTTP/1.0\r\n\r\n" % nbytes)
            answer = bytearray()
            while "sent\n" not in launched.output:  # as above: the rest is on its way when the app exits
                answer += client.recv(64 * 1024)
                time.sleep(0.002)
            launched.tell("exit 0")
            launched.wait_for_line("app-exited")
            while data := client.recv(64 * 1024):
                answer += data
            assert len(answer.partition(b"\r\n\r\n")[2]) == nbytes
        assert launched.wait() == 0


@pytest.mark.parametrize("place", PLACES)
def test_an_app_that_traps_nothing_ends_with_143(product: Product, place: str) -> None:
    command = ["sh", "-c", "echo up; exec sleep 60"]
    with product.launch(["--to", "http://127.0.0.1:1"], command, environ=PLACES[place]) as launched:
        launched.wait_for_output("up")
        send_as_the_platform_does(launched, signal.SIGTERM)
        assert launched.wait() == 143


@pytest.mark.parametrize("place", PLACES)
def test_sigterm_while_the_app_boots_ends_it(product: Product, place: str) -> None:
    with product.launch(["--to", "http://127.0.0.1:1"], app("controlled.py"), environ=PLACES[place]) as launched:
        launched.wait_for_output("started")
        launched.send_signal(signal.SIGTERM)  # to the launcher alone, in a dyno too
        launched.wait_for_output("got SIGTERM")
        launched.tell("die SIGTERM")
        assert launched.wait() == 143


def test_a_sigterm_while_the_launcher_ends_does_not_change_the_exit_status(product: Product) -> None:
    with (
        listener(0, "127.0.0.1") as hangs,  # a destination that never answers holds the end up
        product.launch(
            ["--to", f"http://127.0.0.1:{hangs.getsockname()[1]}"], app("controlled.py", "listen")
        ) as launched,
    ):
        launched.wait_until_listening()
        launched.http("GET", "/")
        launched.tell("exit 5")
        launched.wait_for_line("app-exited")
        launched.send_signal_to_all(signal.SIGTERM)
        assert launched.wait() == 5


def test_a_launcher_that_is_killed_leaves_no_replayer_behind(product: Product) -> None:
    with Destination() as destination, serving(product, destination, {}) as launched:
        launched.http("GET", "/")
        destination.wait_for_arrivals(1)
        launched.kill()
        launched.tell("exit 0")  # what is left is the replayer: the end of the block finds none


def test_an_ignored_sighup_stays_ignored_by_launcher_and_app(product: Product) -> None:
    options, command = ["--to", "http://127.0.0.1:1"], app("controlled.py", "listen")
    with product.launch(options, command, prefix=["nohup"]) as launched:
        launched.wait_until_listening()
        launched.send_signal_to_all(signal.SIGHUP)
        launched.send_signal(signal.SIGUSR1)
        launched.wait_for_output("got SIGUSR1")
        assert "SIGHUP" not in launched.output + launched.log
        assert launched.http("GET", "/").status == 200
        launched.tell("exit 0")
        assert launched.wait() == 0


def test_with_the_kill_switch_signals_are_the_apps_own(product: Product) -> None:
    environ: dict[str, str | None] = {**DYNO, "TRAFFIC_DUPLICATOR_ENABLED": "false"}
    with product.launch([], app("controlled.py"), environ=environ) as launched:
        launched.wait_for_output("started")
        for nth in (1, 2):
            launched.send_signal(signal.SIGTERM)
            launched.wait_for_output("got SIGTERM", nth=nth)
        launched.tell("exit 4")
        assert launched.wait() == 4


def test_ctrl_c_on_a_terminal_reaches_all_processes_of_the_app_once(product: Product) -> None:
    """The app is in a session of its own, so the terminal itself tells the launcher alone."""
    grandchild = ["sh", "-c", 'trap : INT; "$@"; exit 7', "sh", *app("controlled.py", "listen")]
    words = "exec " + shlex.join([str(product.file), "--to", "http://127.0.0.1:1", *grandchild])
    terminal = Product(Path("/usr/bin/script"), product.home)  # everything it shows comes as output
    with terminal.launch(["--quiet", "--return", "--command", words, "/dev/null"], []) as launched:
        launched.wait_for_output_start("traffic-duplicator at=listening")
        launched.tell(CTRL_C)
        launched.wait_for_output_start("got SIGINT")
        launched.tell("exit 0")
        assert launched.wait() == 7
        assert launched.output.count("got ") == 1


@pytest.fixture
def as_pid_1() -> list[str]:
    """Words that make the command PID 1 of a PID namespace of its own."""
    words = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if not shutil.which("unshare") or subprocess.run([*words, "true"], capture_output=True).returncode:
        unavailable("this machine lets us make no PID namespace (unshare --pid; needs root)", NAMESPACES)
    return words


def test_as_pid_1_orphans_are_reaped_and_the_exit_status_is_the_apps(product: Product, as_pid_1: list[str]) -> None:
    options, command = ["--to", "http://127.0.0.1:1"], app("controlled.py", "listen")
    with product.launch(options, command, prefix=as_pid_1) as launched:
        launched.wait_until_listening()
        for nth in range(1, 4):
            launched.tell("orphan")
            pid = launched.wait_for_output_start("orphan ", nth=nth)
            launched.tell(f"is-gone {pid}")
            launched.wait_for_output(f"is-gone {pid}")
        launched.tell("exit 6")
        assert launched.wait() == 6


def test_as_pid_1_an_app_that_a_signal_ends_gives_128_and_its_number(product: Product, as_pid_1: list[str]) -> None:
    finished = product.run(["--to", "http://127.0.0.1:1"], ["sh", "-c", "kill -KILL $$"], prefix=as_pid_1)
    assert finished.status == 137
