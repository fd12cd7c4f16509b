"""The launcher's own options: one field each. Flag, variable, default, help, docs and `--dry-run` follow from it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from launcher import options as o
from launcher.command_hints import typography_hint
from launcher.control.words import Change, parse_change
from launcher.destinations import parse_destination, split_role
from launcher.options import declared, option
from launcher.records import UNDROPPABLE_HEADERS
from launcher.selection import SampleBy, Selection, explained, parse_methods, parse_path, parse_sample_by
from launcher.until import Until, until

DEFAULT_GOR_OPTIONS = "config/gor.options"
DEFAULT_PORT = 5000


def _destination(text: str) -> str:
    try:
        parse_destination(split_role(text)[1])
    except ValueError as error:
        hint = typography_hint(text)
        raise ValueError(f"{error}; it has {hint}" if hint else str(error)) from None
    return text


def _droppable_header(text: str) -> str:
    name = o.header_name(text)
    if name.lower() in UNDROPPABLE_HEADERS:
        raise ValueError(f"a header that a copy can do without, not {name}")
    return name


def _cpu_percent(text: str) -> float | None:
    if text.strip().lower() == "none":
        return None
    value = o.number(text.strip().removesuffix("%").rstrip())
    if value is None or not 0 <= value <= 100_000:
        raise ValueError(f"a percentage of one core such as 50 or 200, 0, or none, not {o.quoted(text)}")
    return value or None


def _host(text: str) -> str:
    if not re.fullmatch(r"[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", text):
        raise ValueError(f"an address such as 0.0.0.0, 127.0.0.1 or ::, not {o.quoted(text)}")
    return text


def _socket_path(text: str) -> str:
    if len(text.encode("utf-8", "surrogateescape")) > 107:  # unix(7): sun_path; any bytes make a path
        raise ValueError("a path of at most 107 bytes")
    return text


@dataclass(frozen=True, kw_only=True)
class LauncherOptions:
    """What the command line and the environment say."""

    to: tuple[str, ...] = option(
        "--to", "a destination of the copies: short for gor's --output-http URL; with a name before it, such as "
        "candidate=URL and baseline=URL, answers are compared: docs/comparison.md",
        metavar="[NAME=]URL", parse=_destination, env="TRAFFIC_DUPLICATOR_TO", default_text="none", repeatable=True,
    )  # fmt: skip
    gor_options: str | None = option(
        "--gor-options", "gor's options, as a shell would read them",
        metavar="FILE", env="TRAFFIC_DUPLICATOR_GOR_OPTIONS", default_text=f"{DEFAULT_GOR_OPTIONS} if it exists",
    )  # fmt: skip
    replayer: str = option(
        "--replayer", "what sends the copies on: the built-in replayer, a gor, or the gor at PATH",
        metavar="auto|gor|builtin|PATH", env="TRAFFIC_DUPLICATOR_REPLAYER", default="auto", default_text="auto",
    )  # fmt: skip
    host: str | None = option(
        "--host", "the address where clients connect",
        metavar="ADDR", parse=_host, env="TRAFFIC_DUPLICATOR_HOST", default_text=":: for both families, else 0.0.0.0",
    )  # fmt: skip
    port: int | None = option(
        "--port", "where clients connect",
        metavar="N", parse=o.port, env="PORT",
        default_text=f"{DEFAULT_PORT}; in a dyno none: the command runs as it is",
    )  # fmt: skip
    app_port: int | None = option(
        "--app-port", "where the app listens: it finds the number in PORT, and in place of {port} in its command",
        metavar="N", parse=o.port, env="TRAFFIC_DUPLICATOR_APP_PORT",
        default_text="the clients' port + 1 if free, else any free port",
    )  # fmt: skip
    app_socket: str | None = option(
        "--app-socket", "the app listens on a Unix socket instead, in place of {socket} in its command",
        metavar="PATH", parse=_socket_path, env="TRAFFIC_DUPLICATOR_APP_SOCKET",
        default_text="none; one in a private folder if the command has {socket}",
    )  # fmt: skip
    methods: tuple[str, ...] = option(
        "--methods", "which requests to mirror: safe (GET, HEAD, OPTIONS), all, or a list such as GET,POST",
        metavar="safe|LIST", parse=parse_methods, env="TRAFFIC_DUPLICATOR_METHODS", default=(), default_text="all",
    )  # fmt: skip
    path: tuple[str, ...] = option(
        "--path", "mirror only requests to paths in which this regular expression of Go's is found, such as ^/api/; "
        "paths that would take it too long to search are not mirrored, and counted",
        metavar="REGEXP", parse=parse_path, env="TRAFFIC_DUPLICATOR_PATH", default_text="all", repeatable=True,
    )  # fmt: skip
    not_path: tuple[str, ...] = option(
        "--not-path", "mirror no requests to paths in which this one is found, or would take too long to search",
        metavar="REGEXP", parse=parse_path, env="TRAFFIC_DUPLICATOR_NOT_PATH", default_text="none", repeatable=True,
    )  # fmt: skip
    sample: float = option(
        "--sample", "the share of requests to mirror",
        metavar="PERCENT", parse=o.percent, env="TRAFFIC_DUPLICATOR_SAMPLE", default=100.0, default_text="100",
    )  # fmt: skip
    sample_by: SampleBy | None = option(  # noqa: RUF009 - it declares a field
        "--sample-by", "with --sample: the same users in or out, told apart by a cookie, a header or their address",
        metavar="cookie:NAME|header:NAME|client", parse=parse_sample_by, env="TRAFFIC_DUPLICATOR_SAMPLE_BY",
        default_text="each request by lot",
    )  # fmt: skip
    rate: float | None = option(
        "--rate", "copies a second at most; judged last, so that only what is wanted counts",
        metavar="N", parse=o.per_second, env="TRAFFIC_DUPLICATOR_RATE", default_text="no limit",
    )  # fmt: skip
    drop_header: tuple[str, ...] = option(
        "--drop-header", "a header that is removed from the copies, such as Authorization or Cookie",
        metavar="NAME", parse=_droppable_header, env="TRAFFIC_DUPLICATOR_DROP_HEADER", default_text="none",
        repeatable=True,
    )  # fmt: skip
    buffer: int = option(
        "--buffer", "bound on all that the mirror holds in the launcher; what does not fit is dropped and counted",
        metavar="SIZE", parse=o.size, env="TRAFFIC_DUPLICATOR_BUFFER", default=16 * 1024**2, default_text="16MiB",
    )  # fmt: skip
    max_request: int = option(
        "--max-request", "a larger request is not mirrored",
        metavar="SIZE", parse=o.size, env="TRAFFIC_DUPLICATOR_MAX_REQUEST", default=4 * 1024**2, default_text="4MiB",
    )  # fmt: skip
    replayer_memory: int | None = option(
        "--replayer-memory", "bound for all replayer processes together; one that grows past its share is restarted",
        metavar="SIZE", parse=o.size, env="TRAFFIC_DUPLICATOR_REPLAYER_MEMORY",
        default_text="256MiB or a quarter of the memory limit, the smaller, but at least 64MiB",
    )  # fmt: skip
    until: Until | None = option(  # noqa: RUF009 - Until is frozen
        "--until", "mirroring ends by itself then; the app goes on. A time without zone is UTC, a duration counts from "
        "the start of mirroring",
        metavar="TIME|DURATION", parse=until, env="TRAFFIC_DUPLICATOR_UNTIL", default_text="never",
    )  # fmt: skip
    max_cpu: float | None = option(
        "--max-cpu", "mirroring pauses when all replayer processes together use more of one core for 10 s; 0 or none "
        "turns that off",
        metavar="PERCENT", parse=_cpu_percent, env="TRAFFIC_DUPLICATOR_MAX_CPU", default=50.0, default_text="50",
    )  # fmt: skip
    ignore: tuple[str, ...] = option(
        "--ignore", "what does not count when answers are compared: a path in JSON with all below it, or a header",
        metavar="PATH|HEADER", parse=o.ignorable, env="TRAFFIC_DUPLICATOR_IGNORE", default_text="none", repeatable=True,
    )  # fmt: skip
    keep_bodies: int = option(
        "--keep-bodies", "when answers are compared: so many pairs that differ are written, whole, to a private file",
        metavar="N", parse=o.count, env="TRAFFIC_DUPLICATOR_KEEP_BODIES", default=0, default_text="0",
    )  # fmt: skip
    report_file: str | None = option(
        "--report-file", "where the comparison's report is written at the end, as a page, or as JSON if PATH ends so",
        metavar="PATH", env="TRAFFIC_DUPLICATOR_REPORT_FILE", default_text="none",
    )  # fmt: skip
    stats_interval: float = option(
        "--stats-interval", "time between two lines of counters in the log; 0 turns them off",
        metavar="SECONDS", parse=o.seconds, env="TRAFFIC_DUPLICATOR_STATS_INTERVAL", default=60.0, default_text="60",
    )  # fmt: skip
    metrics_port: int | None = option(
        "--metrics-port", "serve the counters for Prometheus at this port of 127.0.0.1",
        metavar="N", parse=o.port, env="TRAFFIC_DUPLICATOR_METRICS_PORT", default_text="none",
    )  # fmt: skip
    quiet: bool = option(
        "--quiet", "log warnings and errors only: no counters, but for a balance at the end that does not hold",
        env="TRAFFIC_DUPLICATOR_QUIET",
    )  # fmt: skip
    drain_timeout: float = option(
        "--drain-timeout", "cap on all that the launcher adds to a shutdown",
        metavar="SECONDS", parse=o.seconds, env="TRAFFIC_DUPLICATOR_DRAIN_TIMEOUT", default=25.0, default_text="25",
    )  # fmt: skip
    strict: bool = option(
        "--strict", "a broken configuration exits with 2, instead of running the app without mirroring",
        env="TRAFFIC_DUPLICATOR_STRICT",
    )  # fmt: skip
    dry_run: bool = option(
        "--dry-run", "check everything, print the plan, start nothing; exit 0 if fine, 1 if not", starts_nothing=True
    )
    offline: bool = option(
        "--offline", "with --dry-run: look up no destination's name and connect to none", starts_nothing=True
    )
    build: bool = option(
        "--build", "with --dry-run, where an app is built: leave out what only the machine that runs it can tell "
        "(free ports, the command's file); without COMMAND check the Procfile's lines; implies --offline",
        starts_nothing=True,
    )  # fmt: skip
    json: bool = option(
        "--json", "with --dry-run or --status: as JSON, described by docs/dry-run.schema.json and "
        "docs/status.schema.json", starts_nothing=True,
    )  # fmt: skip
    status: bool = option(
        "--status", "ask the launcher that runs for its live figures: it is found without being told where; "
        "exit 1 if there is none", starts_nothing=True,
    )  # fmt: skip
    watch: bool = option("--watch", "with --status: again each second, in place", starts_nothing=True)
    control: Change | None = option(  # noqa: RUF009 - it declares a field
        "--control", "change what the launcher that runs copies, at once; its next start knows nothing of it",
        metavar="on|off|sample PERCENT|rate N|rate off", parse=parse_change, starts_nothing=True, takes_words=True,
    )  # fmt: skip
    pid: int | None = option(
        "--pid", "with --status or --control, where several launchers run: which one; --port tells them apart, too",
        metavar="N", parse=o.process_id, starts_nothing=True,
    )  # fmt: skip
    report: bool = option(
        "--report", "ask the launcher that runs for its comparison of answers; with --json, --html FILE or --check",
        starts_nothing=True,
    )  # fmt: skip
    html: str | None = option("--html", "with --report: write it as a page", metavar="FILE", starts_nothing=True)
    check: str | None = option(
        "--check", "with --report: what must hold, such as 'status_mismatch<0.1% p95_ratio<1.2'; else the exit status "
        "is 1", metavar="EXPR", starts_nothing=True,
    )  # fmt: skip
    version: bool = option("--version", "print the version", starts_nothing=True)
    help: bool = option("--help", "print this help", starts_nothing=True)
    enabled: bool = option(
        "", "false, 0, no or off: run the app as if the launcher were not there",
        metavar="true|false", parse=o.boolean, env="TRAFFIC_DUPLICATOR_ENABLED", default=True, default_text="true",
    )  # fmt: skip

    @property
    def selection(self) -> Selection:
        """Which requests are copied, but for the share and the rate, which `Controls` may change."""
        return Selection(methods=self.methods, paths=self.path, not_paths=self.not_path, sample_by=self.sample_by)

    @property
    def selected(self) -> str:
        """Which requests are copied, in words."""
        return explained(self.selection, sample_percent=self.sample, rate_per_second=self.rate)


def value_flags() -> tuple[str, ...]:
    """The flags before a COMMAND whose value is the next word, unless it stands behind an equals sign."""
    options = [opt for opt in declared(LauncherOptions).values() if not opt.starts_nothing]
    return tuple(opt.flag for opt in options if opt.flag and opt.takes_value)


def flags_that_start_nothing() -> tuple[str, ...]:
    """The flags with which the command is not started; `--replay` is one, although it is a program of its own."""
    return (*(opt.flag for opt in declared(LauncherOptions).values() if opt.starts_nothing), "--replay")
