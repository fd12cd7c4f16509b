"""Whether the app accepts, with real sockets."""

from __future__ import annotations

import socket

import pytest
import trio

from launcher import readiness
from launcher.listener_lookup import ListenerLookup
from launcher.readiness import AppWatch, _is_connected_to_itself, accepting_address, accepts, is_taken
from launcher.relay import AppAddress

LOOPBACKS = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]


@pytest.mark.parametrize(("family", "host"), LOOPBACKS)
async def test_an_app_is_found_on_either_loopback_address(family, host):
    with socket.create_server((host, 0), family=family) as app:
        port = app.getsockname()[1]
        found = await accepting_address(port, None)
        assert found is not None
        assert (found.family, found.address) == (family, (host, port))
        assert await accepts(found)
        assert await is_taken("::", port)
    assert not await accepts(found)
    assert await accepting_address(port, None) is None
    assert not await is_taken("::", port)


async def test_an_app_is_found_on_its_unix_socket(tmp_path):
    path = str(tmp_path / "app.sock")
    assert await accepting_address(0, path) is None
    with socket.socket(socket.AF_UNIX) as app:
        app.bind(path)
        assert await accepting_address(0, path) is None, "it is there, but nobody listens"
        app.listen(1)
        assert await accepting_address(0, path) == AppAddress(socket.AF_UNIX, path)
    assert await accepting_address(0, path) is None, "a stale one is no app"
    assert await accepting_address(0, f"{path}/below/a/file") is None


@pytest.mark.parametrize("backlog", [0, 1])
async def test_an_app_on_a_unix_socket_with_a_full_backlog_accepts(tmp_path, backlog):
    path = str(tmp_path / "app.sock")
    with socket.socket(socket.AF_UNIX) as app:
        app.bind(path)
        app.listen(backlog)
        for _ in range(backlog + 3):
            assert await accepting_address(0, path) is not None


@pytest.mark.parametrize(("family", "host"), LOOPBACKS)
async def test_a_probe_that_the_kernel_connects_to_itself_is_no_app_and_leaves_the_port_free(family, host):
    with trio.socket.socket(family, socket.SOCK_STREAM) as probe:
        await probe.bind((host, 0))
        port = probe.getsockname()[1]
        await probe.connect((host, port))
        assert _is_connected_to_itself(probe)
    socket.create_server((host, port), family=family, reuse_port=False).close()
    with socket.socket(family, socket.SOCK_STREAM) as app:  # one that doesn't set SO_REUSEADDR
        app.bind((host, port))


async def ends_with(app, watch):
    """Whether the watch follows this app: it listens, then doesn't."""
    assert await watch.accepts()
    assert watch.is_listening() is (True if watch.is_unseen else None)
    app.close()
    assert watch.is_listening() is (False if watch.is_unseen else None)
    return not await watch.accepts()


@pytest.mark.parametrize(("family", "host"), [*LOOPBACKS, (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")])
async def test_an_app_is_watched_without_its_noticing(family, host):
    loopback = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.create_server((host, 0), family=family) as app:
        app.setblocking(False)
        with AppWatch(AppAddress(family, (loopback, app.getsockname()[1]))) as watch:
            assert watch.is_unseen
            assert await watch.accepts()
            with pytest.raises(BlockingIOError):
                app.accept()
            assert await ends_with(app, watch)


async def test_an_app_on_all_addresses_of_both_families_is_watched_on_either():
    app = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    with app, AppWatch(AppAddress(socket.AF_INET, ("127.0.0.1", app.getsockname()[1]))) as watch:
        assert watch.is_unseen
        assert await ends_with(app, watch)


async def test_connections_that_live_on_do_not_pass_for_an_app_that_accepts():
    with socket.create_server(("127.0.0.1", 0)) as app, socket.create_connection(app.getsockname()):
        accepted, _ = app.accept()
        with accepted, AppWatch(AppAddress(socket.AF_INET, app.getsockname())) as watch:
            assert await ends_with(app, watch)


async def test_an_app_on_a_unix_socket_is_asked_by_connecting(tmp_path):
    path = str(tmp_path / "app.sock")
    with socket.socket(socket.AF_UNIX) as app:
        app.bind(path)
        app.listen(1)
        with AppWatch(AppAddress(socket.AF_UNIX, path)) as watch:
            assert not watch.is_unseen
            assert await ends_with(app, watch)


async def test_an_app_that_the_kernel_knows_nothing_of_is_asked_by_connecting(monkeypatch):
    monkeypatch.setattr(readiness, "ListenerLookup", ListensNowhere)
    app = socket.create_server(("127.0.0.1", 0))
    with app, AppWatch(AppAddress(socket.AF_INET, app.getsockname())) as watch:
        assert not watch.is_unseen
        assert await ends_with(app, watch)


class ListensNowhere(ListenerLookup):
    """As where addresses are translated: nobody listens at the one that connections are made to."""

    def is_listening(self):
        return False
