"""The live figures: each number is the one that was counted, and no text holds a secret."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any, cast

import jsonschema
import pytest

from launcher.builtin_launch import BuiltinLaunch, ReplayAccount
from launcher.counters import FeedCounters, MiddlewareCounters, RelayCounters, TapCounters, as_dict, meanings
from launcher.feed import Feed, frames
from launcher.latencies import RELATIVE_ERROR, LatencyRecorder
from launcher.log import log
from launcher.mirror import Mirror, MirrorSettings
from launcher.mirror_queue import Budget, MirrorQueue
from launcher.poller import Poller
from launcher.relay import Relay
from launcher.replay_protocol import Account, MiddlewareAccount, OutputAccount, encode_line
from launcher.replayers import Replayer
from launcher.snapshot import STATES, VERSION, Configuration, Snapshot
from tests.status_schema import FILE, check_schema

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
CONFIGURATION = Configuration(
    host="::", port=5000, app_pid=1, app_program="bundle", app_port=5001, app_socket=None,
    replayer="the built-in replayer", replayer_because="nothing here needs a gor", buffer_bytes=1 << 20,
)  # fmt: skip


class Scene:
    """A mirror with one built-in replayer that has not been started, behind a relay of two connections."""

    def __init__(self, destination: str = "http://h") -> None:
        budget = Budget(1 << 20)
        self.queue = MirrorQueue(budget, 1 << 19, FeedCounters())
        self.mirror = Mirror([self.queue], budget, MirrorSettings())
        self.account = ReplayAccount(lambda failed: None)
        launch = BuiltinLaunch((), {}, 1, 0, self.account)
        feed = Feed(Poller(), self.queue, frames)
        self.replayer = Replayer("builtin", launch, feed, memory_bytes=1 << 26, may_restart=lambda: True)
        self.snapshot = Snapshot(CONFIGURATION, RelayCounters(connections=7), self.mirror, [self.replayer])
        self.snapshot.relay = cast(Relay, SimpleNamespace(open_connections=2))
        self._destination = destination

    def tell_account(self, **outcomes: int) -> None:
        recorder = LatencyRecorder()
        recorder.add(0.25)
        output = OutputAccount(
            destination=self._destination, received=sum(outcomes.values()) + 1, outcomes=outcomes, held_bytes=300,
            retries=1, latencies=recorder.latencies(),
        )  # fmt: skip
        middleware = MiddlewareAccount(program="./mask", counters=MiddlewareCounters(given=3), waiting=2, restarts=0)
        self.account.receive(encode_line(Account((output,), middleware=middleware)).decode())

    def take(self) -> dict[str, Any]:
        figures = self.snapshot.take()
        assert json.loads(json.dumps(figures)) == figures
        check_schema(figures)
        assert figures["schema_version"] == VERSION
        assert figures["state"] in STATES
        return figures


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_each_figure_is_the_one_that_was_counted(scene):
    scene.mirror.new_tap().client_sent(GET * 3 + GET[:20])
    scene.tell_account(**{"2xx": 2})
    figures = scene.take()
    assert figures["requests"] == {**as_dict(scene.mirror.counters), "half_read": 0}
    assert figures["connections"] == {**as_dict(RelayCounters(connections=7)), "open": 2}
    assert figures["buffer"] == {"used_bytes": scene.mirror.budget.used_bytes, "limit_bytes": 1 << 20}
    [replayer] = figures["replayers"]
    assert replayer["copies"] == as_dict(scene.queue.counters)
    assert replayer["queue"]["records"] == 3
    assert (replayer["kind"], replayer["state"], replayer["pid"]) == ("builtin", "waiting", None)
    [output] = figures["outputs"]
    assert (output["received"], output["outcomes"], output["held"]) == (3, {"2xx": 2}, 1)
    assert output["latency"]["count"] == 1
    assert output["latency"]["max_seconds"] == 0.25
    assert output["latency"]["p99_seconds"] == pytest.approx(0.25, rel=RELATIVE_ERROR)
    [middleware] = figures["middlewares"]
    assert (middleware["program"], middleware["records"]["given"], middleware["waiting"]) == ("./mask", 3, 2)


def test_the_schema_says_what_the_code_says():
    schema = json.loads(FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    properties = schema["properties"]
    assert properties["schema_version"] == {"const": VERSION}
    assert properties["state"]["enum"] == list(STATES)
    for kind, described in (
        (TapCounters, properties["requests"]),
        (RelayCounters, properties["connections"]),
        (FeedCounters, properties["replayers"]["items"]["properties"]["copies"]),
        (MiddlewareCounters, properties["middlewares"]["items"]["properties"]["records"]),
    ):
        for name, meaning in meanings(kind).items():
            if os.environ.get("UPDATE_DOCS"):
                described["properties"][name] = {"type": "integer", "minimum": 0, "description": meaning}
                described["required"] = list(described["properties"])
            assert described["properties"].get(name, {}).get("description") == meaning, "UPDATE_DOCS=1 writes it anew"
    if os.environ.get("UPDATE_DOCS"):
        FILE.write_text(json.dumps(schema, indent=2) + "\n")


async def test_requests_a_second_are_of_the_last_seconds(scene, monkeypatch):
    now = 100.0
    monkeypatch.setattr("launcher.snapshot.time", SimpleNamespace(
        monotonic=lambda: now, time=lambda: 0.0, strftime=lambda *_: "", gmtime=lambda _: None,
    ))  # fmt: skip
    snapshot = Snapshot(CONFIGURATION, RelayCounters(), scene.mirror, [scene.replayer])
    for _ in range(10):
        scene.mirror.new_tap().client_sent(GET * 50)
        now += 1
        snapshot.sample()
    assert snapshot.take()["rates"] == {"requests_per_second": 50.0, "copies_per_second": 50.0}
    for _ in range(3):
        now += 1
        snapshot.sample()
    assert snapshot.take()["rates"] == {"requests_per_second": 0.0, "copies_per_second": 0.0}


async def test_the_state_tells_why_nothing_is_copied(scene):
    controls = scene.mirror.controls
    assert scene.take()["state"] == "mirroring"
    controls.pause("processor", "the replayers use 80 % of a core")
    figures = scene.take()
    assert (figures["state"], figures["reason"]) == ("paused", "processor: the replayers use 80 % of a core")
    assert figures["controls"]["pauses"] == {"processor": "the replayers use 80 % of a core"}
    controls.turn(on=False)
    assert scene.take()["state"] == "off"
    controls.pause("until", "--until 20s is over")
    controls.resume("processor")
    scene.replayer.give_up()
    figures = scene.take()
    assert (figures["state"], figures["reason"]) == ("ended", "--until 20s is over")
    scene.snapshot.relay = None
    assert scene.take()["state"] == "starting"


async def test_what_was_configured_stays_beside_what_is_controlled(scene):
    scene.mirror.controls.sample_percent = 10
    figures = scene.take()
    assert figures["controls"]["sample_percent"] == 10
    assert figures["configured"]["sample_percent"] == 100
    assert (figures["controls"]["selected"], figures["configured"]["selected"]) == ("10 % of requests", "all requests")


async def test_an_app_that_is_relayed_only_has_figures_too():
    snapshot = Snapshot(Configuration(
        host="::", port=1, app_pid=1, app_program="a", app_port=None, app_socket="/s", unmirrored_because="no --to",
    ), RelayCounters())  # fmt: skip
    snapshot.relay = cast(Relay, SimpleNamespace(open_connections=0))
    figures = snapshot.take()
    assert not snapshot.mirrors
    assert (figures["state"], figures["reason"]) == ("unmirrored", "no --to")
    assert figures["controls"]["on"] is False
    assert set(figures["requests"].values()) == {0}


async def test_no_secret_is_in_any_text():
    log.hide([("geheimnis", "***")])
    scene = Scene("http://user:geheimnis@h")
    scene.tell_account()
    assert "geheimnis" not in json.dumps(scene.take())
