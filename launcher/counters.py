"""Every counter, declared once with its meaning, and the balance that must hold.

A request that can be told apart ends in exactly one of the tap's counters; each copy that the tap offers ends in
exactly one of each feed's. What became of a copy behind a built-in replayer is told by its outputs' outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


def counter(meaning: str) -> Any:
    """A counter's field: starts at 0, only grows; `meaning` is what help, docs and metrics say of it."""
    return field(default=0, metadata={"meaning": meaning})


@dataclass(slots=True)
class TapCounters:
    """What became of every request that the tap saw."""

    seen: int = counter("requests whose head was complete, and connections that stopped being HTTP")
    offered: int = counter("requests offered to every replayer's queue")
    skipped_sample: int = counter("left out by --sample")
    skipped_upgrade: int = counter("the app switched protocols (101, or 2xx to CONNECT)")
    skipped_loop: int = counter("copies of our own, told by X-Traffic-Duplicator")
    skipped_filter: int = counter("left out by --methods, --path or --not-path")
    skipped_unjudged: int = counter("left out because its path would have taken --path or --not-path too long")
    skipped_rate: int = counter("left out by --rate")
    skipped_paused: int = counter("left out while mirroring was paused")
    dropped_large: int = counter("larger than --max-request")
    dropped_buffer: int = counter("did not fit --buffer while half read")
    incomplete: int = counter("the connection ended before the request did")
    failed: int = counter("the tap raised; what followed on that connection was relayed without copies")
    unframed: int = counter("no HTTP/1.x, ambiguous, too many headers, an unknown method: from there on relayed only")

    def imbalance(self) -> int:
        """Requests seen that ended in no counter: 0 when all is quiet, the requests half read while it is not."""
        return 2 * self.seen - sum(as_dict(self).values())


@dataclass(slots=True)
class FeedCounters:
    """What became of every copy that was given to one replayer process."""

    given: int = counter("copies that the tap offered to this replayer")
    taken: int = counter("read from the pipe by the replayer (for gor: by its helper); no proof of arrival")
    dropped_full: int = counter("the queue's share of --buffer was full")
    dropped_shutdown: int = counter("still waiting when the launcher had to end")
    lost: int = counter("written, or half written, to a replayer that ended before it had read them")

    def imbalance(self) -> int:
        """Copies given that ended in no counter: 0 when all is quiet, those still waiting while it is not."""
        return self.given - self.taken - self.dropped_full - self.dropped_shutdown - self.lost


@dataclass(slots=True)
class MiddlewareCounters(FeedCounters):
    """What became of every record that was given to the built-in replayer's middleware, and what came from it."""

    given: int = counter("records that came in and were to go through --middleware")
    taken: int = counter("read by the middleware; what it does not print again it has left out")
    dropped_full: int = counter("the middleware did not read fast enough: as much as may wait for it did")
    dropped_shutdown: int = counter("still waiting when the replayer had to end")
    lost: int = counter("written, or half written, to a middleware that ended before it had read them")
    returned: int = counter("records that it printed, for the outputs: more or fewer than it was given, as it likes")
    malformed: int = counter("lines that it printed and that were no record in hex, or not one whole request")


@dataclass(slots=True)
class RelayCounters:
    """What the relay did with connections, mirrored or not."""

    connections: int = counter("client connections accepted")
    app_refused: int = counter("client connections reset because the app did not accept")
    failed: int = counter("client connections closed because of an error of the relay's own")


def as_dict(counters: TapCounters | FeedCounters | RelayCounters) -> dict[str, int]:
    """The counters by name, in their declared order."""
    return {f.name: getattr(counters, f.name) for f in fields(counters)}


def meanings(kind: type[TapCounters] | type[FeedCounters] | type[RelayCounters]) -> dict[str, str]:
    """What each counter of `kind` counts, in its declared order."""
    return {f.name: f.metadata["meaning"] for f in fields(kind)}
