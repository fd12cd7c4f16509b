"""The control socket's server, by real clients: what it answers, and whom it lets go."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from launcher.control.request import Answer, decode_answer
from launcher.control.routes import Routes, new_routes
from launcher.control.server import ControlServer, serve_control
from launcher.counters import FeedCounters, RelayCounters
from launcher.log import log
from launcher.mirror import Mirror, MirrorSettings
from launcher.mirror_queue import Budget, MirrorQueue
from launcher.snapshot import Configuration, Snapshot
from tests.system.log_lines import facts_at

STATUS = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"
CONFIGURATION = Configuration(
    host="::", port=5000, app_pid=1, app_program="bundle", app_port=5001, app_socket=None
)  # fmt: skip


def control(words: str) -> bytes:
    body = words.encode()
    return b"POST /control HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def new_snapshot(*, mirrors: bool = True) -> Snapshot:
    budget = Budget(1 << 20)
    mirror = Mirror([MirrorQueue(budget, 1 << 20, FeedCounters())], budget, MirrorSettings())
    return Snapshot(CONFIGURATION, RelayCounters(), mirror if mirrors else None)


@pytest.fixture
def told(monkeypatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(type(log), "_write", lambda _, line: lines.append(line))
    return lines


@asynccontextmanager
async def serving(routes: Routes, path: Path) -> AsyncIterator[str]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen(16)
        sock.setblocking(False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ControlServer(routes).run, trio.socket.from_stdlib_socket(sock), nursery)
            yield str(path)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def connected(path: str) -> AsyncIterator[trio.SocketStream]:
    async with await trio.open_unix_socket(path) as stream:
        assert isinstance(stream, trio.SocketStream)
        yield stream


async def ask(path: str, data: bytes) -> Answer:
    async with connected(path) as stream:
        await stream.send_all(data)
        return decode_answer(b"".join([piece async for piece in stream]))


async def test_status_is_the_figures_as_json(tmp_path):
    async with serving(new_routes(new_snapshot()), tmp_path / "s") as path:
        answer = await ask(path, STATUS)
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert json.loads(answer.body)["launcher"]["pid"] == os.getpid()


async def test_control_takes_effect_at_once_and_is_told_with_who_did_it(tmp_path, told):
    snapshot = new_snapshot()
    controls = snapshot.controls
    async with serving(new_routes(snapshot), tmp_path / "s") as path:
        answer = json.loads((await ask(path, control("sample 10"))).body)
        assert (answer["change"], answer["was"], controls.sample_percent) == ("sample 10", "sample 100", 10)
        answer = json.loads((await ask(path, control("rate 5"))).body)
        assert (answer["change"], answer["was"], controls.rate_per_second) == ("rate 5", "rate off", 5)
        answer = json.loads((await ask(path, control("off"))).body)
        assert (answer["change"], answer["was"], controls.is_copying) == ("off", "on", False)
        controls.pause("memory", "nearly full")
        await ask(path, control("on"))
        assert controls.is_on
        assert not controls.is_copying
    facts = facts_at(told, "control")
    assert [(fact["change"], fact["was"]) for fact in facts] == [
        ("sample 10", "sample 100"), ("rate 5", "rate off"), ("off", "on"), ("on", "off"),
    ]  # fmt: skip
    assert {(fact["pid"], fact["uid"]) for fact in facts} == {(str(os.getpid()), str(os.geteuid()))}


@pytest.mark.parametrize(("data", "status", "text"), [
    (control("sample 101"), 400, b"the body must be sample followed by a percentage from 0 to 100, not '101'\n"),
    (control("\xff"), 400, b"the body must be on, off, sample PERCENT, rate N or rate off, not '\xc3\xbf'\n"),
    (control("off")[:-3] + b"\xff\xfe\xfd", 400, b"the body must be "),
    (b"GET /control HTTP/1.1\r\n\r\n", 405, b"there is only: GET /status, GET /report, POST /control"),
    (b"GET /etc/passwd HTTP/1.1\r\n\r\n", 404, b"there is only: GET /status, GET /report, POST /control"),
    (b"\x16\x03\x01", 400, b"a request must begin with a line such as GET /status HTTP/1.1\n"),
])  # fmt: skip
async def test_what_can_t_be_answered_is_refused_in_words(tmp_path, data, status, text):
    async with serving(new_routes(new_snapshot()), tmp_path / "s") as path:
        answer = await ask(path, data)
        assert answer.status == status
        assert answer.body.startswith(text)


async def test_where_nothing_is_copied_nothing_can_be_controlled(tmp_path):
    async with serving(new_routes(new_snapshot(mirrors=False)), tmp_path / "s") as path:
        assert (await ask(path, control("on"))).status == 409


async def test_a_defect_in_an_answer_is_told_once_and_ends_nothing(tmp_path, told):
    def raises(_: object) -> Answer:
        raise ZeroDivisionError

    routes = {**new_routes(new_snapshot()), ("GET", "/broken"): raises}
    async with serving(routes, tmp_path / "s") as path:
        for _ in range(3):
            assert (await ask(path, b"GET /broken HTTP/1.1\r\n\r\n")).status == 500
        assert (await ask(path, STATUS)).status == 200
    assert [fact["error"] for fact in facts_at(told, "control-defect")] == ["ZeroDivisionError()"]


async def test_clients_that_say_nothing_hold_up_the_next_one_for_their_time_only(tmp_path, autojump_clock):
    async with serving(new_routes(new_snapshot()), tmp_path / "s") as path, trio.open_nursery() as nursery:
        for number in range(15):  # 8 are served at a time, the others wait

            async def say_little(said: bytes = STATUS[:number]) -> None:
                assert (await ask(path, said)).body == b"no request came in time\n"

            nursery.start_soon(say_little)
        await trio.sleep(1)
        assert (await ask(path, STATUS)).status == 200


async def test_a_client_that_sends_without_end_is_cut_off(tmp_path):
    async with serving(new_routes(new_snapshot()), tmp_path / "s") as path, connected(path) as stream:
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 10_000)


async def test_a_client_that_does_not_read_is_let_go(tmp_path, autojump_clock):
    routes = {("GET", "/large"): lambda _: Answer(200, b"x" * 5_000_000)}
    async with serving(routes, tmp_path / "s") as path, connected(path) as stream:
        await stream.send_all(b"GET /large HTTP/1.1\r\n\r\n")
        await trio.sleep(6)
        received = b"".join([piece async for piece in stream])
        assert 0 < len(received) < 5_000_000


async def test_a_client_that_goes_in_between_costs_nothing(tmp_path):
    async with serving(new_routes(new_snapshot()), tmp_path / "s") as path:
        for said in (b"", STATUS[:9], STATUS, control("off")):
            async with connected(path) as stream:
                await stream.send_all(said)
        assert (await ask(path, STATUS)).status == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_another_user_gets_no_answer_even_where_the_modes_let_them_in():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        async with serving(new_routes(new_snapshot()), Path(folder) / "s") as path:
            os.chmod(path, 0o666)
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(5)
                os.seteuid(1234)
                try:
                    client.connect(path)
                finally:
                    os.seteuid(0)
                client.sendall(STATUS)
                with pytest.raises(ConnectionResetError):
                    await trio.to_thread.run_sync(client.recv, 1)


async def test_a_launcher_without_a_place_for_the_socket_says_so_once_and_goes_on(monkeypatch, told):
    monkeypatch.setattr("launcher.control.socket_file._folders", lambda _: iter(()))
    monkeypatch.setattr("tempfile.tempdir", "/proc/1")
    snapshot = new_snapshot()
    await serve_control(snapshot, {})
    assert snapshot.control_socket is None
    [fact] = facts_at(told, "control-failed")
    assert fact["level"] == "warning"


async def test_the_figures_say_where_the_socket_is(tmp_path_factory):
    folder = tmp_path_factory.mktemp("h")
    snapshot = new_snapshot()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_control, snapshot, {"HOME": str(folder)})
        while snapshot.control_socket is None:
            await trio.sleep(0.001)
        assert json.loads((await ask(snapshot.control_socket, STATUS)).body)["launcher"]["control_socket"] == (
            snapshot.control_socket
        )
        nursery.cancel_scope.cancel()
    assert not Path(snapshot.control_socket).exists()
