"""What the launcher is going to do, checked as a whole before anything starts.

`make_plan` reads the options file, looks for a gor where one may be needed, and asks which ports are free. It starts
nothing (but `gor --help`) and listens to nothing: `--dry-run` prints what it returns, `service` carries it out.
"""

from __future__ import annotations

import enum
import errno
import os
import secrets as random_names
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher import addresses, itself, memory
from launcher.app_command import AppCommand, mentions_socket, move, stay
from launcher.environment import is_dyno
from launcher.executable import CannotStart, find_executable
from launcher.gor.flags import GorOption, Word, is_output, parse_flags
from launcher.gor.options import GorOptions, destinations, hidden, read_gor_options
from launcher.launcher_options import DEFAULT_GOR_OPTIONS, DEFAULT_PORT, LauncherOptions
from launcher.options import ConfigurationError, Reading, declared, format_size
from launcher.replay_protocol import MAX_FRAME_BYTES
from launcher.replayer_choice import Places, ReplayerChoice, choose_replayer
from launcher.roles import role_problems, role_warnings

_RECORD_HEADER_BYTES = 128  # gor's own line before the request, and the loop guard's header
_GOR_COPY_BUFFER_BYTES = 5 * 1024**2  # where gor cuts unless --copy-buffer-size is given
_DEFAULT_REPLAYER_MEMORY = 256 * 1024**2
_OUR_VARIABLES = "TRAFFIC_DUPLICATOR_"
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})
_LEAST_REPLAYER_MEMORY = 64 * 1024**2  # an idle one has 26 MB


