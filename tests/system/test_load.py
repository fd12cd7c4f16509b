"""Ten thousand requests of all kinds over 32 connections: the app and both destinations get each exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from launcher.gor import Gor
from tests.system.launched import Facts, Launched, Product
from tests.system.load import Request, check_arrivals, check_bytes, missing_ids, mixed_requests, send_all
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


def check_feed(feed: Facts, copies: int) -> None:
    told = {name: int(feed[name]) for name in ("given", "taken", "dropped_full", "dropped_shutdown", "lost")}
    assert told == {"given": copies, "taken": copies, "dropped_full": 0, "dropped_shutdown": 0, "lost": 0}


def check_tap(launched: Launched, copies: int) -> None:
    end = {name: int(value) for name, value in launched.facts("end")[0].items() if value.isdigit()}
    assert {name: value for name, value in end.items() if value} == {"seen": copies, "offered": copies}


def test_each_request_arrives_exactly_once_and_unchanged_with_the_built_in_replayer(
    product: Product, requests: list[Request], destinations: tuple[Sink, Sink], tmp_path: Path
) -> None:
    with mirrored_traffic(product, requests, destinations, tmp_path / "app", "builtin") as launched:
        for each in destinations:
            each.wait_for(REQUESTS)
        launched.stop()
        check_tap(launched, REQUESTS)
        [feed] = [facts for facts in launched.facts("feed") if facts.get("final") == "true"]
        check_feed(feed, REQUESTS)
        for each in destinations:
            [output] = [facts for facts in launched.facts("output") if facts.get("final") == "true"
                        and facts["destination"] == each.url]  # fmt: skip
            assert (output["received"], output["2xx"]) == (str(REQUESTS), str(REQUESTS))
    for each in destinations:
        check_arrivals(requests, each.arrivals(), at=each.url)
        check_bytes(requests, each.arrivals(), partial(Request.copied_head, host=each.host))


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
            [feed] = [facts for facts in launched.facts("feed") if facts.get("final") == "true"
                      and facts["replayer"] == each.url]  # fmt: skip
            check_feed(feed, REQUESTS)
    for each in destinations:
        assert len(missing_ids(requests, each.arrivals(), at=each.url)) <= may_miss
        if gor.version < (1, 3):  # 1.3 sorts the headers and cuts chunks anew
            check_bytes(requests, each.arrivals(), partial(Request.copied_head, host=each.host))
