"""A user's `--middleware` behind the launcher and its built-in replayer: exact counts at the destination.

That no process outlives the launcher, and that the counters balance, is `Launched`'s to see.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.system import accounts
from tests.system.launched import Launched, Product
from tests.system.load import check_arrivals, mixed_requests, send_all
from tests.system.sink import command, sink

DROPS_EVERY_THIRD = """
import sys
for number, line in enumerate(sys.stdin.buffer):
    if number % 3:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
"""
GROWS = """
import sys
held = []
for line in sys.stdin.buffer:
    held.append(b"x" * 8_000_000)
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
"""
HOLDS_BACK = "import sys\nsys.stdout.buffer.writelines(sys.stdin.buffer.readlines())\n"
REQUESTS = mixed_requests(300)


def options(tmp_path: Path, source: str, url: str) -> list[str]:
    (tmp_path / "program.py").write_text(source)
    (tmp_path / "gor.options").write_text(
        f"--output-http {url}\n--middleware '{sys.executable} -I -S {tmp_path}/program.py'\n"
    )
    return ["--gor-options", str(tmp_path / "gor.options"), "--replayer", "auto"]


def middleware_counters(launched: Launched) -> dict[str, int]:
    [told] = [facts for facts in launched.facts("middleware") if facts.get("final") == "true"]
    counters = {name: int(value) for name, value in told.items() if value.isdigit()}
    ends = ("taken", "dropped_full", "dropped_shutdown", "lost")
    assert counters["given"] == sum(counters.get(name, 0) for name in ends)
    return {name: count for name, count in counters.items() if count}


def test_what_it_drops_does_not_arrive_and_the_rest_does(product: Product, tmp_path: Path) -> None:
    with sink(tmp_path / "copies") as destination:
        words = options(tmp_path, DROPS_EVERY_THIRD, destination.url)
        with product.launch(words, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            assert launched.wait_for_line("mirroring")["replayer"] == "the built-in replayer"
            send_all(launched.port, REQUESTS)
            destination.wait_for(200)
            launched.stop()
            assert middleware_counters(launched) == {"given": 300, "taken": 300, "returned": 200}
            assert accounts.outcomes(launched, destination.url) == {"received": 200, "2xx": 200}
        assert destination.count == 200
        assert len({arrival.id for arrival in destination.arrivals()}) == 200


def test_what_it_holds_when_the_platform_ends_all_processes_still_arrives(product: Product, tmp_path: Path) -> None:
    with sink(tmp_path / "copies") as destination:
        words = options(tmp_path, HOLDS_BACK, destination.url)
        with product.launch(words, command(tmp_path / "app"), environ={"DYNO": "web.1"}) as launched:
            launched.wait_until_listening()
            send_all(launched.port, REQUESTS)
            launched.send_signal_to_all(signal.SIGTERM)
            launched.wait()
            assert middleware_counters(launched) == {"given": 300, "taken": 300, "returned": 300}
        check_arrivals(REQUESTS, destination.arrivals(), at="the destination")


def test_one_that_grows_is_bounded_by_the_replayer_s_memory(product: Product, tmp_path: Path) -> None:
    with sink(tmp_path / "copies") as destination:
        words = [*options(tmp_path, GROWS, destination.url), "--replayer-memory", "128MiB"]
        with product.launch(words, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            send_all(launched.port, REQUESTS[:30])
            assert launched.wait_for_line("replayer-memory", level="warning")["bound"] == "128.0MiB"
            assert launched.wait_for_line("replayer-restart")["status"] == "137"  # SIGKILL
            launched.stop()


def test_a_replayer_that_is_killed_takes_its_middleware_along_and_the_sums_hold(
    product: Product, tmp_path: Path
) -> None:
    with sink(tmp_path / "copies") as destination:
        words = options(tmp_path, DROPS_EVERY_THIRD, destination.url)
        with product.launch(words, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            send_all(launched.port, REQUESTS)
            destination.wait_for(200)
            victim = accounts.process(launched, accounts.is_builtin)
            accounts.kill(victim, signal.SIGKILL)
            launched.wait_for_line("replayer-restart")
            send_all(launched.port, mixed_requests(300, first_id=1000))
            destination.wait_for(400)
            launched.stop()
            counters = middleware_counters(launched)
            assert counters["given"] + sum(
                int(facts["copies"]) for facts in launched.facts("output-unknown")
            ) == accounts.feed_counters(launched)["taken"] == 600
            assert accounts.outcomes(launched, destination.url)["received"] == counters["returned"] <= 400
        assert destination.count == 400


def test_one_that_is_not_there_is_said_and_the_app_is_served_all_the_same(product: Product, tmp_path: Path) -> None:
    words = ["--replayer", "builtin", "--gor-options", str(tmp_path / "gor.options")]
    (tmp_path / "gor.options").write_text("--output-null --middleware '/no/such/program secret-word'\n")
    with product.launch(words, command(tmp_path / "app")) as launched:
        launched.wait_until_listening()
        send_all(launched.port, REQUESTS)
        launched.wait_for_line("middleware-start-failed", level="error")
        launched.stop()
        assert middleware_counters(launched)["dropped_shutdown"] == 300
        assert "/no/such/program: no such file" in launched.log and "secret-word" not in launched.log
