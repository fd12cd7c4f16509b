"""What the launcher and its built-in replayer say to each other beside the records: all of it, for both sides.

Down, on the replayer's standard input, in frames (records.py): `ReplaySettings` as JSON, then records, then an empty
frame and `Closing` as JSON. A pipe that ends without these two means that the launcher is gone.
Up, on the account pipe, JSON lines: `Ready` once, then `Account` whenever a figure changed, at most one a second, and
`DestinationNews` for people, and `Compared` now and then if answers are compared; the last `Account` is `final`.
`Account` and `Compared` are totals since the start: the newest replaces all before it, so a reader may miss some.
Unknown keys are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from launcher.counters import MiddlewareCounters
from launcher.latencies import Latencies

PROTOCOL_VERSION = 1
MAX_DRAIN_SECONDS = 25.0  # below the 30 s that Heroku gives a dyno between SIGTERM and SIGKILL
MAX_FRAME_BYTES = 64 * 1024 * 1024  # far above any --max-request: a longer frame means that the pipe is out of step


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """Whose answers are compared, and how."""

    roles: tuple[str, ...]  # of each output-http in its order; "" is one that is not compared
    ignored: tuple[str, ...] = ()  # paths in JSON and headers that don't count
    keep_bodies: int = 0  # pairs that are written, whole, to a private file
    with_recorded: bool = False  # without a baseline, the answers in a recording are it


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """The first frame: what the replayer is to do.

    `options` are gor's, without dashes, in their order: (name, value, the value as it may be shown).
    `queue_bytes` bounds what each output holds, 256 bytes a record included.
    `stats_interval` in seconds is how often failures are summed up; 0 turns that off.
    """

    options: tuple[tuple[str, str, str], ...]
    queue_bytes: int
    stats_interval: float
    comparison: ComparisonSettings | None = None

    def encode(self) -> bytes:
        """The frame's payload."""
        return _encode({"version": PROTOCOL_VERSION, **asdict(self)})

    @classmethod
    def decode(cls, payload: bytes) -> ReplaySettings:
        """Reads what `encode` wrote. Raises ValueError, which tells nothing of the values: they may be secret."""
        facts = _decode(payload)
        if facts.get("version") != PROTOCOL_VERSION:
            raise ValueError(f"settings of version {PROTOCOL_VERSION} must come first")
        try:
            return cls(
                options=tuple((str(name), str(value), str(shown)) for name, value, shown in facts["options"]),
                queue_bytes=int(facts["queue_bytes"]),
                stats_interval=float(facts["stats_interval"]),
                comparison=_comparison_settings(facts.get("comparison")),
            )
        except (KeyError, TypeError, ValueError):
            raise ValueError("settings must have options, queue_bytes and stats_interval") from None


def _comparison_settings(facts: Mapping[str, Any] | None) -> ComparisonSettings | None:
    if facts is None:
        return None
    return ComparisonSettings(
        roles=tuple(map(str, facts["roles"])),
        ignored=tuple(map(str, facts["ignored"])),
        keep_bodies=int(facts["keep_bodies"]),
        with_recorded=bool(facts.get("with_recorded")),
    )


@dataclass(frozen=True)
class Closing:
    """The frame after the empty one: how long the replayer may go on with what it holds; 0 to MAX_DRAIN_SECONDS."""

    drain_seconds: float = MAX_DRAIN_SECONDS

    def encode(self) -> bytes:
        """The frame's payload."""
        return _encode(asdict(self))

    @classmethod
    def decode(cls, payload: bytes) -> Closing:
        """Reads what `encode` wrote; a drain that is longer than MAX_DRAIN_SECONDS is cut. Raises ValueError."""
        seconds = _decode(payload).get("drain_seconds")
        if not isinstance(seconds, (int, float)) or not seconds >= 0:
            raise ValueError("the closing frame must have drain_seconds, 0 or more")
        return cls(min(float(seconds), MAX_DRAIN_SECONDS))


@dataclass(frozen=True, kw_only=True)
class OutputAccount:
    """One output's totals. `received` - the sum of `outcomes` = the copies that it still holds: 0 when all is quiet."""

    destination: str  # as it may be shown
    received: int
    outcomes: Mapping[str, int]  # only those that occurred; their names and meanings: launcher/replay/outcomes.py
    held_bytes: int
    retries: int  # GET and HEAD sent a second time because an idle connection had been closed
    responses: int = 0  # of `received`: answers, not requests
    tracked: int = 0  # answers that were handed on to the outputs that take them
    untracked: int = 0  # answers that were to be handed on and did not fit
    is_paused: bool = False  # the destination's brake is pulled
    latencies: Latencies = field(default_factory=Latencies)


