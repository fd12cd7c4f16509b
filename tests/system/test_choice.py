"""Which requests are copied, counted where they arrive: by method and path, by user, by rate."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from launcher.gor.binary import Gor
from launcher.sampling import place_of
from tests.system import accounts
from tests.system.launched import Product
from tests.system.load import Request, check_arrivals, request, send_all
from tests.system.machine import proc
from tests.system.sink import command, sink
from tests.system.test_copies import scene

LARGE = bytes(8 << 20)


def process_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    fields = proc(pid, "stat").rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def mixed_requests() -> tuple[list[Request], list[int]]:
    """Requests of every sort, and the ids of those that --methods safe, --path ^/r/ and --not-path /[45]$ want."""
    requests = [
        request(0),
        request(1, "HEAD"),
        request(2, "POST", body=b"a=b"),
        request(3, "PUT", body=LARGE),
        request(4),
        request(5, target="/r/5?x=/r/0"),
        request(6, target="/r/6?next=/4"),
        request(7, target="http://app.example.com/r/7"),
        request(8, target="http://app.example.com/x/r/8"),
        request(9, "POST", "Transfer-Encoding: chunked", body=b"abc", chunks=b"3\r\nabc\r\n0\r\n\r\n"),
        request(10, "OPTIONS"),
        request(11, "DELETE"),
        request(12, "GET", body=b"with a body"),
    ]
    return requests, [0, 1, 6, 7, 10, 12]


@pytest.mark.parametrize("is_by_variable", [False, True])
def test_only_what_is_wanted_arrives(product: Product, tmp_path: Path, is_by_variable: bool) -> None:
    requests, wanted = mixed_requests()
    options = {"methods": "safe", "path": "^/r/", "not-path": "/[45]$"}
    words = [] if is_by_variable else [word for name, value in options.items() for word in (f"--{name}", value)]
    environ = {f"TRAFFIC_DUPLICATOR_{name.upper().replace('-', '_')}": value for name, value in options.items()}
    with sink(tmp_path / "copies") as destination:
        words += ["--to", destination.url]
        with product.launch(
            words, command(tmp_path / "app"), environ=environ if is_by_variable else None
        ) as launched:
            launched.wait_until_listening()
            send_all(launched.port, requests, connections=1, is_plain=True)
            destination.wait_for(len(wanted))
            launched.stop()
            said = launched.wait_for_line("mirroring")["copies"]
            counters = accounts.tap_counters(launched)
        assert said == "all GET, HEAD and OPTIONS requests to paths with ^/r/, but not with /[45]$"
        assert counters == {"seen": 13, "offered": 6, "skipped_filter": 7}
        assert sorted(each.id for each in destination.arrivals()) == wanted


def test_a_path_that_takes_long_to_judge_holds_nobody_up_and_is_counted(product: Product, tmp_path: Path) -> None:
    """Each of its characters would meet a new state: 0.05 s a request, in which the relay serves nobody."""
    letters = random.Random(1)
    strange = [request(n, target=f"/r/{n}/" + "".join(letters.choices("/u", k=10_000))) for n in range(20, 80)]
    plain = [request(n, target=f"/r/{n}/u/7/edit") for n in range(20)]
    with scene(product, tmp_path, "--path", "/u.{1,30}/edit", "--not-path", "u.{1,100}/x$") as on:
        send_all(on.launched.port, plain, connections=1)
        before = process_seconds(on.launched.pid)
        send_all(on.launched.port, strange, connections=1, is_plain=True)
        spent = process_seconds(on.launched.pid) - before
        assert on.end(copies=20) == {"seen": 80, "offered": 20, "skipped_unjudged": 60}
        check_arrivals(plain, on.destination.arrivals(), at="the destination")
        check_arrivals([*strange, *plain], on.at_app(), at="the app")
        assert spent < 0.5  # for a second or more


def test_a_tenth_of_the_users_arrives_with_all_that_they_send_and_more_users_join_them(
    product: Product, tmp_path: Path
) -> None:
    visits = [(user, visit) for visit in range(3) for user in range(400)]
    requests = [request(number, "GET", f"Cookie: a=1; sid=user-{user}") for number, (user, _) in enumerate(visits)]
    arrived = []
    for percent in (10, 50):
        folder = tmp_path / str(percent)
        folder.mkdir()
        users = {user for user in range(400) if place_of(b"user-%d" % user) < percent}
        copies = [each for each, (user, _) in zip(requests, visits, strict=True) if user in users]
        with scene(product, folder, "--sample", str(percent), "--sample-by", "cookie:sid") as on:
            send_all(on.launched.port, requests)
            assert on.end(copies=len(copies)) == {
                "seen": 1200, "offered": len(copies), "skipped_sample": 1200 - len(copies)
            }  # fmt: skip
            check_arrivals(copies, on.destination.arrivals(), at="the destination")
            check_arrivals(requests, on.at_app(), at="the app")
        arrived.append(users)
    assert arrived[0] < arrived[1]


def test_in_a_dyno_clients_are_told_apart_by_what_the_router_says(product: Product, tmp_path: Path) -> None:
    requests = [
        request(number, "GET", "X-Forwarded-For: 10.9.9.9", f"X-Forwarded-For: 8.8.8.8, 203.0.113.{number % 50}")
        for number in range(200)
    ]
    wanted = [each for each in requests if place_of(b"203.0.113.%d" % (each.id % 50)) < 30]
    with sink(tmp_path / "copies") as destination:
        words = ["--to", destination.url, "--sample", "30", "--sample-by", "client"]
        with product.launch(words, command(tmp_path / "app"), environ={"DYNO": "web.1"}) as launched:
            launched.wait_until_listening()
            send_all(launched.port, requests)
            destination.wait_for(len(wanted))
            launched.stop()
        check_arrivals(wanted, destination.arrivals(), at="the destination")


def test_no_more_than_the_rate_arrives_and_the_rest_is_counted(product: Product, tmp_path: Path) -> None:
    rate, count = 20, 600
    with scene(product, tmp_path, "--rate", f"{rate}") as on:
        started = time.monotonic()
        send_all(on.launched.port, [request(number) for number in range(count)])
        most = rate * (time.monotonic() - started) + rate / 10
        on.launched.stop()
        counters = accounts.tap_counters(on.launched)
        assert counters["seen"] == count == counters["offered"] + counters["skipped_rate"]
        assert 2 <= counters["offered"] <= most
        assert on.destination.count == counters["offered"]


def test_gor_gets_only_what_is_wanted(product: Product, gor: Gor, tmp_path: Path) -> None:
    requests = [request(number, ("GET", "POST")[number % 2], body=b"x") for number in range(20)]
    with scene(product, tmp_path, "--methods", "POST", replayer=str(gor.path)) as on:
        on.send(*requests)
        assert on.end(copies=10) == {"seen": 20, "offered": 10, "skipped_filter": 10}
        check_arrivals(requests[1::2], on.destination.arrivals(), at="the destination")
