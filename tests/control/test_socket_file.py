"""Where the control socket is: in its user's private folder, found by whoever may ask, gone with its launcher."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from launcher.control.socket_file import find_sockets, listening, may_be_asked, peer_of


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.fixture
def short_path():
    """A Unix socket's path is at most 107 bytes long."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def home(short_path):
    return {"HOME": str(short_path)}


def test_only_its_user_can_reach_the_socket_whatever_the_umask(short_path, home):
    before = os.umask(0)
    try:
        with listening(home) as (_, path):
            assert Path(path).parent == short_path / ".traffic-duplicator" / "run"
            assert (mode(path), mode(Path(path).parent), mode(Path(path).parent.parent)) == (0o600, 0o700, 0o700)
    finally:
        os.umask(before)


def test_the_socket_goes_with_its_launcher(home):
    with listening(home) as (_, path):
        assert Path(path).exists()
    assert not Path(path).exists()


def test_it_is_found_from_another_environment(home, short_path):
    with listening(home) as (_, path):
        assert path in find_sockets({})
        assert path in find_sockets({"HOME": "/nonexistent", "TMPDIR": "/nonexistent"})
    assert path not in find_sockets(home)


def test_the_runtime_folder_of_the_session_comes_first(short_path, home):
    runtime = short_path / "run"
    runtime.mkdir(0o700)
    with listening({**home, "XDG_RUNTIME_DIR": str(runtime)}) as (_, path):
        assert path.startswith(str(runtime))


@pytest.mark.parametrize("hindrance", ["others may enter", "others may write beside it", "a link", "a file"])
def test_a_folder_that_is_not_ours_alone_is_not_used(short_path, home, hindrance):
    ours = short_path / ".traffic-duplicator"
    run = ours / "run"
    if hindrance == "a link":
        (short_path / "elsewhere").mkdir(0o700)
        ours.symlink_to(short_path / "elsewhere")
    elif hindrance == "a file":
        ours.write_text("")
    else:
        run.mkdir(parents=True)
        ours.chmod(0o777 if hindrance == "others may write beside it" else 0o700)
        run.chmod(0o755)
    with listening({**home, "TMPDIR": str(short_path)}) as (_, path):
        assert Path(path).parent == short_path / f"traffic-duplicator-{os.geteuid()}" / "run"


def test_where_every_usual_folder_is_taken_a_new_one_is_made_and_goes(short_path, monkeypatch):
    folders = [str(short_path / ("a" * 300)), "/proc/run"]
    monkeypatch.setattr("launcher.control.socket_file._folders", lambda _: iter(folders))
    with listening({}) as (_, path):
        folder = Path(path).parent
        assert mode(folder) == 0o700
        assert path in find_sockets({})
    assert not folder.exists()


def test_without_any_place_the_reasons_are_told(monkeypatch):
    monkeypatch.setattr("launcher.control.socket_file._folders", lambda _: iter(["/proc/1/run"]))
    monkeypatch.setattr(tempfile, "tempdir", "/proc/1")
    with pytest.raises(OSError, match=r"no place for the control socket.*/proc/1/run.*a new folder"), listening({}):
        pass


def test_sockets_of_launchers_that_were_killed_are_removed_and_those_of_living_ones_are_not(home, short_path):
    run = short_path / ".traffic-duplicator" / "run"
    with listening(home) as (_, alive):
        stale, young, other = (str(run / f"{name}.sock") for name in (
            "traffic-duplicator-1-00000000", "traffic-duplicator-2-00000000", "other",
        ))  # fmt: skip
        for path in (stale, young, other):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(path)
        for path in (alive, stale, other):
            os.utime(path, (0, 0))
        with listening(home) as (_, path):
            assert sorted(map(str, run.iterdir())) == sorted([alive, young, other, path])


def test_a_socket_in_a_folder_that_others_can_enter_is_no_launchers(short_path):
    name = "traffic-duplicator-1-00000000.sock"
    for folder_mode in (0o755, 0o711, 0o770):
        folder = short_path / str(folder_mode)
        folder.mkdir()
        folder.chmod(folder_mode)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(folder / name))
            sock.listen()
            assert str(folder / name) not in find_sockets({})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_users_socket_is_asked_by_root_only_if_that_user_listens_there(short_path):
    folder = short_path / "theirs"
    folder.mkdir(0o700)
    path = str(folder / "traffic-duplicator-1-00000000.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen()
        os.chown(folder, 1234, 1234)
        assert path not in find_sockets({})  # the folder is one's, the socket another's
        os.chown(path, 1234, 1234)
        assert path in find_sockets({})
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            peer = peer_of(client)
            assert peer is not None
            assert (peer.pid, peer.uid) == (os.getpid(), 0)
            assert may_be_asked(path, peer)
            assert may_be_asked(path, type(peer)(1, 1234))
            assert not may_be_asked(path, type(peer)(1, 4321))
