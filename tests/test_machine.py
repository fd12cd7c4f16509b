"""What the machine and the start tell: addresses, memory, environment, how to run again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import addresses, itself, memory
from launcher.environment import is_dyno, original_environ

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(("address", "is_private"), [
    ("10.1.2.3", True), ("172.31.0.1", True), ("192.168.0.1", True), ("100.64.0.1", True), ("fd00::1", True),
    ("127.0.0.1", False), ("::1", False), ("169.254.1.1", False), ("fe80::1", False), ("192.0.2.1", False),
    ("172.32.0.1", False), ("2001:db8::1", False), ("100.128.0.1", False),
])  # fmt: skip
def test_private_addresses_are_those_that_no_public_network_has(address, is_private):
    assert addresses.is_private(address) is is_private


def test_a_listened_port_is_not_free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not addresses.is_free("127.0.0.1", port)
        assert not addresses.is_free(addresses.any_host(), port)
        assert addresses.free_port(port) != port
    assert addresses.is_free("127.0.0.1", port)
    assert addresses.free_port(port) == port


def test_past_the_last_port_any_free_one_is_taken():
    assert 1024 <= addresses.free_port(65536) <= 65535


def test_memory_is_known():
    assert 1024**2 < memory.resident_bytes(os.getpid()) < memory.limit_bytes()
    assert memory.resident_bytes(2**22 + 1) == 0  # above any pid


GRANDPARENT = """
import subprocess, sys, threading
def start():
    held = subprocess.Popen([sys.executable, "-c", "held = b'x' * 64_000_000; print(1, flush=True); input()"], stdin=0)
    held.wait()
threading.Thread(target=start).start()  # a child of that thread, and not of the first one
"""


def test_the_memory_of_a_process_can_be_told_with_that_of_all_that_it_has_started():
    with subprocess.Popen(
        [sys.executable, "-c", GRANDPARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        alone, together = memory.resident_bytes(process.pid), memory.tree_resident_bytes(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
    assert alone < 64_000_000 < together - alone
    assert memory.tree_resident_bytes(process.pid) == 0


def test_the_original_environment_is_what_the_process_was_given():
    code = "import os; os.environ.clear(); from launcher.environment import original_environ; print(original_environ())"
    given = {"A": "1", "B": "x=y", "C": "\udcff"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env={**given, "PYTHONPATH": str(ROOT), "LANG": "C"},
        capture_output=True, check=True,
    )  # fmt: skip
    assert eval(ran.stdout) == {**given, "PYTHONPATH": str(ROOT), "LANG": "C"}


def test_a_variable_without_a_name_can_t_be_handed_down_and_is_left_out():
    code = "import os; from launcher.environment import original_environ; print(original_environ())"
    words = ["env", "-i", "=nameless=1", "A=1", f"PYTHONPATH={ROOT}", sys.executable, "-c", code]
    ran = subprocess.run(words, capture_output=True, check=True)
    assert eval(ran.stdout) == {"A": "1", "PYTHONPATH": str(ROOT)}


def test_a_dyno_says_so():
    assert is_dyno({"DYNO": "web.1"})
    assert not is_dyno({"DYNO": ""})
    assert not is_dyno({})
    assert "PATH" in original_environ()


def test_the_command_to_run_again_runs_the_launcher_isolated():
    command = itself.command()
    assert {"-I", "-u"} <= set(command)
    ran = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True, cwd="/")
    assert ran.stdout.startswith("start-traffic-duplicator ")
