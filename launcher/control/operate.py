"""`--status`, `--status --watch`, `--control`: finds the launcher that is meant, asks it, prints what it says.

Exit status 0; 1 if no launcher is found, several are and none is chosen, or it does not answer; one line says what to
do. Standard output has the figures alone.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.control.client import Gone, Launcher, NoAnswer, find_launchers
from launcher.control.watch import watch
from launcher.control.words import Change
from launcher.log import log
from launcher.printing import has_colour, is_read
from launcher.status import Line, duration, escaped, rendered, status_lines

_FIGURES_VERSION = 1  # of snapshot.py; tests hold the two together, for that one needs trio


class CannotOperate(Exception):
    """Why there is nothing to show. The text says what to do."""


@dataclass(frozen=True)
class Wanted:
    """Which launcher; None: the only one."""

    pid: int | None = None
    port: int | None = None


def show_status(wanted: Wanted, environ: Mapping[str, str], *, as_json: bool, again: bool) -> int:
    """Prints the figures, as JSON one line each time."""

    def show() -> None:
        launcher = choose(wanted, environ)
        if as_json:
            _repeat(lambda: print(json.dumps(_figures(launcher)), flush=True), again=again)
        elif again:
            watch(lambda: _lines(launcher), colour=has_colour(sys.stdout, environ))
        else:
            for line in _lines(launcher):
                print(rendered(line, colour=has_colour(sys.stdout, environ)))

    return told(show)


def control(change: Change, wanted: Wanted, environ: Mapping[str, str]) -> int:
    """Changes what is copied, and says what it was before."""

    def ask() -> None:
        launcher = choose(wanted, environ)
        answer = launcher.ask("POST", "/control", str(change).encode())
        reason = f" ({answer['reason']})" if answer["reason"] else ""
        whose = f"pid {launcher.pid}: " if launcher.pid else ""  # the only one is taken unasked: it is told which
        print(escaped(f"{whose}{answer['change']} (was: {answer['was']}); state: {answer['state']}{reason}"))

    return told(ask)


def told(action: Callable[[], int | None]) -> int:
    """Does it; its exit status, 0 if it says none, or 1 and a line on standard error if it can't be done."""
    try:
        return action() or 0
    except (CannotOperate, NoAnswer) as error:
        first, *others = str(error).split("\n")
        log.error(first)
        for line in others:
            log.tell(line)
        return 1
    except (KeyError, TypeError, ValueError, AttributeError):
        log.error("the launcher that runs speaks of other figures: ask it with its own release")
        return 1


def _repeat(action: Callable[[], None], *, again: bool) -> None:
    import time

    try:
        action()
        while again and is_read():
            time.sleep(1)
            action()
    except KeyboardInterrupt:
        return


def _figures(launcher: Launcher) -> dict[str, Any]:
    try:
        figures = launcher.figures()
    except Gone:
        raise CannotOperate(f"the launcher with pid {launcher.pid} has ended") from None
    except NoAnswer as error:
        raise CannotOperate(f"the launcher with pid {launcher.pid} does not answer: {error}") from None
    if figures.get("schema_version") != _FIGURES_VERSION:
        raise ValueError("figures of another version")
    return figures


def _lines(launcher: Launcher) -> list[Line]:
    return status_lines(_figures(launcher))


# ---- which launcher ------------------------------------------------------------------------------------------------


def choose(wanted: Wanted, environ: Mapping[str, str]) -> Launcher:
    """The launcher that is meant. Raises CannotOperate."""
    found = find_launchers(environ)
    if not found:
        raise CannotOperate(_nothing_found())
    fitting = [each for each in found if wanted.pid in (None, each.pid)]
    if wanted.port is not None or len(fitting) != 1:
        known = [(each, _briefly(each)) for each in fitting]
        fitting = [each for each, (port, _) in known if wanted.port in (None, port)]
        if len(fitting) != 1:
            every = known if fitting else [(each, _briefly(each)) for each in found]
            raise CannotOperate(_which_one(wanted, [text for _, (_, text) in every]))
    return fitting[0]


def _briefly(launcher: Launcher) -> tuple[int | None, str]:
    """Its port and what tells it apart."""
    user = "" if launcher.uid == os.geteuid() else f" of user {launcher.uid}"
    try:
        figures = launcher.figures()
        port, program = int(figures["launcher"]["port"]), str(figures["app"]["program"])
        up = duration(float(figures["launcher"]["uptime_seconds"]))
    except (NoAnswer, KeyError, TypeError, ValueError):
        return None, f"pid {launcher.pid}{user}, which does not answer"
    return port, f"pid {launcher.pid}{user}, port {port}, {program}, up {up}"


def _which_one(wanted: Wanted, known: Sequence[str]) -> str:
    if wanted == Wanted():
        head = f"{len(known)} launchers run; say which one with --pid or --port:"
    else:
        words = [f"--{name} {value}" for name, value in (("pid", wanted.pid), ("port", wanted.port)) if value]
        head = f"no launcher fits {' '.join(words)}; there are:" if known else "no launcher runs"
    return head + "".join(f"\n  {text}" for text in known)


def _nothing_found() -> str:
    who = "" if os.geteuid() == 0 else f" that user {os.geteuid()} may ask: try as the app's user, or as root"
    return (
        f"found no running launcher{who or ' here'}. It must be asked on the same machine, in the same container "
        "(heroku ps:exec, docker exec); an app that runs unmirrored, by itself, has none: its log says why"
    )
