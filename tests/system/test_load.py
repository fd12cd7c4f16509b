"""Ten thousand requests of all kinds over 32 connections: the app and both destinations get each exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from launcher.gor.binary import Gor
from tests.system.accounts import feed_counters, outcomes, tap_counters
from tests.system.launched import Launched, Product
from tests.system.load import Request, check_arrivals, check_bytes, missing_ids, mixed_requests, request, send_all
from tests.system.sink import Sink, command, journal, sink

REQUESTS = 10_000
MOST_LOST_BY_GOR_1_3 = REQUESTS // 1000

# Nothing may be dropped: all of the traffic fits each bound.
ROOMY = ("--buffer", "256MiB", "--replayer-memory", "1GiB")


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    return mixed_requests(REQUESTS)


@pytest.fixture(scope="module")
def requests_for_gor() -> list[Request]:
    """Without the kind at whose end the destination closes: gor 1.2.0 loses copies there."""
    return mixed_requests(REQUESTS, without=["HTTP/1.0"])


@pytest.fixture
def destinations(tmp_path: Path) -> Iterator[tuple[Sink, Sink]]:
    with sink(tmp_path / "first") as first, sink(tmp_path / "second") as second:
        yield first, second


@contextmanager
def mirrored_traffic(
    product: Product, requests: list[Request], to: tuple[Sink, Sink], journal_of_app: Path, replayer: str
) -> Iterator[Launched]:
    """Everything has been sent and answered; the app has got it."""
    options = [*ROOMY, "--replayer", replayer, *(word for each in to for word in ("--to", each.url))]
    with product.launch(options, command(journal_of_app)) as launched:
        launched.wait_until_listening()
        send_all(launched.port, requests)
        yield launched
    at_app = journal(journal_of_app)
    check_arrivals(requests, at_app, at="the app")
    check_bytes(requests, at_app, Request.sent_head)


def check_feed(launched: Launched, replayer: str, copies: int) -> None:
    told = feed_counters(launched, replayer)
    assert told == {"given": copies, "taken": copies, "dropped_full": 0, "dropped_shutdown": 0, "lost": 0}


def check_tap(launched: Launched, copies: int) -> None:
    assert tap_counters(launched) == {"seen": copies, "offered": copies}


def test_each_request_arrives_exactly_once_and_unchanged_with_the_built_in_replayer(
    product: Product, requests: list[Request], destinations: tuple[Sink, Sink], tmp_path: Path
) -> None:
    with mirrored_traffic(product, requests, destinations, tmp_path / "app", "builtin") as launched:
        for each in destinations:
            each.wait_for(REQUESTS)
        launched.stop()
        check_tap(launched, REQUESTS)
        check_feed(launched, "builtin", REQUESTS)
        for each in destinations:
            assert outcomes(launched, each.url) == {"received": REQUESTS, "2xx": REQUESTS}
    for each in destinations:
        check_arrivals(requests, each.arrivals(), at=each.url)
        check_bytes(requests, each.arrivals(), partial(Request.copied_head, host=each.host))


def test_with_split_output_each_request_arrives_at_one_destination(
    product: Product, gor: Gor, destinations: tuple[Sink, Sink], tmp_path: Path
) -> None:
    requests = [request(number) for number in range(500)]
    told = "\n".join([*(f"--output-http {each.url}" for each in destinations), "--split-output"])
    (tmp_path / "gor.options").write_text(told)
    options = ["--replayer", str(gor.path), "--gor-options", str(tmp_path / "gor.options")]
    with product.launch(options, command(tmp_path / "app")) as launched:
        launched.wait_until_listening()
        send_all(launched.port, requests)
        for each in destinations:
            each.wait_for(len(requests) // 2)
        launched.stop()
        check_tap(launched, len(requests))
        for each in destinations:
            counters = feed_counters(launched, each.url)
            assert counters["given"] == counters["taken"] == len(requests) // 2
    check_arrivals(requests, [*destinations[0].arrivals(), *destinations[1].arrivals()], at="either destination")


def test_each_request_arrives_at_each_destination_with_gor(
    product: Product, gor: Gor, requests_for_gor: list[Request], destinations: tuple[Sink, Sink], tmp_path: Path
) -> None:
    requests = requests_for_gor
    may_miss = MOST_LOST_BY_GOR_1_3 if gor.version >= (1, 3) else 0
    with mirrored_traffic(product, requests, destinations, tmp_path / "app", str(gor.path)) as launched:
        for each in destinations:  # before gor is stopped, because it throws away what it holds then
            each.wait_for(REQUESTS - may_miss)
        launched.stop()
        check_tap(launched, REQUESTS)
        for each in destinations:
            check_feed(launched, each.url, REQUESTS)
    for each in destinations:
        assert len(missing_ids(requests, each.arrivals(), at=each.url)) <= may_miss
        if gor.version < (1, 3):  # 1.3 sorts the headers and cuts chunks anew
            check_bytes(requests, each.arrivals(), partial(Request.copied_head, host=each.host))
