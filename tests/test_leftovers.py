"""What launchers that were killed have left is removed, and nothing else; with real folders, locks and sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.leftovers import lock, remove_leftovers

TWO_HOURS = 7200


@pytest.fixture
def parent() -> Iterator[Path]:
    """A place for temporary files, with a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        yield Path(folder)


def left(parent: Path, name: str = "traffic-duplicator-gor-ab_d3fgh", mode: int = 0o700) -> Path:
    folder = parent / name
    folder.mkdir(mode)
    folder.chmod(mode)
    return folder


def age(folder: Path, seconds: float = TWO_HOURS) -> None:
    then = time.time() - seconds
    os.utime(folder, (then, then))


def listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    return listener


@pytest.mark.parametrize("kind", ["gor-ab_d3fgh", "app-0123456789ab", "run-abcdefgh"])
def test_a_folder_that_was_left_goes_with_all_that_a_launcher_or_an_app_puts_there(parent: Path, kind: str) -> None:
    elsewhere = parent / "elsewhere"
    elsewhere.write_text("kept")
    folder = left(parent, f"traffic-duplicator-{kind}")
    os.mkfifo(folder / "pipe")
    (folder / "gor_helper.py").write_text("pass")
    (folder / "python").symlink_to(elsewhere)
    (folder / "gone").symlink_to("/nonexistent")
    listen(folder / "app.sock").close()
    age(folder)
    remove_leftovers(["/nonexistent", str(elsewhere), str(parent)])
    assert list(parent.iterdir()) == [elsewhere] and elsewhere.read_text() == "kept"


def young(folder: Path) -> None:
    age(folder, 3000)


def not_private(folder: Path) -> None:
    folder.chmod(0o701)


def with_a_folder(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "pipe").touch()
    age(folder)


def of_another_user(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(folder, 1, -1)


@pytest.mark.parametrize("change", [young, not_private, with_a_folder, of_another_user])
def test_what_may_be_in_use_or_somebody_else_s_stays_whole(parent: Path, change: Callable[[Path], None]) -> None:
    folder = left(parent)
    age(folder)
    change(folder)
    before = sorted(folder.rglob("*"))
    remove_leftovers([str(parent)])
    assert folder.is_dir() and sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "name",
    ["traffic-duplicator-12345678", "traffic-duplicator-0", "traffic-duplicator-gor-", "gor-abcdefgh",
     "traffic-duplicator-gor-abcdefgh.bak", "traffic-duplicator-old-abcdefgh", "traffic-duplicator-ab_d3fgh"],
)  # fmt: skip
def test_a_folder_of_another_name_stays(parent: Path, name: str) -> None:
    """The first two are where the launcher is unpacked without a home: the number is a user's."""
    folder = left(parent, name)
    age(folder)
    remove_leftovers([str(parent)])
    assert folder.is_dir()


@pytest.mark.parametrize("make", [Path.touch, os.mkfifo, lambda path: path.symlink_to("private")])
def test_what_only_has_the_name_of_such_a_folder_stays(parent: Path, make: Callable[[Path], object]) -> None:
    private = left(parent, "private")
    (private / "kept").touch()
    age(private)
    make(parent / "traffic-duplicator-gor-abcdefgh")
    remove_leftovers([str(parent)])
    assert {path.name for path in parent.iterdir()} == {"private", "traffic-duplicator-gor-abcdefgh"}
    assert [path.name for path in private.iterdir()] == ["kept"]


def test_a_folder_stays_while_somebody_listens_in_it(parent: Path) -> None:
    folder = left(parent)
    with listen(folder / "app.sock"):
        age(folder)
        remove_leftovers([str(parent)])
        assert (folder / "app.sock").is_socket()
    remove_leftovers([str(parent)])
    assert not folder.exists()


LOCKS = """
import sys, time
from launcher.leftovers import lock
print(lock(sys.argv[1]), flush=True)
time.sleep(60)
"""


def test_a_folder_stays_while_the_process_that_locked_it_lives(parent: Path) -> None:
    folder = left(parent)
    age(folder)
    with subprocess.Popen([sys.executable, "-c", LOCKS, str(folder)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None and int(owner.stdout.readline()) > 2
        remove_leftovers([str(parent)])
        assert folder.is_dir()
        owner.send_signal(signal.SIGKILL)
    remove_leftovers([str(parent)])
    assert not folder.exists()


def test_a_lock_goes_to_no_child(parent: Path) -> None:
    fd = lock(str(left(parent)))
    assert fd is not None and not os.get_inheritable(fd)
    os.close(fd)


def test_a_folder_that_is_not_there_has_no_lock(parent: Path) -> None:
    assert lock(f"{parent}/gone") is None
