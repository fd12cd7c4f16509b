"""`--dry-run --build` without COMMAND: what the launcher makes of the app's Procfile, told where the app is built."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from launcher.command_hints import hints
from launcher.gor.flags import is_output
from launcher.launcher_options import LauncherOptions
from launcher.log import log, printable
from launcher.options import Reading, UsageError, read
from launcher.plan import Plan, make_plan
from launcher.procfile import WORD, Use, unknown_variables, uses

_FILE = "Procfile"
_WEB = "web"
_WIDTH = 90


def review_procfile(environ: Mapping[str, str]) -> int:
    """Prints a few lines for each process that uses the word. 0, or 1 if one would not be mirrored."""
    try:
        text = Path(_FILE).read_bytes().decode()
    except FileNotFoundError:
        _say(f"There is no {_FILE} yet: put `web: {WORD} COMMAND...` into one")
        return 0
    except OSError as error:
        _say(f"problem: {_FILE} can't be read: {error.strerror}")
        return 1
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        _say(f"problem: {_FILE}:{line} is not UTF-8: save the file in that encoding")
        return 1
    found = list(uses(text, environ))
    if not found:
        _say(f"{_FILE} does not use the word yet: put `web: {WORD} COMMAND...` into it")
    return max([0, *(_review(use, environ) for use in found)])


def _review(use: Use, environ: Mapping[str, str]) -> int:
    unknown = unknown_variables(use.words)
    warnings = [*use.warnings, *(f"${name} is not set here: what depends on it is not checked" for name in unknown)]
    problems: list[str] = []
    try:
        # our own words stand first, so that what the line asks for is read as if it were started here
        reading = read(LauncherOptions, ["--dry-run", "--build", *use.words], environ)
    except UsageError as error:
        if not unknown:
            problems.append(f"{error}; the launcher would exit with 2, without starting the app")
    else:
        if use.process == _WEB or "port" in reading.given or not reading.command:
            plan = make_plan(reading, environ)
            log.hide(plan.secrets)
            warnings += [*plan.warnings, *hints(reading.command, plan.port)]
            problems += _problems(reading, plan)
            if not problems:
                _say(f"{use.process}: {_summary(plan)}")
        else:
            _say(f"{use.process}: would run as it is: a platform sends clients, and gives a PORT, to {_WEB} alone")
    for kind, texts in (("warning", warnings), ("problem", problems)):
        for text in texts:
            _say(f"{kind}: {_FILE}:{use.line}, {use.process}: {log.masked(text)}")
    return 1 if problems else 0


def _problems(reading: Reading[LauncherOptions], plan: Plan) -> Iterator[str]:
    ending = "the launcher would exit with 2" if plan.options.strict else "the app would run unmirrored"
    for problem in plan.problems:
        yield f"{problem}; {ending}"
    if not reading.command:
        yield "no COMMAND stands behind the word; the launcher would exit with 2"


def _summary(plan: Plan) -> str:
    if plan.replayer is None:
        return f"would run {plan.mode.value}: {plan.reason}"
    outputs = [option for option in plan.gor_options if is_output(option)]
    shown = [option.shown if option.name == "output-http" else f"--{option.name} {option.shown}" for option in outputs]
    to = log.masked(" and ".join(shown))
    return f"copies {plan.options.selected} to {to}, sent on by {plan.replayer.shown}"


def _say(text: str) -> None:
    """Prints a line; what it goes on with is indented, so that a build log can tell."""
    line = printable(text)
    print(textwrap.fill(line, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))
