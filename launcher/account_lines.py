"""What a line says of an output and of its failures: the lines of the launcher, and of a replayer run by hand."""

from __future__ import annotations

from launcher.replay_protocol import DestinationFailed, OutputAccount


def output_facts(output: OutputAccount) -> dict[str, object]:
    """The facts of `at=output`."""
    return {
        "destination": output.destination,
        "received": output.received,
        **output.outcomes,
        "retries": output.retries or None,
        "held_bytes": output.held_bytes or None,
        "latency_max_ms": round(output.latencies.max_seconds * 1000) if output.latencies.count else None,
    }


def failure_facts(failed: DestinationFailed) -> dict[str, object]:
    """The facts of `at=destination-failed`."""
    return {
        "destination": failed.destination, "outcome": failed.kind, "copies": failed.count, "error": failed.error,
    }  # fmt: skip
