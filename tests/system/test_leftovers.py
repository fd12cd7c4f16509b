"""What a launcher that is killed leaves on disk, and what becomes of it; with real gors and SIGKILL."""

from __future__ import annotations

import os
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.gor.binary import Gor
from tests.system.accounts import is_gor, process, wait_until
from tests.system.destination import Destination
from tests.system.launched import Launched, Product, app

LISTENS = app("controlled.py", "listen")
ON_A_SOCKET = app("controlled.py", "listen {socket}")

# It waits for the pipe `go` before it is a gor: what the launcher has made for the start lies on disk till then.
SLOW_GOR = """#!/bin/sh
case " $* " in *" --middleware "*) : >{folder}/starting; read _ <{folder}/go;; esac
exec {gor} "$@"
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """TMPDIR of a run; sockets are made in it, so it is short."""
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        yield Path(folder)


def made_old(folder: Path) -> None:
    then = time.time() - 7200
    os.utime(folder, (then, then))


def kill_all(launched: Launched) -> None:
    """As the end of a container does."""
    launched.kill()
    launched.send_signal_to_all(signal.SIGKILL)


def test_while_gor_runs_nothing_of_it_lies_on_disk_and_so_nothing_is_left_by_a_launcher_that_is_killed(
    product: Product, gor: Gor, temporary: Path
) -> None:
    with Destination() as destination, product.launch(
        ["--replayer", str(gor.path), "--to", destination.url], LISTENS, environ={"TMPDIR": str(temporary)}
    ) as launched:
        launched.wait_until_listening()
        launched.http("GET", "/")
        destination.wait_for_arrivals(1)
        assert list(temporary.iterdir()) == []
        first = process(launched, is_gor)
        os.kill(first, signal.SIGKILL)
        launched.wait_for_line("replayer-restart", status=137)
        process(launched, is_gor, other_than=[first])
        launched.http("GET", "/again")
        destination.wait_for_arrivals(2)
        assert list(temporary.iterdir()) == []
        launched.kill()
        launched.tell("exit 0")
    assert list(temporary.iterdir()) == []


def test_what_a_launcher_leaves_that_is_killed_in_the_moment_in_which_gor_starts_is_removed_by_a_later_one(
    product: Product, gor: Gor, temporary: Path, tmp_path: Path
) -> None:
    slow_gor = tmp_path / "gor"
    slow_gor.write_text(SLOW_GOR.format(folder=tmp_path, gor=gor.path))
    slow_gor.chmod(0o755)
    os.mkfifo(tmp_path / "go")
    options, environ = ["--to", "http://127.0.0.1:1"], {"TMPDIR": str(temporary)}
    with product.launch(["--replayer", str(slow_gor), *options], LISTENS, environ=environ) as launched:
        launched.wait_until_listening()
        wait_until((tmp_path / "starting").exists, "gor's start")
        kill_all(launched)
    (left,) = temporary.iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (left, *left.iterdir())] == [0o700, 0o600, 0o600]
    assert sorted(path.name for path in left.iterdir()) == ["gor_helper.py", "pipe"]
    made_old(left)
    with product.launch(["--replayer", str(gor.path), *options], LISTENS, environ=environ) as launched:
        launched.wait_until_listening()
        wait_until(lambda: not left.exists(), "the folder is removed")
        launched.tell("exit 0")
        launched.wait()
    assert list(temporary.iterdir()) == []


def test_the_socket_of_an_app_whose_launcher_was_killed_stays_as_long_as_the_app_listens(
    product: Product, temporary: Path
) -> None:
    options, environ = ["--to", "http://127.0.0.1:1"], {"TMPDIR": str(temporary)}
    with product.launch(options, ON_A_SOCKET, environ=environ) as orphaned:
        orphaned.wait_until_listening()
        (left,) = temporary.iterdir()
        orphaned.kill()
        made_old(left)
        run_beside(product, temporary)
        assert (left / "app.sock").is_socket()
        orphaned.tell("exit 0")
    made_old(left)
    run_beside(product, temporary)
    assert list(temporary.iterdir()) == []


def test_the_socket_of_an_app_stays_while_its_launcher_lives_however_long_that_is(
    product: Product, temporary: Path
) -> None:
    options, environ = ["--to", "http://127.0.0.1:1"], {"TMPDIR": str(temporary)}
    command = ["sh", "-c", "echo waits; read _", "{socket}"]
    with product.launch(options, command, environ=environ) as launched:
        launched.wait_for_output("waits")
        (folder,) = temporary.iterdir()
        made_old(folder)
        run_beside(product, temporary)
        assert list(temporary.iterdir()) == [folder]
        launched.tell("go on")
        launched.wait()
    assert list(temporary.iterdir()) == []


def run_beside(product: Product, temporary: Path) -> None:
    """Another launcher of the same user, to its end; it has looked at all when it has removed what surely is left."""
    decoy = temporary / "traffic-duplicator-run-abcdefgh"
    decoy.mkdir(0o700)
    made_old(decoy)
    with product.launch(["--to", "http://127.0.0.1:1"], ON_A_SOCKET, environ={"TMPDIR": str(temporary)}) as launched:
        launched.wait_until_listening()
        wait_until(lambda: not decoy.exists(), "what is left is removed")
        launched.tell("exit 0")
        launched.wait()
