"""A destination whose name has several addresses, of which some are dead: the whole way, with a real replayer."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from launcher.replay_protocol import OutputAccount
from tests.replay.harness import destination, get, replayer

COPIES = 30
DEAD, ALIVE = "127.0.0.2", "127.0.0.1"

# What the replayer's Python runs first: the system's look-up knows one name more.
NAMES = """
import socket
known = socket.getaddrinfo
def getaddrinfo(host, port, *args, **more):
    if host not in ("two.test", b"two.test"):
        return known(host, port, *args, **more)
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ADDRESSES]
socket.getaddrinfo = getaddrinfo
"""


@pytest.fixture
def resolving(tmp_path: Path) -> dict[str, str]:
    """An environment in which two.test has the dead address first, and the one alive behind it."""
    (tmp_path / "sitecustomize.py").write_text(f"ADDRESSES = {(DEAD, ALIVE)!r}\n{NAMES}")
    return {"PYTHONPATH": str(tmp_path)}


async def account(port: int, env: dict[str, str]) -> OutputAccount:
    async with replayer([("output-http", f"http://two.test:{port}")], env=env) as replaying:
        await replaying.replay(*(get(f"/{number}") for number in range(COPIES)))
        assert await replaying.end() == 0
        (only,) = replaying.final
        return only


async def test_the_second_address_is_used_where_the_first_refuses(resolving: dict[str, str]) -> None:
    async with destination() as served:
        told = await account(served.port, resolving)
    assert told.outcomes == {"2xx": COPIES}
    assert len(served.requests) == COPIES
    assert served.requests[0].split(b"\r\n")[1] == b"Host: two.test:%d" % served.port


async def test_the_second_address_is_used_where_the_first_is_silent(resolving: dict[str, str]) -> None:
    async with destination() as served:
        with ExitStack() as open_ends:
            deaf = open_ends.enter_context(socket.create_server((DEAD, served.port), backlog=0))
            for _ in range(4):  # a full backlog answers nothing any more
                waiting = open_ends.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(deaf.getsockname())
            told = await account(served.port, resolving)
    assert told.outcomes == {"2xx": COPIES}
    assert len(served.requests) == COPIES


async def test_copies_are_refused_where_all_addresses_refuse(resolving: dict[str, str]) -> None:
    with socket.socket() as reserved:
        reserved.bind((ALIVE, 0))
        told = await account(reserved.getsockname()[1], resolving)
    assert told.outcomes == {"refused": COPIES}
