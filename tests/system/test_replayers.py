"""Replayers and destinations that are missing, die, hang or are stopped: the app's clients notice nothing of it.

In each test all that clients send is answered rightly, the counters balance (`Launched` sees to that), and nothing
arrives twice.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from launcher.gor.binary import Gor
from launcher.splicing import PIPE_BYTES
from tests.system import accounts
from tests.system.launched import Launched, Product, free_port
from tests.system.load import (
    Request,
    Traffic,
    check_arrivals,
    missing_ids,
    mixed_requests,
    request,
    send_all,
    sending,
)
from tests.system.sink import Sink, command, journal, sink, wait_until

NOT_FOR_GOR = ("HTTP/1.0",)  # at its end the destination closes: gor 1.2.0 loses copies there
ROOMY = ("--buffer", "256MiB", "--replayer-memory", "1GiB")
OFTEN = ("--stats-interval", "0.3")
KILLS = 4
FEW = 10  # records that one death may cost, unread in the pipe or taken and not sent
MiB = 1024**2


@pytest.fixture(scope="module")
def plenty() -> list[Request]:
    """More requests than any test here sends, and none that gor can't replay."""
    return mixed_requests(20_000, without=NOT_FOR_GOR)


def few(count: int = 300) -> list[Request]:
    return mixed_requests(count, without=NOT_FOR_GOR)


def wait_until_taken(launched: Launched, replayer: str) -> None:
    """Waits for a stats line that says that nothing of what was given waits any more."""

    def is_done() -> bool:
        feeds = [facts for facts in launched.facts("feed") if facts["replayer"] == replayer]
        return bool(feeds) and "waiting" not in feeds[-1] and int(feeds[-1]["given"]) == sum(
            int(feeds[-1].get(name, 0)) for name in accounts.FEED_COUNTERS[1:])  # fmt: skip

    seen = len(launched.facts("stats"))
    launched.wait_for_line("stats", nth=seen + 1)
    wait_until(is_done, f"all that was given to {replayer} is taken")


# ---- nothing to send copies with, or to ----------------------------------------------------------------------------


def test_without_any_destination_the_app_is_served_by_itself(product: Product, tmp_path: Path) -> None:
    with product.launch([], command(tmp_path / "app")) as launched:
        told = launched.wait_for_line("unmirrored")
        assert "no destination" in told["reason"]
        launched.wait_for_output(str(launched.port))  # the app is on the clients' port itself
        send_all(launched.port, few())
    check_arrivals(few(), journal(tmp_path / "app"), at="the app")


