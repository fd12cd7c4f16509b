"""The settings of gor's files and of its TCP, from options that `gor_flags.parse_flags` has checked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from launcher.destinations import Limit, split_limit
from launcher.gor_values import boolean, duration, integer, size
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
    """One `--input-file`. Its files share one clock."""

    pattern: str
    limit: Limit | None = None  # a rate
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
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s\[\]:/@]*)):([0-9]{1,5})", address)
        if not match or not 1 <= int(match[3]) <= 65535:
            raise ConfigurationError("--output-tcp must be HOST:PORT, such as aggregator:28020")
        yield TcpOutputSettings(
            shown=_unique(f"tcp://{address}", seen),
            host=match[1] or match[2] or "localhost",  # as Go dials :28020
            port=int(match[3]),
            limit=limit,
            workers=integer(values.last("output-tcp-workers", _TCP_WORKERS)),
            is_sticky=boolean(values.last("output-tcp-sticky", "false")),
        )


def file_input(text: str, single: Mapping[str, str]) -> FileInputSettings:
    """One `--input-file`; `single` are the options that can't be repeated. Raises ConfigurationError."""
    pattern, limit = split_speed(text)
    if pattern.startswith("s3://"):
        raise ConfigurationError("the built-in replayer has no s3:// in --input-file: fetch the files first")
    return FileInputSettings(
        pattern=pattern,
        limit=None if limit is None or limit.is_percent else limit,
        speed=limit.amount / 100 if limit and limit.is_percent else 1.0,
        max_wait=duration(single.get("input-file-max-wait", "0")),
        read_depth=integer(single.get("input-file-read-depth", _READ_DEPTH)),
        is_looped=boolean(single.get("input-file-loop", "false")),
        is_dry_run=boolean(single.get("input-file-dry-run", "false")),
    )


def split_speed(text: str) -> tuple[str, Limit | None]:
    """`PATTERN|200%` is a speed, from 1 % on; `PATTERN|10` a rate. Raises ConfigurationError."""
    pattern, bar, limit = text.partition("|")
    match = re.fullmatch(r"([1-9][0-9]{0,6})(%?)", limit)
    if not pattern or (bar and not match):
        raise ConfigurationError(
            "--input-file must be a name or pattern, with a speed (|200%) or at most so many a second (|10) behind it"
        )
    return pattern, Limit(int(match[1]), bool(match[2])) if match else None


def _unique(shown: str, seen: Counter[str]) -> str:
    seen[shown] += 1
    return shown + (f"#{seen[shown]}" if seen[shown] > 1 else "")
