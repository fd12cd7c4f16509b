"""Protocols of others through the relay and its mirror: WebSocket and HTTP/2, as their own libraries speak them."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, RequestReceived, StreamEnded, WindowUpdated
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from launcher import descriptor_set, splicing
from launcher.relay import AppAddress
from tests.test_relay import until
from tests.test_transparency import PATIENCE_SECONDS, Scene, scene

LARGE = os.urandom(1 << 16) * 16  # 1 MiB
HEADERS = [(":method", "POST"), (":scheme", "http"), (":authority", "h"), (":path", "/")]


@pytest.fixture(autouse=True, params=["splice", "copy-without-epoll"])
def way(request, monkeypatch):
    if request.param != "splice":
        monkeypatch.setattr(splicing, "IS_POSSIBLE", False)
        monkeypatch.setattr(descriptor_set, "new_descriptor_set", descriptor_set.PollSet)


@asynccontextmanager
async def in_front_of(address: tuple[str, int]) -> AsyncIterator[Scene]:
    """A relay with a mirror before the app at `address`."""
    async with scene() as made:
        made.stage.relay._app = AppAddress(socket.AF_INET, address)
        with trio.fail_after(PATIENCE_SECONDS):
            yield made
            await until(lambda: made.stage.relay.open_connections == 0)


# ---- WebSocket ------------------------------------------------------------------------------------------------------


class EchoServer:
    """Sends back what it gets, as what it was; knows how each connection was closed."""

    def __init__(self) -> None:
        self.closes: list[tuple[int | None, str | None]] = []
        self.address = ("127.0.0.1", 0)

    def handle(self, connection: ServerConnection) -> None:
        try:
            for message in connection:
                if message == "close":
                    connection.close(1011, "as asked")
                connection.send(message)
        except ConnectionClosed:
            pass
        finally:
            self.closes.append((connection.close_code, connection.close_reason))


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    made = EchoServer()
    with serve(made.handle, "127.0.0.1", 0, max_size=None) as server:
        made.address = server.socket.getsockname()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


async def talk(echo: EchoServer, conversation: Callable[[ClientConnection], None], compression: str | None) -> None:
    """One connection through the relay. It must be seen as one request that switched protocols, and no more."""
    async with in_front_of(echo.address) as made:
        port = made.stage.port

        def run() -> None:
            with connect(f"ws://127.0.0.1:{port}/ws?a=1", compression=compression, max_size=None) as connection:
                conversation(connection)

        await trio.to_thread.run_sync(run)
        await until(lambda: bool(echo.closes))
    assert made.counters() == {"seen": 1, "skipped_upgrade": 1}


COMPRESSION = pytest.mark.parametrize("compression", [None, "deflate"])


@COMPRESSION
async def test_websocket_messages_of_any_kind_and_size_are_echoed(echo, compression):
    def converse(connection: ClientConnection) -> None:
        for message in ("text", "", "späße", b"", b"\x00\xff", LARGE, LARGE[:300_000].hex()):
            connection.send(message)
            assert connection.recv() == message

    await talk(echo, converse, compression)
    assert echo.closes == [(1000, "")]


@COMPRESSION
async def test_a_fragmented_websocket_message_is_one_message(echo, compression):
    def converse(connection: ClientConnection) -> None:
        connection.send(LARGE[start : start + 10_000] for start in range(0, len(LARGE), 10_000))
        assert connection.recv() == LARGE
        connection.send(["a", "", "b"])
        assert connection.recv() == "ab"

    await talk(echo, converse, compression)


async def test_websocket_pings_are_answered_between_messages(echo):
    def converse(connection: ClientConnection) -> None:
        for payload in ("", "x" * 125):
            answered = connection.ping(payload)
            connection.send("message")
            assert answered.wait(PATIENCE_SECONDS)
            assert connection.recv() == "message"

    await talk(echo, converse, None)


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_a_client_s_websocket_close_code_reaches_the_app(echo, code):
    await talk(echo, lambda connection: connection.close(code, "bye"), None)
    assert echo.closes == [(code, "bye")]


async def test_an_app_s_websocket_close_code_reaches_the_client(echo):
    def converse(connection: ClientConnection) -> None:
        connection.send("close")
        with pytest.raises(ConnectionClosed):
            connection.recv()
        assert (connection.close_code, connection.close_reason) == (1011, "as asked")

    await talk(echo, converse, None)


async def test_many_websocket_messages_are_in_flight_both_ways(echo):
    def converse(connection: ClientConnection) -> None:
        sent = [os.urandom(number * 7 % 3000) for number in range(1000)]

        def send() -> None:
            for message in sent:
                connection.send(message)

        sender = threading.Thread(target=send)
        sender.start()
        assert [connection.recv() for _ in sent] == sent
        sender.join()

    await talk(echo, converse, None)


# ---- HTTP/2 with prior knowledge ------------------------------------------------------------------------------------


class H2Peer:
    """One end of an HTTP/2 connection over a blocking socket: h2 knows the protocol, this moves its bytes."""

    def __init__(self, sock: socket.socket, *, is_client: bool) -> None:
        sock.settimeout(PATIENCE_SECONDS)
        self.sock = sock
        self.h2 = H2Connection(H2Configuration(client_side=is_client, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.bodies: dict[int, bytes] = {}
        self.waiting: dict[int, bytes] = {}  # for the flow control of their streams
        self.flush()

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def send(self, stream: int, body: bytes) -> None:
        self.waiting[stream] = body
        self.send_waiting()

    def send_waiting(self) -> None:
        for stream, body in list(self.waiting.items()):
            while body and (room := min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)):
                self.h2.send_data(stream, body[:room])
                body = body[room:]
            self.waiting[stream] = body
            if not body:
                self.h2.end_stream(stream)
                del self.waiting[stream]
        self.flush()

    def receive(self) -> list[Event] | None:
        """None at the end."""
        data = self.sock.recv(1 << 16)
        if not data:
            return None
        events = self.h2.receive_data(data)
        for event in events:
            if isinstance(event, DataReceived):
                assert event.stream_id is not None and event.data is not None
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
            elif isinstance(event, WindowUpdated):
                self.send_waiting()
        self.flush()
        return events


def serve_h2(sock: socket.socket) -> None:
    """Answers each request with its own body."""
    with sock:
        peer = H2Peer(sock, is_client=False)
        while (events := peer.receive()) is not None:
            for event in events:
                if isinstance(event, RequestReceived):
                    peer.h2.send_headers(event.stream_id, [(":status", "200")])
                elif isinstance(event, StreamEnded):
                    peer.send(event.stream_id, peer.bodies.get(event.stream_id, b""))
                elif isinstance(event, ConnectionTerminated):
                    return


@contextmanager
def h2_server(connections: int) -> Iterator[tuple[str, int]]:
    """Serves as many connections, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_SECONDS)

        def run() -> None:
            for _ in range(connections):
                serve_h2(listener.accept()[0])

        thread = threading.Thread(target=run)
        thread.start()
        yield listener.getsockname()
        thread.join()


def ask_by_h2(port: int, bodies: list[bytes]) -> list[bytes]:
    """All requests at once on one connection. The answers."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        peer = H2Peer(sock, is_client=True)
        streams = []
        for body in bodies:
            streams.append(peer.h2.get_next_available_stream_id())
            peer.h2.send_headers(streams[-1], HEADERS)
            peer.send(streams[-1], body)
        open_streams = set(streams)
        while open_streams:
            events = peer.receive()
            assert events is not None, "the connection ended before the answers did"
            open_streams -= {event.stream_id for event in events if isinstance(event, StreamEnded)}
        peer.h2.close_connection()
        peer.flush()
        return [peer.bodies.get(stream, b"") for stream in streams]


async def test_http_2_with_prior_knowledge_passes_and_is_counted_once_a_connection():
    bodies = [b"", b"small", LARGE[:100_000], LARGE[:300_001]]
    with h2_server(connections=3) as address:
        async with in_front_of(address) as made:
            for _ in range(3):
                assert await trio.to_thread.run_sync(ask_by_h2, made.stage.port, bodies) == bodies
        assert made.counters() == {"seen": 3, "unframed": 3}
