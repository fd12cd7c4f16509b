"""Three launchers under load send to one aggregator, which is killed and started again: nothing is uncounted.

Exactly: each sender's `received` is the sum of its outcomes; nothing arrives twice; every request that a client began
after the kill arrives; what is missing was sent before the kill, and is no more than what was not yet in the file.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

from launcher.replay.record_format import Record, RecordReader
from tests.system.accounts import feed_counters, outcomes, tap_counters
from tests.system.launched import Launched, Product
from tests.system.load import mixed_requests, sending
from tests.system.machine import free_port
from tests.system.sink import command, wait_until

LAUNCHERS = 3
PHASE = 300  # requests a launcher, at least, before the kill, and again after the restart
PLENTY = 20_000


def recorded(path: Path) -> list[int]:
    """The ids of the requests in a file of the aggregator's; a record that its end cut short is none."""
    reader = RecordReader()
    events = reader.receive(path.read_bytes()) if path.exists() else []
    ids = []
    for event in events:
        assert isinstance(event, Record), event
        found = re.search(rb"\A[^\n]*\n[A-Z]+ \S*/r/(\d+)", event.data)
        assert found, event.data[:200]
        ids.append(int(found[1]))
    return ids


def aggregator(product: Product, port: int, path: Path) -> Launched:
    options = ["--replay", "--input-tcp", f"127.0.0.1:{port}", "--stats-interval", "0", "--output-file", str(path)]
    return product.launch([*options, "--output-file-append", "--output-file-flush-interval", "10ms"], [])


def test_nothing_is_uncounted_when_the_aggregator_is_killed_and_started_again(product: Product, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "gor.options").write_text(f"--output-tcp 127.0.0.1:{port}\n--output-tcp-workers 3\n")
    with ExitStack() as stack:
        first = stack.enter_context(aggregator(product, port, tmp_path / "first.gor"))
        first.wait_for_line("replaying")
        options = ["--replayer", "builtin", "--gor-options", str(tmp_path / "gor.options"), "--buffer", "64MiB"]
        launchers = [
            stack.enter_context(product.launch(options, command(tmp_path / f"app{number}")))
            for number in range(LAUNCHERS)
        ]
        for launched in launchers:
            launched.wait_until_listening()
        with ExitStack() as clients:
            traffics = [
                clients.enter_context(
                    sending(launched.port, mixed_requests(PLENTY, seed=number, first_id=number * PLENTY))
                )
                for number, launched in enumerate(launchers)
            ]
            for traffic in traffics:
                traffic.wait_for(PHASE)
            wait_until(lambda: len(recorded(tmp_path / "first.gor")) > PHASE, "records at the first aggregator")
            at_kill = set(recorded(tmp_path / "first.gor"))
            first.kill()
            before = {request.id for traffic in traffics for request in list(traffic.sent)}
            answered = [traffic.answered for traffic in traffics]
            for traffic, count in zip(traffics, answered, strict=True):
                traffic.wait_for(count + PHASE // 2)  # nobody is there
            second = stack.enter_context(aggregator(product, port, tmp_path / "second.gor"))
            for traffic, count in zip(traffics, answered, strict=True):
                traffic.wait_for(count + PHASE)
        sent = {request.id for traffic in traffics for request in traffic.sent}
        wait_until(lambda: sent - before <= set(recorded(tmp_path / "second.gor")), "all that was sent after the kill")
        told = []
        for launched, traffic in zip(launchers, traffics, strict=True):
            launched.stop()
            told.append(outcomes(launched, f"tcp://127.0.0.1:{port}"))
            count = len(traffic.sent)
            assert tap_counters(launched) == {"seen": count, "offered": count}
            assert feed_counters(launched)["taken"] == told[-1]["received"] == count
        assert second.stop() == 0
        [heard] = [facts for facts in second.facts("input") if facts.get("final") == "true"]
    written, reset = (sum(each.get(outcome, 0) for each in told) for outcome in ("written", "reset"))
    assert written + reset == len(sent), told  # no other outcome
    at_first, at_second = recorded(tmp_path / "first.gor"), recorded(tmp_path / "second.gor")
    arrived = {*at_first, *at_second}
    assert len(arrived) == len(at_first) + len(at_second), "a record arrived twice"
    assert int(heard["received"]) == len(at_second)
    assert {name for name in heard if heard[name].isdigit()} == {"received"}, heard
    missing = sent - arrived
    assert arrived <= sent
    assert missing <= before - at_kill
    # Acknowledged, but still in the dead aggregator's sockets or memory: the gap between `written` and what arrived.
    assert written - len(missing) <= len(arrived) <= written + reset
