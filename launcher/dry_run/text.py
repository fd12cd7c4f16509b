"""`--dry-run`: the checked plan, for people. Starts nothing."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from launcher import __version__, port_holders
from launcher.brakes import FULL_PERCENT
from launcher.destinations import host_port
from launcher.dry_run.checks import (
    COMMAND,
    CONNECTION_BYTES,
    LAUNCHER_BYTES,
    MEMORY,
    Change,
    PortCheck,
    Report,
    examine,
)
from launcher.dry_run.destination_checks import DestinationCheck
from launcher.gor import words as gor_words
from launcher.gor.flags import GorOption
from launcher.gor.masking import without_credentials
from launcher.launcher_options import LauncherOptions
from launcher.options import format_size, rough_size
from launcher.plan import Mode, Plan
from launcher.printing import Printer


def print_plan(plan: Plan, command: Sequence[str]) -> int:
    """Prints the plan for `command`, as it was given. 0 if all is fine, 1 if there is a problem."""
    report = examine(plan, command)
    if plan.options.json:
        from launcher.dry_run.as_json import as_json

        print(as_json(report))
    else:
        _Pages(Printer(sys.stdout, plan.environ), report).print()
    return 1 if report.problems else 0


class _Pages:
    """One report's sections, in their order."""

    def __init__(self, printer: Printer, report: Report) -> None:
        self._printer = printer
        self._report = report
        self._plan = report.plan

    def print(self) -> None:
        self._printer.text(f"Dry run of start-traffic-duplicator {__version__}: nothing is started")
        self._app()
        if self._plan.gor_options:
            self._copies()
            for number, check in enumerate(self._report.destinations, 1):
                self._destination(number, check)
            self._memory()
        self._findings()

    def _app(self) -> None:
        report, plan, row = self._report, self._plan, self._printer.row
        self._printer.heading("The app")
        row("runs", plan.mode.value)
        if plan.reason and not plan.problems:
            row("because", plan.reason)
        if report.clients_port is not None:
            verb = "it listens on" if plan.mode is Mode.ALONE else "clients come to"
            when = "" if plan.mode is Mode.ALONE else " once the app accepts"
            self._port("port", f"{verb} {host_port(plan.host, report.clients_port.port)}{when}", report.clients_port)
        if report.app_port is not None:
            port = report.app_port.port
            self._port("app's port", f"it listens on 127.0.0.1:{port} or [::1]:{port}", report.app_port)
        elif plan.app_socket is not None and plan.mode is not Mode.ALONE:
            row("app's socket", plan.app_socket)
        row("command", shown_command(plan.app.argv) or "none given")
        if report.executable is not None:
            row("its file", report.executable)
        elif any(problem.kind == COMMAND for problem in report.problems):
            self._printer.marked_row("its file", "FAILED", "red", "it can't be started")
        if plan.port is not None:
            changes = ", ".join(map(_change, report.environment))
            row("environment", f"{changes}, all else as it is" if changes else "all as it is")
        if plan.metrics_port is not None and plan.mode is not Mode.ALONE:
            row("metrics", f"http://127.0.0.1:{plan.metrics_port}/metrics")

    def _port(self, label: str, text: str, check: PortCheck) -> None:
        if check.is_free is None:
            self._printer.row(label, text)
        elif check.is_free:
            self._printer.marked_row(label, "free", "green", text)
        else:
            holder = port_holders.in_words(check.host, check.port, found=check.holders)
            where = host_port(check.host, check.port)
            self._printer.marked_row(label, "TAKEN", "red", f"{where}, by {holder}")

    def _copies(self) -> None:
        report, plan, row = self._report, self._plan, self._printer.row
        options = plan.options
        self._printer.heading("The copies")
        size = format_size(plan.max_request)
        if plan.max_request != options.max_request:  # a bound of the replayer's, which is no round number
            size = f"{rough_size(plan.max_request)} (more can't be sent on)"
        row("which", f"{report.selection}; up to {size} each")
        for text in report.filters:
            row("filter", text)
        for text in report.changes:
            row("change", text)
        if options.drop_header:
            row("without", ", ".join(options.drop_header))
        if plan.replayer is not None:
            row("sent on by", f"{_replayer(plan)}, because {plan.replayer.reason}")
        if pauses := pauses_in_words(plan.options):
            row("pause", pauses)
        if plan.options.until is not None:
            row("end", f"by themselves, --until {plan.options.until.text}")
        for fault in report.faults:
            self._printer.marked_row("its fault", "!", "yellow", fault)
        for option in gor_words.others(plan.gor_options):
            row("setting", f"--{option.name} {_value(option)} ({option.where})".replace("  ", " "))

    def _destination(self, number: int, check: DestinationCheck) -> None:
        self._printer.heading(f"Destination {number}: {check.shown} ({check.option.where})")
        if check.limit:
            self._printer.row("limit", check.limit)
        if check.way:
            self._printer.row("reached", check.way)
        if check.why_not:
            self._printer.row("connection", check.why_not)
        for step in check.reached.steps if check.reached is not None else ():
            mark, colour = ("ok", "green") if step.is_fine else ("FAILED", "red")
            self._printer.marked_row(step.name, mark, colour, f"{_time(step.milliseconds)}, {step.text}")

    def _memory(self) -> None:
        check = self._report.memory
        assert check is not None
        self._printer.heading("Memory, at most")
        self._printer.row("launcher", f"{_size(LAUNCHER_BYTES)}, and {_size(CONNECTION_BYTES)} a connection")
        self._printer.row("copies", f"{_size(check.buffer)} (--buffer)")
        self._printer.row("replayers", f"{_size(check.replayers)} (--replayer-memory)")
        share = "" if check.limit is None else f", {check.percent} % of the limit, {_size(check.limit)}"
        self._printer.row("together", f"{_size(check.total)}{share}")

    def _findings(self) -> None:
        report, printer = self._report, self._printer
        if report.risks:
            printer.heading("Risks")
            for risk in report.risks:
                printer.item("!", "yellow", risk.text, risk.remedy)
        if report.warnings:
            printer.heading("Warnings")
            for warning in report.warnings:
                printer.item("!", "yellow", warning)
        if report.problems:
            printer.heading("Problems")
            for number, problem in enumerate(report.problems, 1):
                printer.item(f"{number}.", "red", problem.text)
        printer.text("")
        printer.text(f"Result: {result(report)}", "red" if report.problems else "green")


