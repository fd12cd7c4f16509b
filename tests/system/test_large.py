"""What is large or slow goes through the relay whole, in bounded memory, and holds nobody else up."""

from __future__ import annotations

import hashlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import accounts
from tests.system.launched import Launched, Product
from tests.system.load import Request, check_arrivals, chunked, mixed_requests, request, send_all
from tests.system.sink import Sink, command, download_blocks, journal, sink

MiB = 1024**2
LARGE = 64 * MiB
BUFFER = 8 * MiB
GROWTH = BUFFER + 8 * MiB  # of the launcher, whatever goes through it


@pytest.fixture
def destination(tmp_path: Path) -> Iterator[Sink]:
    with sink(tmp_path / "copies") as running:
        yield running


@pytest.fixture
def launched(product: Product, tmp_path: Path, destination: Sink) -> Iterator[Launched]:
    options = ["--buffer", f"{BUFFER}", "--replayer", "builtin", "--to", destination.url]
    with product.launch(options, command(tmp_path / "app")) as running:
        running.wait_until_listening()
        yield running


def growth(launched: Launched, at_start: int) -> int:
    return accounts.peak_resident_bytes(launched.pid) - at_start


def test_a_large_upload_arrives_whole_and_is_not_kept(launched: Launched, destination: Sink, tmp_path: Path) -> None:
    rng = random.Random(1)
    body = rng.randbytes(MiB) * (LARGE // MiB)
    requests = [
        request(0, "POST", body=body),
        request(1, "PUT", "Transfer-Encoding: chunked", body=body, chunks=chunked(rng, body)),
        request(2, "POST", body=body[: 3 * MiB]),
    ]
    at_start = accounts.resident_bytes(launched.pid)
    send_all(launched.port, requests, connections=1, is_plain=True)
    assert growth(launched, at_start) < GROWTH
    destination.wait_for(1)
    launched.stop()
    assert accounts.tap_counters(launched) == {"seen": 3, "offered": 1, "dropped_large": 2}
    check_arrivals(requests, journal(tmp_path / "app"), at="the app")
    check_arrivals(requests[2:], destination.arrivals(), at="the destination")


def ask_for_download(launched: Launched) -> socket.socket:
    client = launched.connect()
    client.sendall(b"GET /download/%d HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n" % LARGE)
    return client


def check_rest_of_download(client: socket.socket, digest: hashlib._Hash, received: bytes) -> None:
    """Reads to the end; `received` is what has been read before."""
    head_end = received.index(b"\r\n\r\n") + 4
    digest.update(received[head_end:])
    length = len(received) - head_end
    while data := client.recv(MiB):
        digest.update(data)
        length += len(data)
    expected = hashlib.sha256()
    for block in download_blocks(LARGE):
        expected.update(block)
    assert (length, digest.hexdigest()) == (LARGE, expected.hexdigest())


def test_a_large_download_arrives_whole_and_is_not_kept(launched: Launched) -> None:
    at_start = accounts.resident_bytes(launched.pid)
    with ask_for_download(launched) as client:
        check_rest_of_download(client, hashlib.sha256(), client.recv(4096))
    assert growth(launched, at_start) < GROWTH


def test_a_slow_reader_costs_little_and_holds_nobody_up(
    launched: Launched, destination: Sink, tmp_path: Path
) -> None:
    requests: list[Request] = mixed_requests(300)
    at_start = accounts.resident_bytes(launched.pid)
    with ask_for_download(launched) as client:
        received = client.recv(4096)
        send_all(launched.port, requests)  # while the download stands still
        destination.wait_for(1 + len(requests))
        assert growth(launched, at_start) < GROWTH
        check_rest_of_download(client, hashlib.sha256(), received)
    launched.stop()
    arrivals = [each for each in destination.arrivals() if each.id >= 0]
    check_arrivals(requests, arrivals, at="the destination")
    check_arrivals(requests, [each for each in journal(tmp_path / "app") if each.id >= 0], at="the app")
