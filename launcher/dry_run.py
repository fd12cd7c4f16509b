"""`--dry-run`: the checked plan, for people. Starts nothing."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence

from launcher import addresses
from launcher.command_hints import hints
from launcher.executable import CannotStart, find_executable
from launcher.log import log
from launcher.options import format_size, rough_size
from launcher.plan import Mode, Plan

_LABEL_WIDTH = 14
_WIDTH = 80


def print_plan(plan: Plan, command: Sequence[str]) -> int:
    """Prints the plan for `command`, as it was given. 0 if all is fine, 1 if there is a problem."""
    problems = [*plan.problems, *_command_problems(plan)]
    for label, text in _lines(plan):
        print(_paragraph(label, log.masked(text)))
    for warning in (*plan.warnings, *hints(command, plan.port)):
        print(_paragraph("warning", log.masked(warning)))
    for number, problem in enumerate(problems, 1):
        print(_paragraph(f"problem {number}", log.masked(problem)))
    print(_paragraph("result", _result(plan, problems)))
    return 1 if problems else 0


def _lines(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "the app runs", plan.mode.value
    if plan.reason and not plan.problems:
        yield "because", plan.reason
    if plan.mode is not Mode.ALONE:
        yield "clients", f"connect to {_host_port(plan.host, plan.port)}, once the app accepts connections"
        yield "the app", f"listens on {plan.app_socket or f'127.0.0.1:{plan.app_port} or [::1]:{plan.app_port}'}"
    yield "command", shlex.join(plan.app.argv) or "none given"
    if plan.port is not None:
        yield "environment", f"PORT={plan.app.environ['PORT']}, all else as it is"
    if plan.mode is Mode.MIRROR:
        yield from _mirror_lines(plan)


def _mirror_lines(plan: Plan) -> Iterator[tuple[str, str]]:
    assert plan.replayer is not None
    yield "replayer", f"{plan.replayer.shown}, because {plan.replayer.reason}"
    for option in plan.gor_options:
        label = "destination" if option.name == "output-http" else "gor option"
        text = option.shown if option.name == "output-http" else f"--{option.name} {option.shown}"
        yield label, f"{text} ({option.where})"
    options = plan.options
    yield "copies", (
        f"{options.sample:g} % of the requests, up to {format_size(plan.max_request)} each"
        + (f", without {', '.join(options.drop_header)}" if options.drop_header else "")
    )
    yield "memory", (
        f"at most {format_size(options.buffer)} of copies in the launcher, "
        f"{rough_size(plan.replayer_memory)} in the replayers"
    )
    if plan.app_socket is None and not any(map(addresses.private_address, addresses.FAMILIES)):
        yield "warning", (
            "this machine has no private address of its own, so the relay connects to the app from loopback: what the "
            "app keeps for local callers (allow 127.0.0.1, debug consoles) is open to every client"
        )


def _command_problems(plan: Plan) -> Iterator[str]:
    if not plan.app.argv or plan.options.build:
        return
    try:
        find_executable(plan.app.argv, plan.app.environ)
    except CannotStart as error:
        yield f"the command can't be started (status {error.status}): {error}"


def _result(plan: Plan, problems: list[str]) -> str:
    if not problems:
        return "fine; nothing was started"
    ending = "would exit with 2, because of --strict" if plan.options.strict else "would run the app unmirrored"
    return f"the launcher {ending}; nothing was started" if plan.problems else "the app would not start"


def _host_port(host: str, port: int | None) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _paragraph(label: str, text: str) -> str:
    indent = " " * _LABEL_WIDTH
    lines = textwrap.wrap(text, _WIDTH - _LABEL_WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
    return f"{label:<{_LABEL_WIDTH}}" + f"\n{indent}".join(lines)
