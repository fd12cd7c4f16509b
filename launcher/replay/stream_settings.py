"""The settings of gor's files and of its TCP, from options that `gor.flags.parse_flags` has checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from launcher.destinations import Limit, split_limit
from launcher.gor.values import boolean, dialed, duration, integer, size, split_speed
from launcher.options import ConfigurationError

# gor's defaults.
_FLUSH = "1s"
_LEAST_FLUSH_SECONDS = 0.1  # what gor makes of 0
_SIZE_LIMIT = "32mb"
_QUEUE_LIMIT = "256"
_MAX_SIZE = "1tb"
_TCP_WORKERS = "10"
_READ_DEPTH = "100"


class Values(Protocol):
    """The options by name."""

    def all(self, name: str) -> list[str]: ...

    def last(self, name: str, default: str) -> str: ...


@dataclass(frozen=True, kw_only=True)
class FileOutputSettings:
    """One `--output-file`."""

    shown: str  # no two outputs have the same
    template: str  # the name with its patterns
    limit: Limit | None = None
    append: bool = False
    flush_seconds: float = 1.0  # how long a record may wait for others to be written with
    size_limit: int = 32 * 1024**2  # bytes a chunk
    queue_limit: int = 256  # records a chunk; 0: any number
    max_size: int = 1024**4  # bytes of all chunks together


@dataclass(frozen=True, kw_only=True)
class TcpOutputSettings:
    """One `--output-tcp`."""

    shown: str  # no two outputs have the same
    host: str
    port: int
    limit: Limit | None = None
    workers: int = 10  # a connection each
    is_sticky: bool = False  # the ID says which worker


@dataclass(frozen=True, kw_only=True)
class FileInputSettings:
    """All `--input-file` of one speed. Their files share one clock."""

    patterns: Sequence[tuple[str, Limit | None]]  # each with its rate
    speed: float = 1.0
    max_wait: float = 0.0  # seconds; 0: any
    read_depth: int = 100
    is_looped: bool = False
    is_dry_run: bool = False


def file_outputs(values: Values) -> Iterator[FileOutputSettings]:
    """Raises ConfigurationError."""
    seen: Counter[str] = Counter()
    for text in values.all("output-file"):
        template, limit = split_limit(text)
        if template.startswith("s3://"):
            raise ConfigurationError("the built-in replayer has no s3:// in --output-file: use --replayer gor")
        yield FileOutputSettings(
            shown=_unique(f"file:{template}", seen),
            template=template,
            limit=limit,
            append=boolean(values.last("output-file-append", "false")),
            flush_seconds=duration(values.last("output-file-flush-interval", _FLUSH)) or _LEAST_FLUSH_SECONDS,
            size_limit=size(values.last("output-file-size-limit", _SIZE_LIMIT)),
            queue_limit=integer(values.last("output-file-queue-limit", _QUEUE_LIMIT)),
            max_size=size(values.last("output-file-max-size-limit", _MAX_SIZE)),
        )


def tcp_outputs(values: Values) -> Iterator[TcpOutputSettings]:
    """Raises ConfigurationError."""
    if values.all("output-tcp") and boolean(values.last("output-tcp-secure", "false")):
        raise ConfigurationError(
            "the built-in replayer has no --output-tcp-secure: leave it out and use a TLS tunnel, or use --replayer gor"
        )
    seen: Counter[str] = Counter()
    for text in values.all("output-tcp"):
        address, limit = split_limit(text)
        host, port = dialed(address)
        yield TcpOutputSettings(
            shown=_unique(f"tcp://{address}", seen),
            host=host or "localhost",  # as Go dials :28020
            port=port,
            limit=limit,
            workers=integer(values.last("output-tcp-workers", _TCP_WORKERS)),
            is_sticky=boolean(values.last("output-tcp-sticky", "false")),
        )


def file_inputs(texts: Sequence[str], single: Mapping[str, str]) -> list[FileInputSettings]:
    """All `--input-file`, put together by their speeds; `single` are the options that can't be repeated."""
    by_speed: dict[float, list[tuple[str, Limit | None]]] = {}
    for text in texts:
        pattern, limit = split_speed(text)
        is_speed = limit is not None and limit.is_percent
        speed = limit.amount / 100 if limit is not None and is_speed else 1.0
        by_speed.setdefault(speed, []).append((pattern, None if is_speed else limit))
    return [
        FileInputSettings(
            patterns=patterns,
            speed=speed,
            max_wait=duration(single.get("input-file-max-wait", "0")),
            read_depth=integer(single.get("input-file-read-depth", _READ_DEPTH)),
            is_looped=boolean(single.get("input-file-loop", "false")),
            is_dry_run=boolean(single.get("input-file-dry-run", "false")),
        )
        for speed, patterns in by_speed.items()
    ]


def _unique(shown: str, seen: Counter[str]) -> str:
    seen[shown] += 1
    return shown + (f"#{seen[shown]}" if seen[shown] > 1 else "")
