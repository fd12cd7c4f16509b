"""The launcher's exit status is the app's own, or a shell's for what can't be started; 2 for wrong usage."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.asking import ask
from tests.system.launched import Product

MODES: dict[str, tuple[list[str], dict[str, str]]] = {
    "mirrored": (["--to", "http://127.0.0.1:1"], {}),
    "kill switch": (["--to", "http://127.0.0.1:1"], {"TRAFFIC_DUPLICATOR_ENABLED": "false"}),
}

ENDS = [
    ("exit 0", 0), ("exit 1", 1), ("exit 7", 7), ("exit 255", 255), ("kill -KILL $$", 137), ("kill -TERM $$", 143),
    ("kill -SEGV $$", 139), ("trap 'exit 5' TERM; kill -TERM $$", 5),
]  # fmt: skip


def as_a_shell_tells(status: int) -> int:
    """With the kill switch the app has taken the launcher's place: its signal's end is seen as such."""
    return 128 - status if status < 0 else status


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("script", "status"), ENDS)
def test_exit_status_is_the_apps(product: Product, mode: str, script: str, status: int) -> None:
    options, environ = MODES[mode]
    finished = product.run(options, ["sh", "-c", script], environ=environ)
    assert as_a_shell_tells(finished.status) == status, finished.log


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_exit_status_is_the_apps_where_standard_streams_are_closed(product: Product, closed: str) -> None:
    prefix = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    finished = product.run(["--to", "http://127.0.0.1:1"], ["sh", "-c", "exit 3"], prefix=prefix, has_log=False)
    assert finished.status == 3


@pytest.mark.parametrize(("words", "status"), [(["--help"], 0), (["--dry-run", "--offline", "--to", "http://h"], 0)])
def test_nobody_to_print_for_is_no_error(product: Product, words: list[str], status: int) -> None:
    asked = ask(product, *words, prefix=["sh", "-c", 'exec "$@" >&-', "sh"])
    assert (asked.returncode, asked.stderr) == (status, "")


def not_executable(folder: Path) -> Path:
    path = folder / "not-executable"
    path.write_text("#!/bin/sh\nexit 0\n")
    path.chmod(0o644)
    return path


def directory(folder: Path) -> Path:
    path = folder / "directory"
    path.mkdir()
    return path


def other_machines_program(folder: Path) -> Path:
    path = folder / "other-machine"
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xff\xff" + bytes(44))
    path.chmod(0o755)
    return path


def missing(folder: Path) -> Path:
    return folder / "missing"


def dangling_link(folder: Path) -> Path:
    path = folder / "dangling"
    path.symlink_to(folder / "nowhere")
    return path


def missing_interpreter(folder: Path) -> Path:
    path = folder / "interpreter"
    path.write_text("#!/nonexistent/ruby\n")
    path.chmod(0o755)
    return path


UNSTARTABLE = [
    (not_executable, 126), (directory, 126), (other_machines_program, 126),
    (missing, 127), (dangling_link, 127), (missing_interpreter, 127),
]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("make", "status"), UNSTARTABLE)
def test_what_cant_be_started_gives_a_shells_status_and_one_line_that_names_it(
    product: Product, tmp_path: Path, mode: str, make: Callable[[Path], Path], status: int
) -> None:
    options, environ = MODES[mode]
    path = make(tmp_path)
    finished = product.run(options, [path], environ=environ)
    assert finished.status == status, finished.log
    if make is not other_machines_program:  # of which shells differ in their opinion: dash reads it as a script
        assert subprocess.run(["sh", "-c", '"$0"; exit $?', path], stderr=subprocess.DEVNULL).returncode == status
    is_ours = mode != "kill switch"  # then it is the shell's own line, and no Python says anything
    errors = [line for line in finished.log.splitlines() if str(path) in line and line.startswith("Error: ") == is_ours]
    assert len(errors) == 1, finished.log
    assert "Traceback" not in finished.log


@pytest.mark.parametrize("mode", MODES)
def test_a_name_that_is_not_on_path_gives_127(product: Product, mode: str) -> None:
    options, environ = MODES[mode]
    finished = product.run(options, ["no-such-program-anywhere"], environ=environ)
    assert finished.status == 127
    teller = "exec: " if mode == "kill switch" else "Error: "  # a shell, or the launcher
    assert f"{teller}no-such-program-anywhere: " in finished.log


@pytest.mark.parametrize("mode", MODES)
def test_a_script_without_an_interpreter_line_is_run_by_sh(product: Product, tmp_path: Path, mode: str) -> None:
    (tmp_path / "script").write_text('echo "$0: $1"\nexit 7\n')
    (tmp_path / "script").chmod(0o755)
    options, environ = MODES[mode]
    finished = product.run(options, ["script", "a b"], environ={**environ, "PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert (finished.status, finished.output) == (7, f"{tmp_path}/script: a b\n"), finished.log


WRONG_USAGE: list[tuple[list[str], str]] = [
    (["--no-such-option", "true"], "--no-such-option"),
    (["--sampel", "1", "true"], "--sample"),
    (["--buffer", "16 monkeys", "true"], "--buffer must be a size such as 16MiB, not '16 monkeys'"),
    (["--port", "70000", "true"], "--port"),
    (["--to", "ftp://example.com", "true"], "--to"),
    (["--sample"], "--sample"),
    ([], "COMMAND"),
    (["--strict", "--"], "COMMAND"),
]


@pytest.mark.parametrize(("words", "named"), WRONG_USAGE)
def test_wrong_usage_gives_2_and_one_line_that_names_it(product: Product, words: list[str], named: str) -> None:
    finished = product.run(words)
    assert (finished.status, finished.output) == (2, "")
    assert finished.log.startswith("Error: ") and finished.log.count("\n") == 1, finished.log
    assert named in finished.log


def test_wrong_usage_gives_2_with_the_kill_switch_too(product: Product) -> None:
    finished = product.run(["--no-such-option", "echo", "started"], environ={"TRAFFIC_DUPLICATOR_ENABLED": "false"})
    assert (finished.status, finished.output) == (2, "")


def test_words_after_the_command_are_the_apps_own(product: Product) -> None:
    finished = product.run(["--to", "http://127.0.0.1:1", "--"], ["echo", "--version", "--no-such-option", "--"])
    assert (finished.status, finished.output) == (0, "--version --no-such-option --\n")