def test_without_any_gor_the_built_in_replayer_sends_the_copies(product: Product, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with sink(tmp_path / "copies") as destination:
        options = ["--replayer", "auto", "--to", destination.url]
        environ = {"PATH": str(tmp_path / "empty")}
        with product.launch(options, command(tmp_path / "app"), environ=environ) as launched:
            launched.wait_until_listening()
            send_all(launched.port, few())
            destination.wait_for(len(few()))
            launched.stop()
            assert accounts.feed_counters(launched, "builtin")["taken"] == len(few())
        check_arrivals(few(), destination.arrivals(), at="the destination")


@pytest.mark.parametrize("replayer", ["gor", "/no/such/gor"])
def test_a_gor_that_is_asked_for_and_missing_leaves_the_app_unmirrored(
    product: Product, tmp_path: Path, replayer: str
) -> None:
    (tmp_path / "empty").mkdir()
    options = ["--replayer", replayer, "--to", "http://127.0.0.1:9"]
    environ = {"PATH": str(tmp_path / "empty")}
    with product.launch(options, command(tmp_path / "app"), environ=environ) as launched:
        launched.wait_for_line("unmirrored", level="warning")
        launched.wait_for_output(str(launched.port))
        send_all(launched.port, few())
    check_arrivals(few(), journal(tmp_path / "app"), at="the app")


# ---- replayers that die --------------------------------------------------------------------------------------------

Victim = Callable[[int], bool]


def kill_again_and_again(launched: Launched, traffic: Traffic, destination: Sink, is_victim: Victim) -> None:
    """SIGKILL under load, each time when the replayer has come up with the traffic: what it holds then is gone."""
    killed: set[int] = set()
    for number in range(1, KILLS + 1):
        victim = accounts.process(launched, is_victim, other_than=killed)
        traffic.wait_for(traffic.answered + 50)
        wait_until(lambda: destination.highest_id >= traffic.sent[-1].id - FEW, "the copies have come up")
        accounts.kill(victim, signal.SIGKILL)
        killed.add(victim)
        launched.wait_for_line("replayer-restart", nth=number)
    accounts.process(launched, is_victim, other_than=killed)
    traffic.wait_for(traffic.answered + 50)


def check_deaths(
    product: Product, plenty: list[Request], tmp_path: Path, replayer: str, is_victim: Victim
) -> None:
    """Under load the victim is killed several times."""
    with sink(tmp_path / "copies") as destination:
        options = [*ROOMY, *OFTEN, "--replayer", replayer, "--to", destination.url]
        with product.launch(options, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            with sending(launched.port, plenty) as traffic:
                kill_again_and_again(launched, traffic, destination, is_victim)
            name = "builtin" if replayer == "builtin" else destination.url
            wait_until_taken(launched, name)
            launched.stop()
            feed = accounts.feed_counters(launched, name)
            assert feed["given"] == len(traffic.sent)
            assert (feed["dropped_full"], feed["dropped_shutdown"]) == (0, 0)
            assert feed["lost"] <= KILLS * FEW
        check_arrivals(traffic.sent, journal(tmp_path / "app"), at="the app")
        missing = missing_ids(traffic.sent, destination.arrivals(), at="the destination")
        print(f"lost={feed['lost']} missing={len(missing)} of {len(traffic.sent)}")
        assert feed["lost"] <= len(missing) <= feed["lost"] + KILLS * FEW


@pytest.mark.parametrize("is_victim", [accounts.is_gor, accounts.is_helper])
def test_gor_or_its_helper_is_killed_under_load_time_and_again(
    product: Product, gor: Gor, plenty: list[Request], tmp_path: Path, is_victim: Victim
) -> None:
    check_deaths(product, plenty, tmp_path, str(gor.path), is_victim)


def test_the_built_in_replayer_is_killed_under_load_time_and_again(
    product: Product, plenty: list[Request], tmp_path: Path
) -> None:
    check_deaths(product, plenty, tmp_path, "builtin", accounts.is_builtin)


def test_a_replayer_that_dies_behind_a_full_pipe_is_followed_by_one_that_gets_copies(
    product: Product, tmp_path: Path
) -> None:
    requests = posts(KILLS * 80)  # 80 are far more than a pipe holds
    with sink(tmp_path / "copies") as destination:
        options = [*OFTEN, "--replayer", "builtin", "--to", destination.url]
        with product.launch(options, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            killed: set[int] = set()
            for number in range(KILLS):
                victim = accounts.process(launched, accounts.is_builtin, other_than=killed)
                killed.add(victim)
                accounts.kill(victim, signal.SIGSTOP)
                send_all(launched.port, requests[number * 80 : (number + 1) * 80])
                accounts.kill(victim, signal.SIGKILL)
                launched.wait_for_line("replayer-restart", nth=number + 1)
                wait_until_taken(launched, "builtin")
            launched.stop()
            lost = accounts.feed_counters(launched)["lost"]
            most = KILLS * ((PIPE_BYTES + 65536) // 8192 + 1)  # a pipe full, and what was to be written next
            assert 0 < lost <= most
        missing = missing_ids(requests, destination.arrivals(), at="the destination")
        assert len(missing) >= lost


EXITS_AT_THE_FIRST_CONNECTION = """
import os, socket
socket.create_server(("127.0.0.1", int(os.environ["PORT"]))).accept()
"""


def check_early_exit(product: Product, replayer: str) -> None:
    """The app's first connection is the launcher's own: does it accept? `Launched` looks for survivors."""
    options = ["--replayer", replayer, "--to", f"http://127.0.0.1:{free_port()}"]
    finished = product.run(options, [sys.executable, "-c", EXITS_AT_THE_FIRST_CONNECTION])
    assert finished.status == 0


def test_an_app_that_exits_while_gor_starts_leaves_none_behind(product: Product, gor: Gor) -> None:
    check_early_exit(product, str(gor.path))


def test_an_app_that_exits_while_the_built_in_replayer_starts_leaves_none_behind(product: Product) -> None:
    check_early_exit(product, "builtin")


@contextmanager
def copying(product: Product, tmp_path: Path, replayer: str) -> Iterator[tuple[Launched, Sink]]:
    """A launcher whose replayer has sent a copy, and the destination, which lives on for whoever looks at it later."""
    with sink(tmp_path / "copies") as destination:
        options = ["--replayer", replayer, "--to", destination.url]
        with product.launch(options, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            send_all(launched.port, few())
            destination.wait_for(1)
            yield launched, destination


def is_of_gor(pid: int) -> bool:
    return accounts.is_gor(pid) or accounts.is_helper(pid)


def check_standing_back(product: Product, tmp_path: Path, replayer: str, is_replayers: Victim, count: int) -> None:
    """All of them: one that the kernel would end later than the app, for want of memory, costs the app its life."""
    with copying(product, tmp_path, replayer) as (launched, _):
        ranks = {pid: accounts.rank(pid) for pid in launched.processes()}
        assert sorted(map(is_replayers, ranks)) == [False, False, *[True] * count]  # launcher, app, and theirs
        assert {rank for pid, rank in ranks.items() if is_replayers(pid)} == {accounts.BACKMOST}
        session = 0 if accounts.has_sessions() else None
        ours = accounts.Rank(accounts.NICENESS, session, accounts.rank(os.getpid()).oom_score_adj)
        assert {rank for pid, rank in ranks.items() if not is_replayers(pid)} == {ours}
        launched.stop()


def test_gor_and_its_helper_let_the_app_go_first(product: Product, gor: Gor, tmp_path: Path) -> None:
    check_standing_back(product, tmp_path, str(gor.path), is_of_gor, count=2)


def test_the_built_in_replayer_lets_the_app_go_first(product: Product, tmp_path: Path) -> None:
    check_standing_back(product, tmp_path, "builtin", accounts.is_builtin, count=1)


def check_killed_launcher(product: Product, tmp_path: Path, replayer: str, is_replayers: Victim) -> None:
    """Nobody tells the replayers, but their pipes end."""
    with copying(product, tmp_path, replayer) as (launched, destination):
        replayers = {pid for pid in launched.processes() if is_replayers(pid)}
        assert replayers
        accounts.kill(launched.pid, signal.SIGKILL)
        wait_until(lambda: replayers.isdisjoint(launched.processes()), "the replayers end")
        for app in launched.processes():
            accounts.kill(app, signal.SIGKILL)
        launched.kill()
        missing_ids(few(), destination.arrivals(), at="the destination")


def test_gor_and_its_helper_end_with_a_launcher_that_is_killed(product: Product, gor: Gor, tmp_path: Path) -> None:
    check_killed_launcher(product, tmp_path, str(gor.path), is_of_gor)


def test_the_built_in_replayer_ends_with_a_launcher_that_is_killed(product: Product, tmp_path: Path) -> None:
    check_killed_launcher(product, tmp_path, "builtin", accounts.is_builtin)


# ---- destinations that fail ----------------------------------------------------------------------------------------


def test_what_a_killed_replayer_had_taken_and_not_sent_does_not_unbalance_the_account(
    product: Product, tmp_path: Path
) -> None:
    requests = few(100)
    with sink(tmp_path / "copies", "--hang") as destination:
        options = [*OFTEN, "--replayer", "builtin", "--to", destination.url]
        with product.launch(options, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            send_all(launched.port, requests)
            launched.wait_for_line("output", received=100)  # it has told what it holds
            accounts.kill(accounts.process(launched, accounts.is_builtin), signal.SIGKILL)
            launched.wait_for_line("replayer-restart")
            launched.stop()
            told = accounts.outcomes(launched, destination.url)
            assert told["unknown"] + told.get("timeout", 0) == told["received"] == 100


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that is taken, but nobody listens there."""
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def check_failing_destinations(
    product: Product, plenty: list[Request], tmp_path: Path, replayer: str, check: Callable[..., None]
) -> None:
    """One destination is healthy, the others hang, are deaf, refuse, and end under load."""
    with (
        sink(tmp_path / "healthy") as healthy, sink(tmp_path / "hanging", "--hang") as hanging,
        sink(tmp_path / "deaf", "--deaf") as deaf, sink(tmp_path / "dying") as dying, refusing_port() as refusing,
    ):  # fmt: skip
        urls = [healthy.url, hanging.url, deaf.url, f"http://127.0.0.1:{refusing}", dying.url]
        options = [*ROOMY, "--replayer", replayer, *(word for url in urls for word in ("--to", url))]
        with product.launch(options, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            with sending(launched.port, plenty) as traffic:
                dying.wait_for(300)
                dying.kill()
                traffic.wait_for(traffic.answered + 600)
            healthy.wait_for(len(traffic.sent))
            launched.stop()
            check(launched, urls, len(traffic.sent), dying.count)
        check_arrivals(traffic.sent, journal(tmp_path / "app"), at="the app")
        check_arrivals(traffic.sent, healthy.arrivals(), at="the healthy destination")
        for each in (hanging, dying):
            missing_ids(traffic.sent, each.arrivals(), at=each.url)


def test_failing_destinations_harm_neither_the_app_nor_a_healthy_one_with_the_built_in_replayer(
    product: Product, plenty: list[Request], tmp_path: Path
) -> None:
    def check(launched: Launched, urls: list[str], sent: int, at_dying: int) -> None:
        healthy, hanging, deaf, refusing, dying = (accounts.outcomes(launched, url) for url in urls)
        assert healthy == {"received": sent, "2xx": sent}
        assert refusing == {"received": sent, "refused": sent}
        for silent in (hanging, deaf):
            assert silent["received"] == sent and silent.keys() <= {"received", "timeout", "queue_full", "unsent"}
        assert dying["2xx"] <= at_dying <= dying["2xx"] + dying.get("reset", 0)
        assert dying.keys() <= {"received", "2xx", "reset", "refused"}

    check_failing_destinations(product, plenty, tmp_path, "builtin", check)


def test_failing_destinations_harm_neither_the_app_nor_a_healthy_one_with_gor(
    product: Product, gor: Gor, plenty: list[Request], tmp_path: Path
) -> None:
    def check(launched: Launched, urls: list[str], sent: int, _: int) -> None:
        for url in urls:
            assert accounts.feed_counters(launched, url)["given"] == sent
        assert accounts.feed_counters(launched, urls[0])["taken"] == sent

    check_failing_destinations(product, plenty, tmp_path, str(gor.path), check)


# ---- bounded memory, and what happens at a bound -------------------------------------------------------------------


def posts(count: int, size: int = 8192) -> list[Request]:
    return [request(ident, "POST", body=b"%08d" % ident * (size // 8)) for ident in range(count)]


def check_memory(launched: Launched, requests: list[Request], buffer_bytes: int) -> None:
    """Sends the requests; the launcher's memory grows by the buffer and a little more."""
    warm_up = 100
    send_all(launched.port, requests[:warm_up], is_plain=True)
    at_start = accounts.resident_bytes(launched.pid)
    send_all(launched.port, requests[warm_up:], is_plain=True)
    grown = accounts.peak_resident_bytes(launched.pid) - at_start
    assert grown < buffer_bytes + 8 * MiB, f"grown by {grown / MiB:.1f} MiB"


def check_drops(launched: Launched, replayer: str, sent: int) -> int:
    """What found no room: half read, or whole. How many there were."""
    tap, feed = accounts.tap_counters(launched), accounts.feed_counters(launched, replayer)
    half_read = tap.pop("dropped_buffer", 0)
    assert tap == {"seen": sent, "offered": feed["given"]}
    assert half_read == sent - feed["given"]
    return half_read + feed["dropped_full"]


def test_a_replayer_that_stands_still_costs_the_buffer_and_goes_on_where_it_stood(
    product: Product, tmp_path: Path
) -> None:
    requests = posts(3000)
    with sink(tmp_path / "copies") as destination:
        options = ["--buffer", "2MiB", "--replayer", "builtin", "--to", destination.url, *OFTEN]
        with product.launch(options, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            replayer = accounts.process(launched, accounts.is_builtin)
            accounts.kill(replayer, signal.SIGSTOP)
            check_memory(launched, requests, 2 * MiB)
            accounts.kill(replayer, signal.SIGCONT)
            wait_until_taken(launched, "builtin")
            launched.stop()
            taken = accounts.feed_counters(launched)["taken"]
            assert check_drops(launched, "builtin", len(requests)) == len(requests) - taken
        assert 2 * MiB / 9000 < taken < 3 * MiB / 8192, "it takes what the buffer and the pipe hold"
        missing = missing_ids(requests, destination.arrivals(), at="the destination")
        assert len(missing) == len(requests) - taken
        check_arrivals(requests, journal(tmp_path / "app"), at="the app")


def test_a_gor_behind_a_destination_that_hangs_costs_the_buffer(product: Product, gor: Gor, tmp_path: Path) -> None:
    requests = posts(4000)  # gor itself holds more than a thousand
    with sink(tmp_path / "copies", "--hang") as destination:
        options = ["--buffer", "2MiB", "--replayer", str(gor.path), "--to", destination.url]
        with product.launch(options, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            check_memory(launched, requests, 2 * MiB)
            launched.stop()
            assert check_drops(launched, destination.url, len(requests)) > 1000
        missing_ids(requests, destination.arrivals(), at="the destination")
        check_arrivals(requests, journal(tmp_path / "app"), at="the app")


def test_a_gor_that_outgrows_its_memory_is_restarted(product: Product, gor: Gor, tmp_path: Path) -> None:
    requests = posts(300, size=300_000)
    with sink(tmp_path / "copies", "--hang") as destination:
        options = ["--buffer", "256MiB", "--replayer-memory", "64MiB"]
        options += ["--replayer", str(gor.path), "--to", destination.url]
        with product.launch(options, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            send_all(launched.port, requests)
            launched.wait_for_line("replayer-memory", replayer=destination.url)
            launched.wait_for_line("replayer-restart", replayer=destination.url)
            launched.stop()
            assert accounts.feed_counters(launched, destination.url)["given"] == len(requests)
        missing_ids(requests, destination.arrivals(), at="the destination")


def test_the_built_in_replayer_drops_and_counts_before_it_outgrows_its_memory(
    product: Product, tmp_path: Path
) -> None:
    requests = posts(300, size=300_000)
    with sink(tmp_path / "copies", "--hang") as destination:
        options = ["--buffer", "256MiB", "--replayer-memory", "64MiB"]
        options += ["--replayer", "builtin", "--to", destination.url]
        with product.launch(options, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            replayer = accounts.process(launched, accounts.is_builtin)
            send_all(launched.port, requests)
            launched.wait_for_line("destination-failed", outcome="queue_full")
            assert accounts.peak_resident_bytes(replayer) < 64 * MiB
            launched.stop()
            assert not launched.facts("replayer-restart")
            assert accounts.feed_counters(launched)["taken"] == len(requests)
            assert accounts.outcomes(launched, destination.url)["queue_full"] > 200


def test_a_shutdown_under_load_answers_what_was_sent_and_balances(
    product: Product, plenty: list[Request], tmp_path: Path
) -> None:
    with sink(tmp_path / "copies", "--hang") as destination:
        options = [*ROOMY, "--replayer", "builtin", "--to", destination.url]
        with product.launch(options, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            with sending(launched.port, plenty) as traffic:
                traffic.wait_for(500)
            launched.stop()
            told = accounts.outcomes(launched, destination.url)
            assert told["received"] == len(traffic.sent) == told["unsent"] + told.get("timeout", 0)
        missing_ids(traffic.sent, destination.arrivals(), at="the destination")
