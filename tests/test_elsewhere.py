"""Where Linux's own calls are missing (macOS, the BSDs): everything can be imported, and the relay relays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# trio itself runs on epoll here, so it keeps what the launcher must do without.
WITHOUT_LINUX = """
import fcntl, os, pkgutil, select, signal, socket, sys, types
import trio, trio._core._io_epoll
trio._core._io_epoll.select = types.SimpleNamespace(**vars(select))
GONE = {
    select: lambda name: name.startswith(("epoll", "EPOLL")),
    os: lambda name: name in ("splice", "pidfd_open", "pipe2", "memfd_create", "eventfd", "sendfile", "accept4")
        or name.startswith(("SPLICE_", "EFD_", "MFD_", "P_PIDFD")),
    fcntl: lambda name: name in ("F_SETPIPE_SZ", "F_GETPIPE_SZ") or name.startswith("F_SEAL"),
    signal: lambda name: name in ("SIGPWR", "SIGSTKFLT", "SIGRTMIN", "SIGRTMAX", "pidfd_send_signal"),
    socket: lambda name: name in ("IP_BIND_ADDRESS_NO_PORT", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "TCP_QUICKACK",
        "TCP_DEFER_ACCEPT", "TCP_USER_TIMEOUT", "SO_DOMAIN", "SO_PEERCRED", "AF_NETLINK", "AF_PACKET"),
}
for module, is_gone in GONE.items():
    for name in [name for name in vars(module) if is_gone(name)]:
        delattr(module, name)
"""

IMPORTS_ALL = """
import importlib, launcher
for found in pkgutil.walk_packages(launcher.__path__, "launcher."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
from launcher import service, splicing, descriptor_set
assert descriptor_set.new_descriptor_set is descriptor_set.PollSet
assert not splicing.IS_POSSIBLE
"""

RELAYS = """
from launcher.poller import Poller
from launcher.relay import AppAddress, Relay
from launcher.sockets import open_listener

LARGE = os.urandom(1 << 16) * 64

async def main():
    poller = Poller()
    listener = open_listener("127.0.0.1", 0)
    relay = Relay(poller, AppAddress(socket.AF_INET, listener.getsockname()[:2]), new_tap=None, app_refused=print)
    app = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        relay.listen("127.0.0.1", 0)
        client = await trio.open_tcp_stream("127.0.0.1", relay.port)
        served = await app.accept()
        async def send(stream):
            await stream.send_all(LARGE)
            await stream.send_eof()
        async with trio.open_nursery() as both:
            for stream in (client, served):
                both.start_soon(send, stream)
            for stream in (client, served):
                assert b"".join([bytes(chunk) async for chunk in stream]) == LARGE
        for stream in (client, served):
            await stream.aclose()
        relay.close()
        await app.aclose()
        nursery.cancel_scope.cancel()
    print("relayed")

trio.run(main)
"""


def run(*parts: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "".join(parts)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_can_be_imported_without_linux_s_own_calls():
    run(WITHOUT_LINUX, IMPORTS_ALL)


def test_the_relay_relays_without_linux_s_own_calls():
    assert run(WITHOUT_LINUX, IMPORTS_ALL, RELAYS) == "relayed\n"
