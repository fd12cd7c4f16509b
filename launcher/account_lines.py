"""What a line says of an output and of its failures: the lines of the launcher, and of a replayer run by hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from launcher.counters import as_dict
from launcher.latencies import Latencies
from launcher.replay_protocol import (
    DestinationFailed,
    DestinationPaused,
    DestinationResumed,
    MiddlewareAccount,
    OutputAccount,
)


def non_zero(counts: Mapping[str, int], always: Collection[str] = ()) -> dict[str, int]:
    """Those that are not 0, and those that a line always has: what a line doesn't tell is 0."""
    return {name: count for name, count in counts.items() if count or name in always}


def output_facts(output: OutputAccount) -> dict[str, object]:
    """The facts of `at=output`."""
    return {
        "destination": output.destination,
        "received": output.received,
        **non_zero(output.outcomes),
        "responses": output.responses or None,
        "tracked": output.tracked or None,
        "untracked": output.untracked or None,
        "retries": output.retries or None,
        "held_bytes": output.held_bytes or None,
        **_latency_facts(output.latencies),
    }


def middleware_facts(middleware: MiddlewareAccount) -> dict[str, object]:
    """The facts of `at=middleware`."""
    return {
        "program": middleware.program,
        **non_zero(as_dict(middleware.counters), always=("given", "returned")),
        "waiting": middleware.waiting or None,
        "restarts": middleware.restarts or None,
    }


def failure_facts(failed: DestinationFailed) -> dict[str, object]:
    """The facts of `at=destination-failed`."""
    return {
        "destination": failed.destination, "outcome": failed.kind, "copies": failed.count, "error": failed.error,
    }  # fmt: skip


def pause_facts(paused: DestinationPaused) -> dict[str, object]:
    """The facts of `at=destination-paused`."""
    return {
        "destination": paused.destination, "failing_seconds": round(paused.failing_seconds), "failed": paused.failed,
        "outcome": paused.outcome, "error": paused.error,
    }  # fmt: skip


def resume_facts(resumed: DestinationResumed) -> dict[str, object]:
    """The facts of `at=destination-resumed`."""
    return {
        "destination": resumed.destination, "paused_seconds": round(resumed.paused_seconds, 1),
        "paused": resumed.copies,
    }  # fmt: skip


def _latency_facts(latencies: Latencies) -> dict[str, object]:
    if not latencies.count:
        return {}
    facts: dict[str, object] = {
        f"latency_p{percent}_ms": latencies.percentile(percent) * 1000 for percent in (50, 95, 99)
    }
    return {**facts, "latency_max_ms": latencies.max_seconds * 1000}
