"""Which process has a port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import port_holders
from launcher.port_holders import holders, in_words

LISTEN = """\
import socket, sys
server = socket.create_server((sys.argv[1], 0))
print(server.getsockname()[1], flush=True)
input()
"""
# A kernel's own line, /proc/net/tcp: a listener on 127.0.0.1:5000 of user 1234.
LINE = "   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1234        0 4711 1 0 100"


@pytest.fixture
def listener():
    """A process that listens on 127.0.0.1: its pid and port."""
    words = [sys.executable, "-c", LISTEN, "127.0.0.1", "--api-key", "s3cret-word", "TOKEN=s3cret-word",
             "redis://u:s3cret-word@h/"]  # fmt: skip
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        process.communicate(b"\n")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_process_that_listens_is_found_by_every_address_that_it_is_in_the_way_of(listener, host):
    pid, port = listener
    assert [holder.pid for holder in holders(host, port)] == [pid]


def test_a_listener_on_another_address_is_not_in_the_way(listener):
    assert holders("127.0.0.2", listener[1]) == holders("::1", listener[1]) == []


def test_a_listener_on_every_address_is_in_the_way_of_each():
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        assert [holder.pid for holder in holders("127.0.0.1", server.getsockname()[1])] == [os.getpid()]


def test_a_port_that_only_a_client_has_is_held_by_nobody():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert holders("127.0.0.1", client.getsockname()[1]) == []


def test_a_command_is_told_cut_and_without_what_looks_like_a_secret(listener, monkeypatch):
    pid, port = listener
    said = in_words("127.0.0.1", port)
    assert said.startswith(f"pid {pid} ({Path(sys.executable).name} -c ")
    assert len(said) < 100
    monkeypatch.setattr(port_holders, "_MAX_SHOWN", 1000)
    said = in_words("127.0.0.1", port)
    assert said.endswith("127.0.0.1 --api-key *** TOKEN=*** redis://***@h/)")


@pytest.fixture
def proc(tmp_path: Path):
    """A /proc with one listener and no process that can be looked into."""

    def write(line: str, name: str = "tcp") -> Path:
        (tmp_path / "net").mkdir()
        (tmp_path / "net" / name).write_text(f"  sl  local_address\n{line}\n")
        return tmp_path

    return write


def test_of_a_process_that_can_not_be_looked_into_the_user_is_told(proc):
    folder = proc(LINE.format(address="0100007F:1388", state="0A"))
    assert holders("127.0.0.1", 5000, folder) == []
    assert in_words("127.0.0.1", 5000, folder) == "another process, of user 1234"


@pytest.mark.parametrize(
    ("address", "name", "host", "is_in_the_way"),
    [
        ("0100007F:1388", "tcp", "127.0.0.1", True),
        ("0100007F:1389", "tcp", "127.0.0.1", False),
        ("00000000:1388", "tcp", "10.0.0.1", True),
        ("00000000000000000000000001000000:1388", "tcp6", "::1", True),
        ("0000000000000000FFFF00000100007F:1388", "tcp6", "127.0.0.1", True),
        ("00000000000000000000000000000000:1388", "tcp6", "10.0.0.1", True),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="the lines are a little-endian kernel's")
def test_the_kernel_s_addresses_are_read(proc, address, name, host, is_in_the_way):
    folder = proc(LINE.format(address=address, state="0A"), name)
    assert bool(port_holders.listeners(host, 5000, folder)) == is_in_the_way


def test_a_system_without_proc_tells_of_another_process(tmp_path):
    assert in_words("127.0.0.1", 5000, tmp_path) == "another process"
