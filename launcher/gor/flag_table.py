"""gor's flags: the 92 of 1.3.2, two older ones that still matter, and what became of the rest.

Read from the sources of 1.0.0, 1.2.0 and 1.3.2 (`flag.…Var` in settings.go, kafka.go, gor.go); 1.3.3 and 2.0.0-rc2
have the flags of 1.3.2. Names stand without dashes. Older spellings are translated to the current name, which every
gor from 1.0.0 on knows, unless the flag says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

Release = tuple[int, ...]

# The flags that are a place where copies go; the others of `output-` are settings.
OUTPUTS = frozenset(
    f"output-{kind}" for kind in ("http", "stdout", "null", "file", "tcp", "binary", "kafka-host")
)


class Kind(Enum):
    """What a flag's value is, after Go's package `flag`."""

    BOOL = "true or false"  # `--x` is true; a value only as `--x=false`
    INT = "int"
    DURATION = "duration"
    SIZE = "size"
    STRING = "string"
    MULTI = "multi"  # a string; may be repeated


@dataclass(frozen=True)
class Flag:
    """One flag that means something to a gor."""

    name: str
    kind: Kind
    builtin: bool = False  # the built-in replayer has it
    gor_only_output: bool = False  # an output that only a real gor has, or a setting of one
    minimum: int = 0  # of an INT or SIZE; below it gor panics, or replays nothing
    since: Release = (1, 0)
    until: Release | None = None  # the first release without it


@dataclass(frozen=True)
class Renamed:
    """What an old flag is called now."""

    new: str
    since: str  # the release that brought the new name
    kind: Kind = Kind.MULTI  # of the old flag
    value: str | None = None  # what the new flag gets, if not the old one's value


BOOL, INT, DURATION, SIZE, STRING, MULTI = Kind.BOOL, Kind.INT, Kind.DURATION, Kind.SIZE, Kind.STRING, Kind.MULTI

_FLAGS = (
    # filters, rewriters and the http output
    Flag("http-allow-header", MULTI, builtin=True),
    Flag("http-allow-method", MULTI, builtin=True),
    Flag("http-allow-url", MULTI, builtin=True),
    Flag("http-basic-auth-filter", MULTI, builtin=True),
    Flag("http-disallow-header", MULTI, builtin=True),
    Flag("http-disallow-url", MULTI, builtin=True),
    Flag("http-header-limiter", MULTI, builtin=True),
    Flag("http-original-host", BOOL, builtin=True),
    Flag("http-param-limiter", MULTI, builtin=True),
    Flag("http-rewrite-header", MULTI, builtin=True),
    Flag("http-rewrite-url", MULTI, builtin=True),
    Flag("http-set-header", MULTI, builtin=True),
    Flag("http-set-param", MULTI, builtin=True),
    Flag("output-http", MULTI, builtin=True),
    # Go's own client instead of gor's: cures the copies that 1.0 to 1.2 lose when a destination closes (gor.md); 1.3
    # and the built-in replayer have nothing else to offer, so there it is no more than said to be needless.
    Flag("output-http-compatibility-mode", BOOL, builtin=True, until=(1, 3)),
    Flag("output-http-queue-len", INT, builtin=True),
    Flag("output-http-redirects", INT, builtin=True),
    Flag("output-http-response-buffer", SIZE, builtin=True, minimum=1),
    Flag("output-http-skip-verify", BOOL, builtin=True, since=(1, 3)),
    Flag("output-http-stats", BOOL, builtin=True),
    Flag("output-http-stats-ms", INT, builtin=True, minimum=1000),  # 1.3.2 divides by the whole seconds
    Flag("output-http-timeout", DURATION, builtin=True),
    Flag("output-http-track-response", BOOL, builtin=True),
    Flag("output-http-worker-timeout", DURATION, builtin=True, since=(1, 3)),
    Flag("output-http-workers", INT, builtin=True),
    Flag("output-http-workers-min", INT, builtin=True),
    # general
    Flag("copy-buffer-size", SIZE, builtin=True, minimum=1),
    Flag("cpuprofile", STRING),
    Flag("exit-after", DURATION, builtin=True),
    Flag("http-pprof", STRING),
    Flag("memprofile", STRING),
    Flag("middleware", STRING, builtin=True),
    Flag("output-null", BOOL, builtin=True),
    Flag("output-stdout", BOOL, builtin=True),
    Flag("prettify-http", BOOL),
    Flag("recognize-tcp-sessions", BOOL, since=(1, 1)),
    Flag("split-output", BOOL, builtin=True),
    Flag("stats", BOOL, builtin=True),
    Flag("verbose", INT, builtin=True),  # a switch before 1.2: see `for_release`
    # other outputs
    Flag("kafka-tls-ca-cert", STRING, gor_only_output=True, since=(1, 2)),
    Flag("kafka-tls-client-cert", STRING, gor_only_output=True, since=(1, 2)),
    Flag("kafka-tls-client-key", STRING, gor_only_output=True, since=(1, 2)),
    Flag("output-binary", MULTI, gor_only_output=True, since=(1, 1)),
    Flag("output-binary-debug", BOOL, gor_only_output=True, since=(1, 1)),
    Flag("output-binary-timeout", DURATION, gor_only_output=True, since=(1, 1)),
    Flag("output-binary-track-response", BOOL, gor_only_output=True, since=(1, 1)),
    Flag("output-binary-workers", INT, gor_only_output=True, since=(1, 1)),
    Flag("output-file", MULTI, builtin=True),
    Flag("output-file-append", BOOL, builtin=True),
    Flag("output-file-buffer", STRING, since=(1, 1)),
    Flag("output-file-flush-interval", DURATION, builtin=True),
    Flag("output-file-max-size-limit", SIZE, builtin=True, minimum=1),
    Flag("output-file-queue-limit", INT, builtin=True),
    Flag("output-file-size-limit", SIZE, builtin=True, minimum=1),
    Flag("output-http-elasticsearch", STRING, gor_only_output=True),
    Flag("output-kafka-host", STRING, gor_only_output=True),
    Flag("output-kafka-json-format", BOOL, gor_only_output=True),
    Flag("output-kafka-topic", STRING, gor_only_output=True),
    Flag("output-tcp", MULTI, builtin=True),
    Flag("output-tcp-response-buffer", SIZE, gor_only_output=True, minimum=1, since=(1, 1)),  # of output-binary
    Flag("output-tcp-secure", BOOL),
    Flag("output-tcp-skip-verify", BOOL, since=(1, 3)),
    Flag("output-tcp-stats", BOOL, builtin=True),
    Flag("output-tcp-sticky", BOOL, builtin=True, since=(1, 1)),
    Flag("output-tcp-workers", INT, builtin=True, minimum=1, since=(1, 3)),  # 1.3.2 divides by it
    # inputs: the launcher refuses them with every release, so it does not matter since when they exist
    Flag("input-http", MULTI, builtin=True, until=(0, 15)),
    Flag("input-dummy", MULTI),
    Flag("input-file", MULTI, builtin=True),
    Flag("input-file-dry-run", BOOL, builtin=True),
    Flag("input-file-loop", BOOL, builtin=True),
    Flag("input-file-max-wait", DURATION, builtin=True),
    Flag("input-file-read-depth", INT, builtin=True),
    Flag("input-kafka-host", STRING),
    Flag("input-kafka-json-format", BOOL),
    Flag("input-kafka-topic", STRING),
    Flag("input-raw", MULTI),
    Flag("input-raw-allow-incomplete", BOOL),
    Flag("input-raw-bpf-filter", STRING),
    Flag("input-raw-buffer-size", SIZE),
    Flag("input-raw-buffer-timeout", DURATION),
    Flag("input-raw-engine", MULTI),
    Flag("input-raw-expire", DURATION),
    Flag("input-raw-monitor", BOOL),
    Flag("input-raw-override-snaplen", BOOL),
    Flag("input-raw-promisc", BOOL),
    Flag("input-raw-protocol", MULTI),
    Flag("input-raw-realip-header", STRING),
    Flag("input-raw-stats", BOOL),
    Flag("input-raw-timestamp-type", STRING),
    Flag("input-raw-track-response", BOOL),
    Flag("input-tcp", MULTI, builtin=True),
    Flag("input-tcp-certificate", STRING),
    Flag("input-tcp-certificate-key", STRING),
    Flag("input-tcp-secure", BOOL),
)
FLAGS: Mapping[str, Flag] = MappingProxyType({flag.name: flag for flag in _FLAGS})

RENAMED: Mapping[str, Renamed] = MappingProxyType({
    "output-http-header": Renamed("http-set-header", "0.9.6"),
    "output-http-method": Renamed("http-allow-method", "0.9.6"),
    "output-http-url-regexp": Renamed("http-allow-url", "0.9.6"),
    "output-http-rewrite-url": Renamed("http-rewrite-url", "0.9.6"),
    "output-http-header-filter": Renamed("http-allow-header", "0.9.6"),
    "output-http-header-hash-filter": Renamed("http-header-limiter", "0.9.6"),
    "http-header-hash-limiter": Renamed("http-header-limiter", "0.9.6"),  # never a flag, but gor's own advice says so
    "http-diallow-url": Renamed("http-disallow-url", "0.10.1"),
    "output-dummy": Renamed("output-stdout", "0.13.0", value="true"),  # its value never meant anything
    "output-http-debug": Renamed("verbose", "1.2.0", BOOL, value="3"),  # the level at which 1.2.0 prints it
    "debug": Renamed("verbose", "1.2.0", BOOL, value="1"),
})

_INPUT = "leave it out: the launcher is the input, it hands over every request that the app gets"
_BEFORE_0_7 = "this is gor before 0.7; write --output-http 'http://host|10' for each destination"
OLD_FORMS: Mapping[str, str] = MappingProxyType(dict.fromkeys(("f", "i", "ip", "p", "r"), _BEFORE_0_7))

REMOVED: Mapping[str, str] = MappingProxyType({  # name -> what to do instead, behind the launcher
    **{name: _INPUT for name in FLAGS if name.startswith("input-")},
    "input-raw-immediate-mode": _INPUT,
    **OLD_FORMS,
})

POSITIONAL: Mapping[str, str] = MappingProxyType({  # words without dashes that people write -> what to do instead
    "gor": "leave it out: only options belong here",
    "goreplay": "leave it out: only options belong here",
    "listen": _BEFORE_0_7,
    "replay": _BEFORE_0_7,
    "file-server": "gor's file server is gor's alone",
})
