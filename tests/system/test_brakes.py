"""Mirroring that ends or pauses by itself: the copies stop, the app goes on, and all is counted."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.cgroups import MemoryCgroup, memory_cgroup
from tests.system import accounts
from tests.system.launched import Launched, Product
from tests.system.load import mixed_requests, send_all
from tests.system.sink import command, sink, wait_until

ROOT = Path(__file__).resolve().parents[2]
REQUESTS = mixed_requests(100)
BURNS = """
import sys
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    while True:
        pass
"""
HOG = """
import sys
limit, used = int(sys.argv[1]), sys.argv[2]
held = []
while int(open(used).read()) < limit * 0.97:
    held.append(b"x" * 2**20)
sys.stdin.read()
"""


def send_until_told(launched: Launched, at: str, *, first_id: int = 0, **facts: object) -> int:
    """Sends requests until there is such a line; how many."""
    sent = 0
    while not [told for told in launched.facts(at) if facts.items() <= told.items()]:
        send_all(launched.port, mixed_requests(20, first_id=first_id + sent), connections=4)
        sent += 20
    return sent


def test_until_a_duration_is_over_copies_are_sent_and_then_the_replayer_is_gone_and_the_app_goes_on(
    product: Product, tmp_path: Path
) -> None:
    with sink(tmp_path / "copies") as destination:
        words = ["--replayer", "builtin", "--to", destination.url, "--until", "3s"]
        with product.launch(words, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            assert launched.wait_for_line("mirroring")["until"].endswith("Z")
            sent = send_until_told(launched, "mirroring-ended", reason="--until 3s is over")
            wait_until(lambda: not any(map(accounts.is_builtin, launched.processes())), "the replayer's end")
            arrived = destination.count
            send_all(launched.port, REQUESTS)
            launched.stop()
            told = accounts.tap_counters(launched)
            assert len(launched.facts("mirroring-ended")) == 1 and not launched.facts("replayer-restart")
        assert told["seen"] == sent + 100 and told["skipped_paused"] >= 100
        # What was half read when the time came may have been offered to nobody.
        assert destination.count == arrived >= told["offered"] - accounts.feed_counters(launched)["dropped_shutdown"]


@pytest.mark.parametrize("level", ["option", "variable"])
def test_with_a_time_that_is_past_the_app_runs_unmirrored_with_a_warning(
    product: Product, tmp_path: Path, level: str
) -> None:
    until = "2020-01-01T00:00:00Z"
    words = ["--to", "http://127.0.0.1:9", "--strict", *(["--until", until] if level == "option" else [])]
    environ = {"TRAFFIC_DUPLICATOR_UNTIL": until} if level == "variable" else {}
    finished = product.run(words, ["echo", "hello"], environ=environ)
    assert (finished.status, finished.output) == (0, "hello\n")
    [told] = finished.facts("unmirrored")
    name = "--until" if level == "option" else "TRAFFIC_DUPLICATOR_UNTIL"
    assert told["level"] == "warning" and told["reason"] == f"{name} {until} is over"


def test_an_app_that_ends_while_the_replayer_drains_is_not_waited_for_any_longer(
    product: Product, tmp_path: Path
) -> None:
    with sink(tmp_path / "copies", "--hang") as destination:
        (tmp_path / "gor.options").write_text(f"--output-http {destination.url}\n--output-http-timeout 60s\n")
        words = ["--replayer", "builtin", "--gor-options", str(tmp_path / "gor.options"), "--until", "2s"]
        with product.launch(words, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            send_until_told(launched, "mirroring-ended")
            began = time.monotonic()
            launched.stop()
            assert time.monotonic() - began < 20  # the drain by itself may take 25 s, an end at most 2
            assert accounts.outcomes(launched, destination.url)["unknown"] >= 1  # told to drain for 25 s, then killed


def test_a_time_that_comes_while_the_app_boots_leaves_it_relayed_without_a_replayer(
    product: Product, tmp_path: Path
) -> None:
    until = datetime.fromtimestamp(time.time() + 2, timezone.utc).isoformat(timespec="seconds")
    slow = ["sh", "-c", 'sleep 4; exec "$@"', "sh", *command(tmp_path / "app")]
    with product.launch(["--to", "http://127.0.0.1:9", "--until", until], slow) as launched:
        launched.wait_until_listening()
        launched.wait_for_line("mirroring-ended", reason=f"--until {until} is over")
        assert not launched.facts("mirroring") and not any(map(accounts.is_builtin, launched.processes()))
        send_all(launched.port, REQUESTS)
        launched.stop()
        assert accounts.tap_counters(launched) == {"seen": 100, "skipped_paused": 100}


def test_a_dry_run_says_when_mirroring_ends_and_pauses(product: Product) -> None:
    words = ["--dry-run", "--offline", "--to", "http://127.0.0.1:9", "--until", "30m", "--max-cpu", "70%"]
    shown = " ".join(product.run(words, ["true"]).output.split())
    assert "end by themselves, --until 30m" in shown
    assert "pause while the replayers take more than 70 % of a core, or memory is 95 % full" in shown


def test_a_middleware_that_burns_processor_time_pauses_mirroring_and_the_app_goes_on(
    product: Product, tmp_path: Path
) -> None:
    (tmp_path / "burns.py").write_text(BURNS)
    (tmp_path / "gor.options").write_text(
        f"--output-null\n--middleware '{sys.executable} -I -S {tmp_path}/burns.py'\n"
    )
    # One percent: on a machine where others are busy, a process at nice 10 may get little of a core.
    words = ["--replayer", "builtin", "--gor-options", str(tmp_path / "gor.options"), "--max-cpu", "1"]
    with product.launch(words, command(tmp_path / "app")) as launched:
        launched.wait_until_listening()
        sent = send_until_told(launched, "paused", brake="cpu")
        assert "--max-cpu, 1 %" in launched.wait_for_line("paused")["reason"]
        before = len(launched.facts("paused"))
        send_all(launched.port, REQUESTS)
        launched.stop()
        told = accounts.tap_counters(launched)
        assert before == len(launched.facts("paused")) == 1 and not launched.facts("resumed")
    assert told["seen"] == sent + 100 and told["skipped_paused"] >= 100


def test_a_cgroup_that_is_nearly_full_pauses_mirroring(product: Product, tmp_path: Path) -> None:
    with memory_cgroup(512 * 1024**2) as cgroup, sink(tmp_path / "copies") as destination:
        words = ["--replayer", "builtin", "--to", destination.url, "--max-cpu", "none"]
        with product.launch(words, command(tmp_path / "app"), prefix=cgroup.prefix) as launched:
            launched.wait_until_listening()
            send_all(launched.port, REQUESTS)
            destination.wait_for(100)
            assert not launched.facts("paused")
            with _hog(cgroup):
                reason = launched.wait_for_line("paused", brake="memory")["reason"]
                assert "of 512.0MiB memory are in use" in reason
                send_all(launched.port, REQUESTS)
            launched.stop()
            told = accounts.tap_counters(launched)
        assert told["skipped_paused"] == told["offered"] == destination.count == 100


# ---- pauses from their beginning to their end, with times that are shorter than the product's ------------------------

SHORTER = f"""#!{sys.executable} -I
import functools, sys
sys.path.insert(0, {str(ROOT)!r})
from launcher import brake_watch, cli, itself
from launcher.replay import destination_brake
brake_watch.Pauses = functools.partial(brake_watch.Pauses, 0.5, 4)
destination_brake.TIMES = destination_brake.Times(failing=0.5, least_failures=5, first_probe=0.2, longest_probe=0.5)
itself.command = lambda: [__file__]
sys.exit(cli.main())
"""


@pytest.fixture
def impatient(tmp_path: Path) -> Product:
    """The launcher from its source, and its replayers, with shorter times."""
    file = tmp_path / "impatient"
    file.write_text(SHORTER)
    file.chmod(0o755)
    return Product(file, tmp_path)


def test_when_a_cgroup_has_room_again_mirroring_goes_on(impatient: Product, tmp_path: Path) -> None:
    with memory_cgroup(512 * 1024**2) as cgroup, sink(tmp_path / "copies") as destination:
        words = ["--replayer", "builtin", "--to", destination.url, "--max-cpu", "none"]
        with impatient.launch(words, command(tmp_path / "app"), prefix=cgroup.prefix) as launched:
            launched.wait_until_listening()
            with _hog(cgroup):
                launched.wait_for_line("paused", brake="memory")
                send_all(launched.port, REQUESTS)
            assert float(launched.wait_for_line("resumed", brake="memory")["paused_seconds"]) >= 0.5
            send_all(launched.port, REQUESTS)
            destination.wait_for(100)
            launched.stop()
            told = accounts.tap_counters(launched)
        assert told["skipped_paused"] == told["offered"] == destination.count == 100
        assert len(launched.facts("paused")) == len(launched.facts("resumed")) == 1


def test_a_destination_that_dies_is_paused_and_gets_copies_again_when_it_is_back(
    impatient: Product, tmp_path: Path
) -> None:
    with sink(tmp_path / "beside") as beside:
        with sink(tmp_path / "first") as first:
            port = int(first.url.rpartition(":")[2])
        words = ["--replayer", "builtin", "--to", first.url, "--to", beside.url]
        with impatient.launch(words, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            sent = send_until_told(launched, "destination-paused", destination=first.url, outcome="refused")
            with sink(tmp_path / "second", port=port) as second:
                sent += send_until_told(launched, "destination-resumed", first_id=sent, destination=first.url)
                send_all(launched.port, mixed_requests(100, first_id=sent))
                second.wait_for(100)
                launched.stop()
                told = accounts.outcomes(launched, first.url)
                assert told["received"] == sent + 100
                assert told["2xx"] == second.count >= 100
                assert told["paused"] == sum(int(line["paused"]) for line in launched.facts("destination-resumed"))
            assert accounts.outcomes(launched, beside.url) == {"received": sent + 100, "2xx": sent + 100}


def _hog(cgroup: MemoryCgroup):  # type: ignore[no-untyped-def]
    return cgroup.process([sys.executable, "-I", "-S", "-c", HOG, str(cgroup.limit_bytes), str(cgroup.used)])
