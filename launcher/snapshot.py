"""The live figures of a launcher as one dict: what `--status`, the metrics and the report are made from.

`docs/status.schema.json` describes it; `VERSION` grows when a field changes its meaning or goes, not when one is added.
Nothing is counted for it: it reads what there is when it is asked, and all that it costs in between is one look at two
counters a second. Times are in seconds, sizes in bytes, totals since the launcher's start. Texts are masked.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher import __version__, memory
from launcher.builtin_launch import BuiltinLaunch, accounts, middlewares, outputs
from launcher.controls import Controls
from launcher.counters import RelayCounters, TapCounters, as_dict
from launcher.latencies import Latencies
from launcher.log import log
from launcher.mirror import Mirror
from launcher.plan import Plan
from launcher.relay import Relay
from launcher.replay_protocol import MiddlewareAccount, OutputAccount
from launcher.replayers import Replayer
from launcher.selection import ALL, Selection, explained

VERSION = 1
PERCENTILES = (50, 90, 95, 99)
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # seconds: how many copies took at most so long
STATES: Mapping[str, str] = {
    "starting": "the app does not accept connections yet",
    "mirroring": "requests are copied",
    "off": "turned off by --control off",
    "paused": "a brake is pulled: controls.pauses says which, and why",
    "ended": "no replayer runs, and none will be started any more",
    "unmirrored": "the app is relayed without copies: reason says why",
}

_RATE_SAMPLES = 3  # one a second: requests/s "now" is of the last 2 to 3 seconds


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What does not change while the launcher runs."""

    host: str
    port: int
    app_pid: int
    app_program: str  # the command's first word: the others may be secret
    app_port: int | None
    app_socket: str | None
    unmirrored_because: str = ""  # empty: it mirrors
    replayer: str | None = None
    replayer_because: str | None = None
    max_request_bytes: int = 0
    buffer_bytes: int = 0
    replayer_memory_bytes: int = 0
    drop_headers: tuple[str, ...] = ()
    selection: Selection = ALL

    @classmethod
    def of(cls, plan: Plan, app_pid: int) -> Configuration:
        """As the plan has it."""
        assert plan.port is not None, "without a port the app runs by itself"
        return cls(
            host=plan.host, port=plan.port,
            app_pid=app_pid, app_program=plan.app.argv[0],
            app_port=None if plan.app_socket else plan.app_port, app_socket=plan.app_socket,
            unmirrored_because=plan.reason,
            replayer=plan.replayer.shown if plan.replayer else None,
            replayer_because=plan.replayer.reason if plan.replayer else None,
            max_request_bytes=plan.max_request, buffer_bytes=plan.options.buffer,
            replayer_memory_bytes=plan.replayer_memory, drop_headers=plan.options.drop_header,
            selection=plan.options.selection,
        )  # fmt: skip


