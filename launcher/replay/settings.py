"""gor's options, by gor's names, as the values that the replayer works with. Refuses by name what it does not have.

The options come checked by `gor.flags.parse_flags`, which names where each of them stands.
"""

from __future__ import annotations

import base64
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

from launcher.destinations import Destination, Limit, parse_destination
from launcher.gor.flags import FLAGS
from launcher.gor.values import boolean, duration, integer, size
from launcher.options import ConfigurationError
from launcher.proxies import Proxy, UnusableProxy, proxy_for
from launcher.replay.modifiers import MODIFIERS, Modify, build_modify, set_header_rule
from launcher.replay.requests import HeaderEdit, absolute_target, header_setter
from launcher.replay.stream_settings import FileOutputSettings, TcpOutputSettings, file_outputs, tcp_outputs
from launcher.replay.tracking import DEFAULT_MAX_BYTES
from launcher.replay_protocol import ComparisonSettings, ReplaySettings

# As many as the launcher gives to gor: at a destination that takes 200 ms, 250 copies a second. gor's own defaults are
# 10 (1.2.0: too few) and no bound (1.3: a socket for every copy that hangs).
DEFAULT_CONNECTIONS = 50
DEFAULT_TIMEOUT_SECONDS = 5.0  # gor's
ZERO_TIMEOUT_SECONDS = 1.0  # what gor makes of 0


@dataclass(frozen=True, kw_only=True)
class HttpOutputSettings:
    """One `--output-http`."""

    role: str = ""  # of one whose answers are compared
    shown: str  # the destination without credentials; no two outputs have the same
    host: str
    port: int
    is_https: bool
    head_edits: list[HeaderEdit]  # what makes a recorded head this destination's
    timeout_seconds: float  # of a whole exchange, connecting included
    max_connections: int
    max_waiting: int | None  # records; the queue is bounded in bytes in any case
    limit: Limit | None
    max_answer_bytes: int = DEFAULT_MAX_BYTES  # of one that is tracked
    max_redirects: int = 0
    verifies: bool = True  # the certificate
    proxy: Proxy | UnusableProxy | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that the options say."""

    modify: Modify | None  # for every output alike
    middleware: tuple[str, ...]  # the program's words; () for none
    splits_output: bool  # each record goes to one output, in turn
    tracks_responses: bool  # of destinations
    http_outputs: list[HttpOutputSettings]
    tcp_outputs: list[TcpOutputSettings]
    file_outputs: list[FileOutputSettings]
    has_stdout: bool
    has_null: bool
    queue_bytes: int  # of each output
    stats_interval: float
    verbose: int  # gor's: 1 to 3 tell more and more
    exit_after: float  # seconds; 0: it runs until its input ends
    comparison: ComparisonSettings | None
    notes: list[str]  # what is to be said of the options, once


# gor's options that are taken and do nothing here -> why.
NEEDLESS: Mapping[str, str] = MappingProxyType({
    "output-http-compatibility-mode": "the built-in replayer loses no copies at destinations that close",
    "output-http-response-buffer": "answers are read to their end, up to 1 MiB, and thrown away",
    "output-http-worker-timeout": "connections that are idle for 4 s are closed",
})


def understand(told: ReplaySettings, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings that the launcher's frame stands for. Raises ConfigurationError."""
    for name, _, shown in told.options:
        if name not in FLAGS or not FLAGS[name].builtin:
            raise ConfigurationError(f"the built-in replayer does not have --{name} ({shown}) yet: use --replayer gor")
    values = _Values(told.options)
    tracks = boolean(values.last("output-http-track-response", "false"))
    set_headers = map(set_header_rule, values.all("http-set-header"))
    keeps_host = boolean(values.last("http-original-host", "false")) or any(
        name.lower() == b"host" for name, _ in set_headers
    )
    return Settings(
        modify=build_modify({each.option: values.all(each.option) for each in MODIFIERS}),
        middleware=tuple(word for word in values.last("middleware", "").split(" ") if word),
        splits_output=boolean(values.last("split-output", "false")),
        tracks_responses=tracks,
        http_outputs=list(_http_outputs(values, keeps_host, _roles(told), environ)),
        tcp_outputs=list(tcp_outputs(values)),
        file_outputs=list(file_outputs(values)),
        has_stdout=boolean(values.last("output-stdout", "false")),
        has_null=boolean(values.last("output-null", "false")),
        queue_bytes=told.queue_bytes,
        stats_interval=told.stats_interval,
        verbose=integer(values.last("verbose", "0")),
        exit_after=duration(values.last("exit-after", "0")),
        comparison=told.comparison,
        notes=[
            f"--{name} is not needed: {NEEDLESS[name]}"
            for name, _, _ in told.options
            if name in NEEDLESS and not (tracks and name == "output-http-response-buffer")
        ],
    )


class _Values:
    """The options' values by name."""

    def __init__(self, options: Sequence[tuple[str, str, str]]) -> None:
        self._options = options

    def all(self, name: str) -> list[str]:
        return [value for given, value, _ in self._options if given == name]

    def last(self, name: str, default: str) -> str:
        return (self.all(name) or [default])[-1]


def _roles(told: ReplaySettings) -> Iterator[str]:
    """Of each http output in its order."""
    return chain(told.comparison.roles if told.comparison else (), repeat(""))


def _http_outputs(
    values: _Values, keeps_host: bool, roles: Iterator[str], environ: Mapping[str, str]
) -> Iterator[HttpOutputSettings]:
    # As gor does: 0 means the default, and the least number of workers raises the most.
    workers = integer(values.last("output-http-workers", "0")) or DEFAULT_CONNECTIONS
    max_connections = max(workers, integer(values.last("output-http-workers-min", "0")))
    timeout = duration(values.last("output-http-timeout", f"{DEFAULT_TIMEOUT_SECONDS}s")) or ZERO_TIMEOUT_SECONDS
    seen: Counter[str] = Counter()
    for text in values.all("output-http"):
        destination, _ = parse_destination(text)
        seen[destination.shown] += 1
        proxy = proxy_for(destination.scheme, destination.host, destination.port, environ)
        yield HttpOutputSettings(
            role=next(roles),
            shown=destination.shown + (f"#{seen[destination.shown]}" if seen[destination.shown] > 1 else ""),
            host=destination.host,
            port=destination.port,
            is_https=destination.scheme == "https",
            head_edits=list(_head_edits(destination, keeps_host, proxy)),
            timeout_seconds=timeout,
            max_connections=max_connections,
            max_waiting=integer(values.last("output-http-queue-len", "0")) or None,
            limit=destination.limit,
            max_answer_bytes=size(values.last("output-http-response-buffer", "0")) or DEFAULT_MAX_BYTES,
            max_redirects=integer(values.last("output-http-redirects", "0")),
            verifies=not boolean(values.last("output-http-skip-verify", "false")),
            proxy=proxy,
        )


def _head_edits(
    destination: Destination, keeps_host: bool, proxy: Proxy | UnusableProxy | None
) -> Iterator[HeaderEdit]:
    # Authorization first, so that a Host that has to be inserted stands before it: RFC 9110 §7.2.
    if destination.userinfo is not None:
        user, _, password = destination.userinfo.partition(":")
        credentials = base64.b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password))
        yield header_setter(b"Authorization", b"Basic " + credentials)
    if not keeps_host:
        yield header_setter(b"Host", destination.host_header.encode("ascii"))
    if isinstance(proxy, Proxy) and destination.scheme == "http":
        if proxy.authorization:
            yield header_setter(b"Proxy-Authorization", proxy.authorization)
        yield absolute_target(destination.host_header.encode("ascii"))
