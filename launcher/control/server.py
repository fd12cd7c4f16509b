"""Serves the control socket: a task beside the relay that can neither hold it up nor end it.

At most 8 connections at a time, each with one request and a few seconds; the next ones wait in the backlog. At most 50
a second are accepted: what asks without a pause takes a few percent of the launcher's processor time, not all. Whoever
is neither this user nor root is let go without an answer, although the socket's mode keeps them out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import trio

from launcher.control.request import Answer, ControlRequest, Refused, encode_answer, parse_request
from launcher.control.routes import Asked, Routes, new_routes, refusal
from launcher.control.socket_file import Peer, listening, peer_of
from launcher.log import log
from launcher.snapshot import Snapshot

_MAX_CONNECTIONS = 8
_REQUEST_SECONDS = 2.0  # from the connection to its whole request: it comes from this machine
_ANSWER_SECONDS = 5.0  # to take the whole answer
_LEAST_SECONDS_BETWEEN = 0.02
_ACCEPT_AGAIN_SECONDS = 0.1
_READ_BYTES = 4096


async def serve_control(snapshot: Snapshot, environ: Mapping[str, str]) -> None:
    """Serves until it is cancelled. A failure is one line in the log, and the launcher goes on without the socket."""
    try:
        with listening(environ) as (sock, path):
            snapshot.control_socket = path
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_sample, snapshot)
                await ControlServer(new_routes(snapshot)).run(trio.socket.from_stdlib_socket(sock), nursery)
    except Exception as error:  # noqa: BLE001 - the app is not concerned; trio's cancellation is no Exception
        snapshot.control_socket = None
        log(
            "control-failed", level="warning", error=str(error),
            hint="the app and its copies go on; --status and --control can't reach this launcher",
        )  # fmt: skip


async def _sample(snapshot: Snapshot) -> None:
    while True:
        await trio.sleep(1)
        snapshot.sample()


class ControlServer:
    """Answers by the table of routes. A socket that knows its peers (a Unix one) answers this user and root only."""

    def __init__(self, routes: Routes, *, knows_peers: bool = True) -> None:
        self._routes = routes
        self._knows_peers = knows_peers
        self._free = trio.Semaphore(_MAX_CONNECTIONS)
        self._failed: set[str] = set()  # paths whose handler has raised: told once

    async def run(self, listener: trio.socket.SocketType, nursery: trio.Nursery) -> None:
        """Accepts for ever."""
        while True:
            await self._free.acquire()
            try:
                connection, _ = await listener.accept()
            except OSError:  # out of descriptors, or the client has gone
                self._free.release()
                await trio.sleep(_ACCEPT_AGAIN_SECONDS)
                continue
            nursery.start_soon(self._serve, connection)
            await trio.sleep(_LEAST_SECONDS_BETWEEN)

    async def _serve(self, connection: trio.socket.SocketType) -> None:
        try:
            with connection:
                peer = peer_of(connection) if self._knows_peers else None
                if peer is None or peer.uid in (0, os.geteuid()):
                    await self._answer(connection, peer)
        except OSError:
            pass  # the client has gone
        finally:
            self._free.release()

    async def _answer(self, connection: trio.socket.SocketType, peer: Peer | None) -> None:
        answer = refusal(400, "no request came in time")
        try:
            with trio.move_on_after(_REQUEST_SECONDS):
                request = await _read_request(connection)
                if request is None:
                    return
                answer = self._handle(request, peer)
        except Refused as error:
            answer = refusal(error.status, error.reason)
        data = memoryview(encode_answer(answer))
        with trio.move_on_after(_ANSWER_SECONDS):
            while data:
                data = data[await connection.send(data) :]

    def _handle(self, request: ControlRequest, peer: Peer | None) -> Answer:
        handler = self._routes.get((request.method, request.path))
        if handler is None:
            known = ", ".join(f"{method} {path}" for method, path in self._routes)
            is_known = any(path == request.path for _, path in self._routes)
            return refusal(405 if is_known else 404, f"there is only: {known}")
        try:
            return handler(Asked(request, peer))
        except Exception as error:  # noqa: BLE001 - a defect in what is told must not end anything
            if request.path not in self._failed:
                self._failed.add(request.path)
                log("control-defect", level="error", path=request.path, error=repr(error))
            return refusal(500, "a defect of the launcher; its log has a line at=control-defect")


async def _read_request(connection: trio.socket.SocketType) -> ControlRequest | None:
    """The request; None if the connection ends before it. Raises Refused."""
    data = b""
    while (request := parse_request(data)) is None:
        more = await connection.recv(_READ_BYTES)
        if not more:
            return None
        data += more
    return request