def result(report: Report) -> str:
    """What the launcher would do, in a sentence."""
    if not report.problems and report.plan.mode is not Mode.MIRROR:
        return "fine; nothing would be copied"
    if not report.problems:
        return "fine, but look at the risks" if report.risks else "fine"
    number = len(report.problems)
    is_memory = all(problem.kind == MEMORY for problem in report.problems)
    ending = {
        "refused": "the launcher would exit with 2, because of --strict",
        "not-started": "the app would not start",
        "unmirrored": "the launcher would run the app unmirrored",
        "unwell": "the memory may not be enough" if is_memory else "copies would not get where they should",
    }[report.outcome]
    return f"{number} problem{'s' * (number > 1)}; {ending}"


def pauses_in_words(options: LauncherOptions) -> str:
    """When the launcher's own brakes are pulled."""
    cpu = f"the replayers take more than {options.max_cpu:g} % of a core, or " if options.max_cpu is not None else ""
    return f"while {cpu}memory is {FULL_PERCENT:g} % full"


def shown_command(argv: Sequence[str]) -> str:
    """The words as a shell would read them, without the credentials of URLs."""
    return shlex.join([without_credentials(word) for word in argv])


def _replayer(plan: Plan) -> str:
    assert plan.replayer is not None
    return plan.replayer.shown if plan.replayer.gor is not None else f"the built-in replayer {__version__}"


def _change(change: Change) -> str:
    """PORT is all that the launcher changes; values of others may be secret."""
    before = f" (was {change.before})" if change.before is not None else ""
    return f"{change.name}={change.after}{before}"


def _value(option: GorOption) -> str:
    return "" if option.shown == "true" else option.shown


def _time(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


def _size(value: int) -> str:
    for unit, exponent in (("GiB", 3), ("MiB", 2), ("KiB", 1)):
        if value >= 1024**exponent:
            return f"{value / 1024**exponent:.{exponent == 3:d}f} {unit}"
    return f"{value} B"
