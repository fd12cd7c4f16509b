"""Starting children as a shell would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import trio

from launcher import child
from launcher.executable import CannotStart, execute, find_executable

ENVIRON = {"PATH": os.environ["PATH"]}


def script(path, text, mode=0o755):
    path.write_text(text)
    path.chmod(mode)
    return str(path)


async def run(*argv: str) -> int:
    return await (await child.start(argv, ENVIRON)).wait()


@pytest.mark.parametrize(
    ("code", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
async def test_the_exit_status_is_a_shell_s(code, status):
    assert await run("/bin/sh", "-c", code) == status


def test_what_is_not_there_is_127():
    for argv in (["/no/such/file"], ["no-such-command"], [""]):
        with pytest.raises(CannotStart) as caught:
            find_executable(argv, ENVIRON)
        assert caught.value.status == 127
        assert argv[0] in str(caught.value)


def test_what_can_t_be_executed_is_126(tmp_path):
    for path in (str(tmp_path), script(tmp_path / "plain", "", 0o644)):
        with pytest.raises(CannotStart) as caught:
            find_executable([path], ENVIRON)
        assert caught.value.status == 126


def test_a_path_search_goes_on_behind_a_file_that_is_not_executable(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    script(tmp_path / "a" / "tool", "", 0o644)
    expected = script(tmp_path / "b" / "tool", "#!/bin/sh\n")
    path = f"{tmp_path}/a:{tmp_path}/b"
    assert find_executable(["tool"], {"PATH": path}).path == expected
    with pytest.raises(CannotStart) as caught:
        find_executable(["tool"], {"PATH": f"{tmp_path}/a"})
    assert caught.value.status == 126


async def test_a_text_without_shebang_is_a_script_of_the_shell_s(tmp_path):
    assert await run(script(tmp_path / "plain", "exit $1"), "9") == 9


async def test_a_binary_of_no_known_kind_is_126(tmp_path):
    path = tmp_path / "binary"
    path.write_bytes(b"\x7fELX\0\0\0")
    path.chmod(0o755)
    with pytest.raises(CannotStart) as caught:
        await run(str(path))
    assert caught.value.status == 126


async def test_a_missing_interpreter_is_127(tmp_path):
    with pytest.raises(CannotStart) as caught:
        await run(script(tmp_path / "odd", "#!/no/such/interpreter\n"))
    assert caught.value.status == 127


async def test_a_child_has_a_session_of_its_own_and_its_group_can_be_ended():
    started = await child.start(["/bin/sh", "-c", "sleep 60 & wait"], ENVIRON)
    assert os.getsid(started.pid) == started.pid != os.getsid(0)
    started.send_signal_to_group(signal.SIGKILL)
    assert await started.wait() == 137
    started.send_signal(signal.SIGTERM)  # to one that has ended: nothing happens
    started.send_signal_to_group(signal.SIGTERM)


async def test_a_child_gets_the_environment_that_it_is_given_and_no_more():
    reader, writer = os.pipe()
    started = await child.start(["/usr/bin/env", "-0"], {"A": "1", "B": "\udcff"}, stdout=writer)
    os.close(writer)
    with open(reader, "rb") as file:
        assert file.read() == b"A=1\0B=\xff\0"
    assert await started.wait() == 0


async def test_signals_that_python_ignores_are_not_ignored_by_a_child():
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
    code = "import signal,sys; sys.exit(3 if signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN else 0)"
    reset = f"import os,signal; signal.signal(signal.SIGPIPE, signal.SIG_DFL); {code}"
    assert await run(sys.executable, "-c", reset) == 0
    assert await run("/bin/sh", "-c", "kill -PIPE $$") == 128 + signal.SIGPIPE


async def test_no_descriptor_is_handed_down(tmp_path):
    inheritable = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(inheritable, True)
    assert await run("/bin/sh", "-c", f"test -e /proc/self/fd/{inheritable}") == 1
    os.close(inheritable)


@pytest.mark.parametrize(
    ("code", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
@pytest.mark.parametrize("has_pidfd", [True, False])
async def test_an_adopted_child_tells_its_status_with_and_without_a_pidfd(code, status, has_pidfd, monkeypatch):
    if not has_pidfd:
        monkeypatch.delattr(os, "pidfd_open")
    adopted = child.adopt(subprocess.Popen(["/bin/sh", "-c", f"read x; {code}"], stdin=subprocess.PIPE))
    assert adopted.is_running
    assert adopted._process._process.stdin is not None
    adopted._process._process.stdin.close()
    assert await adopted.wait() == status
    assert not adopted.is_running


def test_executing_a_missing_command_raises_instead_of_replacing_this_process():
    with pytest.raises(CannotStart):
        execute(["no-such-command"], ENVIRON)




async def test_a_child_that_ends_while_others_are_started_keeps_its_status_when_orphans_are_reaped():
    statuses: list[int] = []

    async def start_some() -> None:
        for _ in range(30):
            statuses.append(await run("false"))

    with trio.open_signal_receiver(signal.SIGCHLD) as signals:
        async with trio.open_nursery() as reaping:

            @reaping.start_soon
            async def _reap() -> None:
                async for _ in signals:
                    child.reap_adopted()

            async with trio.open_nursery() as starting:
                for _ in range(4):
                    starting.start_soon(start_some)
            reaping.cancel_scope.cancel()
    assert statuses == [1] * 120
