"""Everything that `--dry-run` looks at, as values: for people (`text`) and for programs (`as_json`)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from launcher import addresses, memory, port_holders
from launcher.command_hints import hints, unexpanded_port_hint
from launcher.dry_run import destination_checks
from launcher.dry_run.destination_checks import DestinationCheck, check_destinations
from launcher.dry_run.risks import Circumstances, Risk, find_risks
from launcher.executable import CannotStart, find_executable, missing_interpreter
from launcher.gor import words as gor_words
from launcher.plan import Mode, Plan
from launcher.port_holders import Holder

LAUNCHER_BYTES = 32 * 1024**2  # idle 28 MB, docs/performance.md
CONNECTION_BYTES = 4 * 1024  # of one that is idle

CONFIGURATION, COMMAND, DESTINATION, MEMORY = "configuration", "command", "destination", "memory"


@dataclass(frozen=True)
class Problem:
    """`kind` is one of the four above."""

    kind: str
    text: str


@dataclass(frozen=True)
class PortCheck:
    """A port that is to be listened on."""

    host: str
    port: int
    is_free: bool | None  # None: not looked at
    holders: tuple[Holder, ...] = ()


@dataclass(frozen=True)
class Change:
    """A variable of the app's that differs from what the launcher was given; None: it has none."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class MemoryCheck:
    """Bounds, in bytes: each is what is held at most, not what is taken."""

    limit: int | None  # None: not this machine's to tell (--build)
    buffer: int
    replayers: int

    @property
    def total(self) -> int:
        return LAUNCHER_BYTES + self.buffer + self.replayers

    @property
    def percent(self) -> int | None:
        """Of the limit."""
        return None if self.limit is None else round(100 * self.total / self.limit)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found."""

    plan: Plan
    executable: str | None  # the command's file; None: not looked for, or not found
    environment: tuple[Change, ...]
    clients_port: PortCheck | None
    app_port: PortCheck | None  # None on a socket, or without a relay
    selection: str  # which requests are copied, in words
    filters: tuple[str, ...]  # gor's
    changes: tuple[str, ...]
    destinations: tuple[DestinationCheck, ...]
    memory: MemoryCheck | None  # None without copies
    faults: tuple[str, ...]  # of the replayer
    risks: tuple[Risk, ...]
    warnings: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def outcome(self) -> str:
        """What the launcher would do, in a word; `unwell` is a mirror that runs and does not do what it should."""
        kinds = {problem.kind for problem in self.problems}
        if CONFIGURATION in kinds and self.plan.options.strict:
            return "refused"
        if COMMAND in kinds:
            return "not-started"
        return "unmirrored" if CONFIGURATION in kinds else "unwell" if kinds else "fine"


def examine(plan: Plan, command: Sequence[str]) -> Report:
    """Looks at everything. `command` is as it was given. Starts nothing, and connects only to destinations."""
    is_build = plan.options.build
    checked = check_destinations(plan)
    faults = plan.replayer.warnings if plan.replayer is not None else ()
    memory_check = _memory(plan)
    executable, command_problem = (None, "") if is_build else _command(plan)
    problems = [Problem(CONFIGURATION, text) for text in plan.problems]
    problems += [Problem(COMMAND, command_problem)] if command_problem else []
    for check in checked:
        problems += [Problem(DESTINATION, text) for text in destination_checks.problems(check, plan)]
    problems += [Problem(MEMORY, text) for text in _memory_problems(memory_check)]
    return Report(
        plan=plan,
        executable=executable,
        environment=tuple(_environment_changes(plan.environ, plan.app.environ)),
        clients_port=_port(plan.host, plan.port, is_build) if plan.port is not None else None,
        app_port=_port(addresses.any_host(), plan.app_port, is_build) if _is_on_port(plan) else None,
        selection=plan.options.selected,
        filters=tuple(gor_words.filters(plan.gor_options)),
        changes=tuple(gor_words.changes(plan.gor_options)),
        destinations=tuple(checked),
        memory=memory_check,
        faults=tuple(faults),
        risks=tuple(_risks(plan, checked)),
        warnings=tuple(_warnings(plan, command, checked, memory_check)),
        problems=tuple(problems),
    )  # fmt: skip


def _is_on_port(plan: Plan) -> bool:
    return plan.mode is not Mode.ALONE and plan.app_socket is None


def _port(host: str, port: int, is_build: bool) -> PortCheck:
    if is_build:
        return PortCheck(host, port, None)
    if addresses.is_free(host, port):
        return PortCheck(host, port, True)
    return PortCheck(host, port, False, tuple(port_holders.holders(host, port)))


def _command(plan: Plan) -> tuple[str | None, str]:
    """The file, and what is wrong."""
    if not plan.app.argv:
        return None, ""
    try:
        executable = find_executable(plan.app.argv, plan.app.environ)
    except CannotStart as error:
        return None, f"the command can't be started (status {error.status}): {error}"
    missing = missing_interpreter(executable.path, plan.app.environ)
    return executable.path, f"the command can't be started (status 127): {missing}" if missing else ""


def _environment_changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Change(name, before.get(name), after.get(name))


def _memory(plan: Plan) -> MemoryCheck | None:
    if not plan.gor_options:
        return None
    limit = None if plan.options.build else memory.limit_bytes()
    return MemoryCheck(limit, plan.options.buffer, plan.replayer_memory)


def _memory_problems(check: MemoryCheck | None) -> Iterator[str]:
    if check is not None and check.percent is not None and check.percent > 100:
        yield (
            f"the bounds add up to {check.percent} % of the memory limit: app and mirror would not fit together; lower "
            "--buffer and --replayer-memory"
        )


def _risks(plan: Plan, checked: Sequence[DestinationCheck]) -> list[Risk]:
    http = [check for check in checked if check.option.name == "output-http"]
    found = {
        number: check.reached.addresses
        for number, check in enumerate(http)
        if check.reached is not None and check.reached.target.proxy is None
    }
    has_private = any(map(addresses.private_address, addresses.FAMILIES)) or plan.mode is Mode.ALONE
    return find_risks(Circumstances(plan, found, has_private))


def _warnings(
    plan: Plan, command: Sequence[str], checked: Sequence[DestinationCheck], memory_check: MemoryCheck | None
) -> Iterator[str]:
    faults = plan.replayer.warnings if plan.replayer is not None else ()
    yield from (warning for warning in plan.warnings if warning not in faults)
    yield from hints(command, plan.port)
    if hint := unexpanded_port_hint(command):
        yield hint
    if plan.options.sample_by is not None and plan.options.sample >= 100:
        yield "--sample-by says whose requests a sample has, but all are copied: --sample 10 copies a tenth"
    for check in checked:
        yield from destination_checks.warnings(check)
    percent = memory_check.percent if memory_check is not None else None
    if percent is not None and 50 < percent <= 100:
        yield f"the bounds add up to {percent} % of the memory limit: --buffer and --replayer-memory lower them"
    yield from _repeated(checked)
    if plan.options.app_socket is not None and plan.app_socket is not None and not plan.options.build:
        yield from _socket_warnings(plan.app_socket)


def _repeated(checked: Sequence[DestinationCheck]) -> Iterator[str]:
    """The same one may be meant twice, to double its load; it may also be in gor.options and in --to by mistake."""
    first: dict[str, DestinationCheck] = {}
    for check in checked:
        if check.option.name != "output-http":
            continue
        before = first.setdefault(check.option.value.partition("|")[0], check)
        if before is not check:
            where = f"{before.option.where}, {check.option.where}"
            yield f"{check.shown} is there twice ({where}): it gets every copy twice"


def _socket_warnings(path: str) -> Iterator[str]:
    folder = os.path.dirname(path) or os.curdir
    if _has_listener(path):
        yield f"somebody listens on {path} already, and would be taken for the app"
    elif os.path.isdir(folder):
        if not os.access(folder, os.W_OK | os.X_OK):
            yield f"--app-socket {path}: no socket can be made in {folder}, which is not this user's to write to"
    elif not os.path.isdir(os.path.dirname(folder) or os.curdir):
        yield f"--app-socket {path}: its folder can't be made, because the one above it is not there"


def _has_listener(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