class Mode(enum.Enum):
    """How the app runs."""

    MIRROR = "behind the relay, with copies"
    RELAY = "behind the relay, without copies"
    ALONE = "by itself, unmirrored"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that was decided."""

    mode: Mode
    reason: str  # why not MIRROR; empty if it is
    options: LauncherOptions
    in_dyno: bool
    host: str
    port: int | None
    app_port: int
    app_socket: str | None
    metrics_port: int | None
    app: AppCommand
    environ: Mapping[str, str]  # as given, for replayers
    gor_options: tuple[GorOption, ...]
    replayer: ReplayerChoice | None
    replayer_memory: int
    max_request: int
    is_over: bool  # --until has come before the start: nothing is mirrored
    problems: tuple[str, ...]  # each alone is enough to run unmirrored, or to refuse with --strict
    warnings: tuple[str, ...]
    secrets: tuple[tuple[str, str], ...]

    @property
    def splits_output(self) -> bool:
        """Whether each request goes to one replayer process only, in turn. The built-in replayer is one, and splits."""
        is_gor = self.replayer is not None and self.replayer.gor is not None
        return is_gor and any(option.name == "split-output" and option.value == "true" for option in self.gor_options)


def make_plan(reading: Reading[LauncherOptions], environ: Mapping[str, str]) -> Plan:
    """Checks everything; what is broken ends in `problems`, never in an exception."""
    return _Planner(reading, environ).plan()


class _Planner:
    """Collects problems and warnings on the way to a plan."""

    def __init__(self, reading: Reading[LauncherOptions], environ: Mapping[str, str]) -> None:
        self._options = reading.values
        self._command = reading.command
        self._environ = environ
        self._in_dyno = is_dyno(environ)
        self._where_to_is = "TRAFFIC_DUPLICATOR_TO" if reading.given.get("to") == "variable" else "--to"
        self._given = reading.given
        self._has_bad_port = "port" not in reading.given and bool(environ.get("PORT"))
        self._problems = list(reading.problems)
        self._warnings: list[str] = []
        self._secrets: tuple[tuple[str, str], ...] = ()
        until = reading.values.until
        self._is_over = until is not None and until.seconds_left(time.time(), 0) <= 0

    def plan(self) -> Plan:
        options = self._options
        has_port = options.port is not None or not self._in_dyno
        port = (options.port or DEFAULT_PORT) if has_port else None
        host = options.host or addresses.any_host()
        is_wanted = options.enabled and port is not None
        gor_options = self._gor_options() if is_wanted else ()
        replayer = self._replayer(gor_options) if is_wanted and not self._problems else None
        if is_wanted and port is not None:
            if not options.build:
                self._check_port(host, port)
                self._check_middleware(gor_options)
            self._check_destinations(gor_options, port)
            self._check_variables()
        if is_wanted and options.app_port is not None:
            self._check_app_port(options.app_port, port)
        replayer_memory = self._replayer_memory()
        self._problems = [self._as_given(problem) for problem in self._problems]
        reason = self._as_given(self._why_not_mirrored(port))
        mode, app, app_port, app_socket = self._place_app(port, is_mirrored=not reason)
        return Plan(
            mode=mode, reason=reason, options=options, in_dyno=self._in_dyno,
            host=host, port=port, app_port=app_port, app_socket=app_socket,
            metrics_port=self._metrics_port(port, app_port), app=app, environ=self._environ,
            gor_options=gor_options, replayer=replayer,
            replayer_memory=replayer_memory,
            max_request=self._max_request(gor_options, replayer),
            is_over=self._is_over,
            problems=tuple(self._problems), warnings=tuple(map(self._as_given, self._warnings)), secrets=self._secrets,
        )  # fmt: skip

    def _as_given(self, text: str) -> str:
        """Begins with the variable's name where the text begins with an option that came from its variable."""
        flag, blank, rest = text.partition(" ")
        for name, option in declared(LauncherOptions).items():
            if flag and option.flag == flag and self._given.get(name) == "variable":
                return f"{option.env}{blank}{rest}"
        return text

    def _check_port(self, host: str, port: int) -> None:
        refusal = addresses.why_not_free(host, port)
        if refusal is not None:
            holder = self._holder(host, port) if refusal == os.strerror(errno.EADDRINUSE) else ""
            self._problems.append(f"port {port} of {host} can't be listened on: {refusal}{holder}")

    def _holder(self, host: str, port: int) -> str:
        """Whose a port is takes a look at every process: before an app's start there is no time for it."""
        if not self._options.dry_run:
            return ""
        from launcher import port_holders

        return f" by {port_holders.in_words(host, port)}"

    def _check_destinations(self, gor_options: Sequence[GorOption], port: int) -> None:
        """A copy that came back here would not be copied again, but the app would get every request twice."""
        for option, destination in destinations(gor_options):
            if destination.host in _OWN_NAMES and destination.port == port:
                self._problems.append(f"{option.where}: {option.shown} leads back to this launcher's own port")

    def _check_middleware(self, gor_options: Sequence[GorOption]) -> None:
        """Said only: the replayer tries again and again, and the program may yet come. Its arguments may be secret."""
        for option in gor_options:
            words = option.value.split()
            if option.name != "middleware" or not words:
                continue
            try:
                find_executable(words[:1], self._environ)
            except CannotStart as error:
                self._warnings.append(f"{option.where}: --middleware can't be started: {error}")

    def _check_variables(self) -> None:
        known = {option.env for option in declared(LauncherOptions).values() if option.env}
        for name in sorted(self._environ):
            if name.startswith(_OUR_VARIABLES) and name not in known:
                self._warnings.append(f"{name} is no variable of the launcher's; --help lists them all")

    def _check_app_port(self, app_port: int, port: int | None) -> None:
        """A stranger on the app's port would be taken for the app."""
        if app_port == port:
            self._problems.append(f"--app-port must differ from the clients' port, {port}")
        elif not self._options.build and not addresses.is_free(addresses.any_host(), app_port):
            holder = self._holder(addresses.any_host(), app_port)
            self._problems.append(f"--app-port {app_port} is taken{holder}: leave it out, then a free one is chosen")

    def _metrics_port(self, port: int | None, app_port: int) -> int | None:
        """None, and a warning, if it would be in the way of clients or of the app."""
        wanted = self._options.metrics_port
        if wanted is not None and wanted in (port, app_port):
            self._warnings.append(
                f"--metrics-port must differ from the ports of clients and app: there are no metrics at {wanted}"
            )
            return None
        if wanted is not None and self._options.dry_run and not addresses.is_free("127.0.0.1", wanted):
            self._warnings.append(f"--metrics-port {wanted} is taken: there will be no metrics unless it becomes free")
        return wanted

    def _why_not_mirrored(self, port: int | None) -> str:
        if not self._options.enabled:
            return "TRAFFIC_DUPLICATOR_ENABLED is false"
        if port is None:
            return "this dyno has no PORT, so no HTTP traffic"
        if self._problems:
            return "; ".join(self._problems)
        return f"--until {self._options.until.text} is over" if self._options.until and self._is_over else ""

    def _place_app(self, port: int | None, *, is_mirrored: bool) -> tuple[Mode, AppCommand, int, str | None]:
        options = self._options
        needs_socket = options.app_socket is not None or mentions_socket(self._command)
        if not is_mirrored and (port is None or not needs_socket):
            told_port = None if self._has_bad_port else port  # a PORT that is no number is the app's to complain of
            return Mode.ALONE, stay(self._command, self._environ, port=told_port), port or 0, None
        assert port is not None
        app_port = options.app_port or addresses.free_port(port + 1 + (options.metrics_port == port + 1))
        app_socket = (options.app_socket or _new_socket_path()) if needs_socket else None
        app = move(self._command, self._environ, client_port=port, app_port=app_port, app_socket=app_socket)
        return Mode.MIRROR if is_mirrored else Mode.RELAY, app, app_port, app_socket

    # ---- gor's options --------------------------------------------------------------------------------------

    def _gor_options(self) -> tuple[GorOption, ...]:
        try:
            from_file = self._read_file()
            words = [word for url in self._options.to for word in _to_words(url, self._where_to_is)]
            from_to, to_warnings = parse_flags(words)
        except ConfigurationError as error:
            self._problems.append(str(error))
            return ()
        self._warnings += [*from_file.warnings, *to_warnings]
        self._secrets = (*from_file.secrets, *hidden(from_to, {}))
        found = (*from_file.options, *from_to)
        self._problems += role_problems(found)
        self._warnings += role_warnings(found)
        if not self._problems and not any(map(is_output, found)):
            self._problems.append(
                "there is no destination: use --to URL, TRAFFIC_DUPLICATOR_TO, "
                f"or --output-http in {DEFAULT_GOR_OPTIONS}"
            )
        return found

    def _read_file(self) -> GorOptions:
        name = self._options.gor_options
        path = Path(name or DEFAULT_GOR_OPTIONS)
        if not name and not os.path.lexists(path):
            return GorOptions((), (), ())
        try:
            text = path.read_bytes().decode()
        except OSError as error:
            raise ConfigurationError(f"{path}: can't be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{path}: is no UTF-8 text (byte {error.start + 1})") from None
        return read_gor_options(text, file=str(path), environ=self._environ)

    def _replayer(self, gor_options: Sequence[GorOption]) -> ReplayerChoice | None:
        places = Places(Path.cwd(), itself.folder(), self._environ.get("PATH", os.defpath))
        try:
            choice = choose_replayer(self._options.replayer, gor_options, places)
        except ConfigurationError as error:
            self._problems.append(str(error))
            return None
        self._warnings += choice.warnings
        return choice

    def _replayer_memory(self) -> int:
        given = self._options.replayer_memory
        if given is not None and given < _LEAST_REPLAYER_MEMORY:
            self._warnings.append(
                f"--replayer-memory {format_size(given)} is less than a replayer needs: it will be restarted time and "
                f"again; use {format_size(_LEAST_REPLAYER_MEMORY)} or more"
            )
        return given or max(_LEAST_REPLAYER_MEMORY, min(_DEFAULT_REPLAYER_MEMORY, memory.limit_bytes() // 4))

    def _max_request(self, gor_options: Sequence[GorOption], replayer: ReplayerChoice | None) -> int:
        """A longer record could not be sent whole: gor cuts it, and the built-in replayer's pipe has a bound, too."""
        sizes = [int(option.value) for option in gor_options if option.name == "copy-buffer-size"]
        if replayer is not None:
            sizes = sizes or [_GOR_COPY_BUFFER_BYTES] if replayer.gor is not None else [*sizes, MAX_FRAME_BYTES]
        return min([self._options.max_request, *(size - _RECORD_HEADER_BYTES for size in sizes)])


def _to_words(url: str, where: str) -> list[Word]:
    return [Word("--output-http", "--output-http", where), Word(url, url, where)]


def _new_socket_path() -> str:
    """In a private folder that `service` makes: nobody else may be able to connect to the app."""
    try:
        parent = tempfile.gettempdir()
    except FileNotFoundError:
        parent = "/tmp"  # no folder can be written to: `service` says so
    return os.path.join(parent, f"traffic-duplicator-app-{random_names.token_hex(6)}", "app.sock")
