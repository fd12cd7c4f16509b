"""The app's start, before trio."""

from __future__ import annotations

import os
import signal

import pytest

from launcher.app_command import AppCommand
from launcher.app_process import CONCERNING_THE_APP, AppProcess
from launcher.executable import CannotStart

ENVIRON = {"PATH": os.environ["PATH"]}


@pytest.fixture(autouse=True)
def dispositions():
    """What signals do is put back afterwards."""
    numbers = [getattr(signal, name) for name in CONCERNING_THE_APP]
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def start(*argv: str) -> AppProcess:
    return AppProcess(AppCommand(argv, ENVIRON))


def test_the_app_runs_in_a_session_of_its_own():
    app = start("sh", "-c", "sleep 60")
    assert os.getsid(app.process.pid) == app.process.pid
    app.take_back()


def test_signals_that_come_before_the_supervisor_are_noted():
    app = start("true")
    for number in (signal.SIGTERM, signal.SIGUSR1):
        os.kill(os.getpid(), number)
    assert app.noted == [signal.SIGTERM, signal.SIGUSR1]
    assert app.process.wait() == 0


def test_an_ignored_signal_stays_ignored_for_the_app_too():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    app = start("sh", "-c", "kill -HUP $$; exit 3")
    assert signal.SIGHUP not in app.signals
    assert app.process.wait() == 3


def test_an_inheritable_descriptor_is_handed_down(tmp_path):
    inheritable = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(inheritable, True)
    assert start("sh", "-c", f"test -e /proc/self/fd/{inheritable}").process.wait() == 0
    os.close(inheritable)


def test_a_text_without_an_interpreter_is_a_script(tmp_path):
    script = tmp_path / "script"
    script.write_text("exit 4\n")
    script.chmod(0o755)
    assert start(str(script)).process.wait() == 4


def test_what_can_t_be_started_is_told_as_a_shell_tells_it():
    with pytest.raises(CannotStart) as caught:
        start("/no/such/file")
    assert caught.value.status == 127


@pytest.mark.parametrize("code", ["sleep 60", "trap '' TERM; echo; while :; do sleep 60; done"])
def test_taking_it_back_ends_it_even_if_it_does_not_listen(code, monkeypatch):
    monkeypatch.setattr("launcher.app_process._LAST_WORDS_SECONDS", 0.1)
    app = start("sh", "-c", code)
    app.take_back()
    assert app.process.returncode in (-signal.SIGTERM, -signal.SIGKILL)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