@dataclass(frozen=True, kw_only=True)
class MiddlewareAccount:
    """The middleware's totals. Without responses `counters.returned` is what each output received, or all together."""

    program: str  # its first word: the others may be secret
    counters: MiddlewareCounters
    waiting: int  # records
    restarts: int


@dataclass(frozen=True)
class Ready:
    """The replayer has understood its settings and takes records."""

    pid: int
    outputs: tuple[str, ...]  # as they may be shown, in the order of every Account


@dataclass(frozen=True)
class Account:
    """What became of all copies so far."""

    outputs: tuple[OutputAccount, ...]
    final: bool = False  # the replayer ends: nothing follows
    middleware: MiddlewareAccount | None = None


@dataclass(frozen=True, kw_only=True)
class DestinationFailed:
    """Copies failed at a destination: the first of its kind there, or the sum of a stats interval's."""

    destination: str  # as it may be shown
    kind: str  # the outcome
    error: str  # for people, the newest; without credentials and without bytes from the destination
    count: int  # since the last such line


@dataclass(frozen=True)
class Compared:
    """What the comparison has found so far: launcher/comparison/report.py has the form."""

    report: Mapping[str, Any]


@dataclass(frozen=True)
class DestinationPaused:
    """A destination has done nothing but fail: from now on it gets a probe now and then, and nothing else."""

    destination: str
    failing_seconds: float
    failed: int  # copies, in that time
    outcome: str  # of the newest
    error: str  # of the newest, for people, as above


@dataclass(frozen=True)
class DestinationResumed:
    """It has answered: it gets all copies again."""

    destination: str
    paused_seconds: float
    copies: int  # that ended as `paused` in that time


DestinationNews = DestinationFailed | DestinationPaused | DestinationResumed
Told = Ready | Account | DestinationNews | Compared
_AT = {
    Ready: "ready", Account: "account", DestinationFailed: "destination-failed",
    DestinationPaused: "destination-paused", DestinationResumed: "destination-resumed",
    Compared: "compared",
}  # fmt: skip
_NEWS = {_AT[kind]: kind for kind in (DestinationFailed, DestinationPaused, DestinationResumed)}


COMPARED_START = '{"at":"compared",'  # of the line that `encode_line` makes of Compared


def encode_line(told: Told) -> bytes:
    """One line of the account pipe, with its newline."""
    return _encode({"at": _AT[type(told)], **asdict(told)}) + b"\n"


def decode_line(line: bytes) -> Told:
    """Reads what `encode_line` wrote. Raises ValueError."""
    facts = _decode(line)
    try:
        if facts["at"] == _AT[Ready]:
            return Ready(pid=facts["pid"], outputs=tuple(facts["outputs"]))
        if facts["at"] == _AT[Account]:
            outputs = tuple(_output_account(output) for output in facts["outputs"])
            return Account(outputs, facts["final"], _middleware_account(facts.get("middleware")))
        if facts["at"] == _AT[Compared]:
            return Compared(dict(facts["report"]))
        if (kind := _NEWS.get(facts["at"])) is not None:
            return kind(**{each.name: facts[each.name] for each in fields(kind)})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"an account line lacks {error}") from None
    raise ValueError("an account line says ready, account, compared or what happened at a destination")


def _output_account(facts: Mapping[str, Any]) -> OutputAccount:
    names = [each.name for each in fields(OutputAccount) if each.name != "latencies"]
    latencies = facts["latencies"]
    buckets = {int(bucket): count for bucket, count in latencies["buckets"].items()}  # JSON's names are text
    return OutputAccount(
        **{name: facts[name] for name in names},
        latencies=Latencies(latencies["count"], latencies["max_seconds"], buckets, latencies["sum_microseconds"]),
    )


def _middleware_account(facts: Mapping[str, Any] | None) -> MiddlewareAccount | None:
    if facts is None:
        return None
    return MiddlewareAccount(**{**facts, "counters": MiddlewareCounters(**facts["counters"])})


def _encode(facts: Mapping[str, Any]) -> bytes:
    # Escaped to ASCII, a lone surrogate (an argument that is no UTF-8) survives the way to the other side.
    return json.dumps(facts, separators=(",", ":")).encode("ascii")


def _decode(payload: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(payload)
    except (ValueError, RecursionError):
        raise ValueError("a JSON object must come here") from None
    if not isinstance(facts, dict):
        raise ValueError("a JSON object must come here")
    return facts