class Snapshot:
    """Where the figures come from. Without a mirror the app is relayed only, and nothing was seen."""

    def __init__(
        self, configuration: Configuration, connections: RelayCounters,
        mirror: Mirror | None = None, replayers: Sequence[Replayer] = (),
    ) -> None:  # fmt: skip
        self._configuration = configuration
        self._connections = connections
        self._mirror = mirror
        self._replayers = replayers
        self._tap = mirror.counters if mirror is not None else TapCounters()
        self.controls = mirror.controls if mirror is not None else _turned_off()
        self._configured_controls = self._values()
        self._started_at = time.time()
        self._started = time.monotonic()
        self._samples = deque([(self._started, 0, 0)], _RATE_SAMPLES)
        self.relay: Relay | None = None  # once there is one
        self.control_socket: str | None = None  # its path, once there is one

    @property
    def mirrors(self) -> bool:
        """Whether there is anything to control."""
        return self._mirror is not None

    def sample(self) -> None:
        """To be called once a second: what requests/s is made from."""
        self._samples.append((time.monotonic(), self._tap.seen, self._tap.offered))

    def compared(self) -> str | None:
        """The newest report of a comparison, as the replayer has written it; None if there is none."""
        return next((account.compared_line or None for _, account in accounts(self._replayers)), None)

    def take(self) -> dict[str, Any]:
        """The figures of this moment, ready for JSON."""
        configuration = self._configuration
        state, reason = self._state()
        figures = {
            "schema_version": VERSION,
            "state": state,
            "reason": reason,
            "launcher": {
                "version": __version__,
                "pid": os.getpid(),
                "host": configuration.host,
                "port": configuration.port,
                "control_socket": self.control_socket,
                "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started_at)),
                "uptime_seconds": round(time.monotonic() - self._started, 3),
                "memory_bytes": memory.resident_bytes(os.getpid()),
            },
            "app": {
                "program": configuration.app_program,
                "pid": configuration.app_pid,
                "port": configuration.app_port,
                "socket": configuration.app_socket,
            },
            "rates": self._rates(),
            "requests": {**as_dict(self._tap), "half_read": self._tap.imbalance()},
            "connections": {**as_dict(self._connections), "open": self.relay.open_connections if self.relay else 0},
            "buffer": self._buffer(),
            "controls": {**self._values(), "pauses": self.controls.pauses},
            "configured": {
                **self._configured_controls,
                "replayer": configuration.replayer,
                "replayer_because": configuration.replayer_because,
                "max_request_bytes": configuration.max_request_bytes,
                "buffer_bytes": configuration.buffer_bytes,
                "replayer_memory_bytes": configuration.replayer_memory_bytes,
                "drop_headers": list(configuration.drop_headers),
            },
            "replayers": [_replayer(replayer) for replayer in self._replayers],
            "middlewares": [_middleware(owner.name, account) for owner, account in middlewares(self._replayers)],
            "outputs": [_output(owner.name, account) for owner, account in outputs(self._replayers)],
        }
        masked: dict[str, Any] = log.masked_values(figures)
        return masked

    def _state(self) -> tuple[str, str]:
        """A key of STATES, and why, if that is not plain."""
        pauses = self.controls.pauses
        if self.relay is None:
            return "starting", ""
        if self._mirror is None:
            return "unmirrored", self._configuration.unmirrored_because
        if self._replayers and all(replayer.state == "ended" for replayer in self._replayers):
            return "ended", pauses.get("until", "")
        if not self.controls.is_on:
            return "off", ""
        if pauses:
            return "paused", "; ".join(f"{brake}: {why}" for brake, why in pauses.items())
        return "mirroring", ""

    def _values(self) -> dict[str, object]:
        """What may be changed, as it is now, and what is copied because of it, in words."""
        percent, rate = self.controls.sample_percent, self.controls.rate_per_second
        selection = self._configuration.selection
        return {
            "on": self.controls.is_on,
            "sample_percent": percent,
            "rate_per_second": rate,
            "selected": explained(selection, sample_percent=percent, rate_per_second=rate),
        }

    def _rates(self) -> dict[str, float]:
        then, seen, offered = self._samples[0]
        seconds = max(time.monotonic() - then, 0.001)
        return {
            "requests_per_second": round((self._tap.seen - seen) / seconds, 1),
            "copies_per_second": round((self._tap.offered - offered) / seconds, 1),
        }

    def _buffer(self) -> dict[str, int]:
        if self._mirror is None:
            return {"used_bytes": 0, "limit_bytes": self._configuration.buffer_bytes}
        return {"used_bytes": self._mirror.budget.used_bytes, "limit_bytes": self._mirror.budget.limit_bytes}


def _turned_off() -> Controls:
    controls = Controls()
    controls.turn(on=False)
    return controls


def _replayer(replayer: Replayer) -> dict[str, object]:
    feed = replayer.feed
    feed.update_counters()
    queue = feed.queue.statistics()
    return {
        "name": replayer.name,
        "kind": "builtin" if isinstance(replayer.launch, BuiltinLaunch) else "gor",
        "state": replayer.state,
        "pid": replayer.pid,
        "memory_bytes": memory.tree_resident_bytes(replayer.pid) if replayer.pid is not None else 0,
        "memory_limit_bytes": replayer.memory_bytes,
        "restarts": replayer.restarts,
        "queue": {"records": queue.records, "used_bytes": queue.charged_bytes, "limit_bytes": queue.share_bytes},
        "pipe_bytes": feed.unread_bytes(),
        "copies": as_dict(feed.queue.counters),
    }


def _middleware(replayer: str, account: MiddlewareAccount) -> dict[str, object]:
    return {
        "replayer": replayer,
        "program": account.program,
        "waiting": account.waiting,
        "restarts": account.restarts,
        "records": as_dict(account.counters),
    }


def _output(replayer: str, account: OutputAccount) -> dict[str, object]:
    return {
        "replayer": replayer,
        "destination": account.destination,
        "received": account.received,
        "outcomes": dict(account.outcomes),
        "is_paused": account.is_paused,
        "held": account.received - sum(account.outcomes.values()),
        "held_bytes": account.held_bytes,
        "retries": account.retries,
        "responses": account.responses,
        "tracked": account.tracked,
        "untracked": account.untracked,
        "latency": _latency(account.latencies),
    }


def _latency(latencies: Latencies) -> dict[str, object]:
    """Of answered copies; all 0 if there were none."""
    percentiles = {f"p{percent}_seconds": round(latencies.percentile(percent), 6) for percent in PERCENTILES}
    return {
        "count": latencies.count, **percentiles, "max_seconds": latencies.max_seconds,
        "sum_seconds": latencies.sum_seconds,
        "at_most": {f"{seconds:g}": latencies.at_most(seconds) for seconds in BUCKETS},
    }  # fmt: skip
