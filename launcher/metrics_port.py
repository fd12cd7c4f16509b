"""`--metrics-port`: the page for Prometheus on loopback, served as the control socket is, but for reading only.

It opens once clients are served, so that whatever the app listens on it has by then; a port that is taken, or any other
failure, is one line in the log, and the launcher goes on without the page.
"""

from __future__ import annotations

import socket

import trio

from launcher.control.routes import metrics_routes
from launcher.control.server import ControlServer
from launcher.log import log
from launcher.snapshot import Snapshot

LOOPBACK = "127.0.0.1"  # and nothing else: the figures are for agents on this machine
_LOOK_SECONDS = 0.1
_BACKLOG = 16


async def serve_metrics(snapshot: Snapshot, port: int) -> None:
    """Serves until it is cancelled."""
    while snapshot.relay is None:
        await trio.sleep(_LOOK_SECONDS)
    try:
        with trio.socket.from_stdlib_socket(_listening(port)) as listener:
            log("metrics-listening", host=LOOPBACK, port=port)
            async with trio.open_nursery() as nursery:
                await ControlServer(metrics_routes(snapshot), knows_peers=False).run(listener, nursery)
    except Exception as error:  # noqa: BLE001 - the app is not concerned; trio's cancellation is no Exception
        log(
            "metrics-failed", level="warning", port=port, error=getattr(error, "strerror", None) or repr(error),
            hint="the app and its copies go on; choose another --metrics-port, or use the control socket's /metrics",
        )  # fmt: skip


def _listening(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((LOOPBACK, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
