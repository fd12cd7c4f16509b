"""The program: picks what to run, prints `Error: …`, returns the exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from launcher import __version__, itself
from launcher.app_command import stay
from launcher.environment import original_environ
from launcher.executable import CannotStart, execute
from launcher.launcher_options import LauncherOptions
from launcher.log import log
from launcher.options import Reading, UsageError, declared, help_text, read

if TYPE_CHECKING:
    from launcher.plan import Plan

PROGRAM = "start-traffic-duplicator"
_WRONG_USAGE = 2
_INTERRUPTED = 130
_DEFECT = 70  # EX_SOFTWARE of sysexits.h

_HELP_HEAD = f"""\
usage: {PROGRAM} [OPTIONS] [--] COMMAND [ARG...]

Starts COMMAND, a web app, behind a relay on $PORT, and sends a copy of every HTTP request elsewhere:
    web: {PROGRAM} --to http://staging.example.com bundle exec rails s -p $PORT
Options stand before COMMAND. An option beats its variable, which stands in brackets.
"""

_HELP_TAIL = f"""
  --replay GOR-OPTIONS...
      first and alone: be the built-in replayer; {PROGRAM} --replay --help tells more

Exit status: the app's own; 128+N if signal N ended it; 126 or 127 if it can't be started; 2 for wrong usage.\
"""


def main() -> int:
    """Runs what `sys.argv` asks for. The exit status."""
    _fill_standard_descriptors()
    try:
        return _run(sys.argv[1:])
    except UsageError as error:
        log.error(str(error))
        return _WRONG_USAGE
    except CannotStart as error:
        log.error(str(error))
        return error.status
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception:  # before the app is started, whoever called us can still run it by itself
        if not itself.app_was_started():
            raise
        from traceback import format_exc

        for line in format_exc().splitlines():
            log.tell(line)
        log.error(f"a defect of {PROGRAM} has ended it; please report what is above")
        return _DEFECT
    finally:
        log.close()


def _fill_standard_descriptors() -> None:
    """So that none of ours gets the number of a closed one, and with it the log's lines. The app finds them closed."""
    with suppress(OSError):
        while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(fd)
    for name, fd in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:  # Python found it closed
            stream = os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
            setattr(sys, name, stream)


def _run(argv: Sequence[str]) -> int:
    if argv[:1] == ["--replay"]:
        from launcher import replay  # another program: the launcher itself needs nothing of it

        return replay.main(argv[1:])
    environ = original_environ()
    reading = read(LauncherOptions, ["--help"] if argv[:1] == ["-h"] else argv, environ)
    options = reading.values
    if _starts_nothing(options):
        from launcher.printing import printed

        return printed(lambda: _answer(reading, environ))
    if not reading.command:
        raise UsageError(f"no COMMAND to start; usage: {PROGRAM} [OPTIONS] [--] COMMAND [ARG...]")
    from launcher.plan import Mode, make_plan  # not needed for the above

    plan = make_plan(reading, environ)
    log.hide(plan.secrets)
    log.is_quiet = options.quiet
    if plan.problems and options.strict:
        for problem in plan.problems:
            log.error(problem)
        return _WRONG_USAGE
    for warning in plan.warnings:
        log("configuration", level="warning", warning=warning)
    if plan.mode is not Mode.MIRROR:
        level = "warning" if plan.problems or plan.is_over else None
        log("unmirrored", level=level, reason=plan.reason, app=plan.mode.value)
    if plan.mode is Mode.ALONE:
        _become(plan.app.argv, plan.app.environ)
    if plan.app_socket is None and environ.get("LD_LIBRARY_PATH"):
        try:
            _import_native()
        except ImportError as error:
            _tell_damage(error, environ)
            _run_alone(plan, reading.command)
    return _run_behind_relay(plan, reading.command)


# ---- what starts nothing -------------------------------------------------------------------------------------------


def _starts_nothing(options: LauncherOptions) -> bool:
    return any(getattr(options, name) for name, option in declared(LauncherOptions).items() if option.starts_nothing)


def _answer(reading: Reading[LauncherOptions], environ: Mapping[str, str]) -> int:
    """Prints what is asked for. The exit status."""
    options = reading.values
    if options.help:
        print(_HELP_HEAD, help_text(LauncherOptions), _HELP_TAIL, sep="\n")
        return 0
    if options.version:
        print(PROGRAM, __version__)
        return 0
    if options.report or options.html or options.check:
        return _report(reading, environ)
    if options.status or options.control or options.watch or options.pid:
        return _operate(reading, environ)
    for name in ("build", "offline", "json"):
        if getattr(options, name) and not options.dry_run:
            raise UsageError(f"--{name} needs --dry-run{', --status or --report' if name == 'json' else ''} beside it")
    if options.build and not reading.command:
        if options.json:
            raise UsageError("--json has no form for the review of a Procfile, which --build without COMMAND is")
        from launcher.review import review_procfile

        return review_procfile(environ)
    from launcher.dry_run.text import print_plan
    from launcher.plan import make_plan

    plan = make_plan(reading, environ)
    log.hide(plan.secrets)
    return print_plan(plan, reading.command)


def _operate(reading: Reading[LauncherOptions], environ: Mapping[str, str]) -> int:
    """--status and --control, and what may stand beside them."""
    options = reading.values
    asked = options.status + (options.control is not None)
    if asked + options.dry_run > 1:
        raise UsageError("of --status, --control and --dry-run only one is possible at a time")
    if (options.watch or options.json) and not options.status:
        raise UsageError(f"--{'watch' if options.watch else 'json'} needs --status beside it")
    if not asked:
        raise UsageError("--pid needs --status, --control or --report beside it")
    if reading.command:
        raise UsageError(f"--{'status' if options.status else 'control'} starts nothing: leave COMMAND out")
    from launcher.control import operate

    wanted = operate.Wanted(options.pid, _port_asked_for(reading))
    if options.control is not None:
        return operate.control(options.control, wanted, environ)
    return operate.show_status(wanted, environ, as_json=options.json, again=options.watch)


def _report(reading: Reading[LauncherOptions], environ: Mapping[str, str]) -> int:
    """--report, and what may stand beside it."""
    options = reading.values
    if not options.report:
        raise UsageError("--html and --check go with --report")
    if options.status or options.control or options.watch or options.dry_run or reading.command:
        raise UsageError("--report stands alone, but for --json, --html, --check, --pid and --port")
    from launcher.control.operate import Wanted
    from launcher.report_command import show_report

    wanted = Wanted(options.pid, _port_asked_for(reading))
    return show_report(wanted, environ, as_json=options.json, html=options.html, check=options.check)


def _port_asked_for(reading: Reading[LauncherOptions]) -> int | None:
    """--port tells launchers apart; the variable PORT is the app's here, and says nothing of which is meant."""
    return reading.values.port if reading.given.get("port") == "option" else None


# ---- what starts the app -------------------------------------------------------------------------------------------


def _run_behind_relay(plan: Plan, command: Sequence[str]) -> int:
    """Starts the app, and only then imports what relays it: trio takes longer than all that was done so far."""
    from launcher.app_process import AppProcess
    from launcher.app_socket import folder_for

    with folder_for(plan.app_socket, is_chosen=plan.options.app_socket is not None):
        try:
            app = AppProcess(plan.app)
        except OSError as error:  # a limit of the user's: then the app is all that runs
            if plan.app_socket is not None:
                raise
            log("unmirrored", level="error", reason=f"no process can be started for the app: {error.strerror}")
            _run_alone(plan, command)
        itself.note_app_start()
        try:
            from launcher.trio_import import import_trio

            import_trio()
            from launcher import service

            return service.run(plan, app)
        except Exception as error:  # damaged: until it has clients, the app can have their port to itself
            if itself.app_has_clients() or plan.app_socket is not None:
                app.terminate()  # nobody else would end it
                raise
            _tell_damage(error, plan.environ)
            if (status := app.status()) is not None:
                return status  # a command that is quickly done is not done twice
            app.take_back()
            _run_alone(plan, command)


def _import_native() -> None:
    """What trio will import that brings libraries of the system: 4 ms, spent early where others may stand in for them.

    Raises ImportError: then the app need not be started twice.
    """
    from importlib import import_module

    with suppress(ModuleNotFoundError):  # a Python without one of them: whoever needs it will tell
        for name in ("_ssl", "_hashlib", "_ctypes"):
            import_module(name)


def _tell_damage(error: Exception, environ: Mapping[str, str]) -> None:
    reason, hint = f"{PROGRAM} is damaged: {_innermost(error)!r}", "deploy it anew, or report this"
    if isinstance(error, ImportError) and ".so" in str(error):
        reason, hint = f"{PROGRAM} can't load a library: {error}", "deploy the app anew"
        if environ.get("LD_LIBRARY_PATH"):
            hint = "LD_LIBRARY_PATH is set: what is there is no such library, or another release of it"
    log("unmirrored", level="error", reason=reason, hint=hint)


def _run_alone(plan: Plan, command: Sequence[str]) -> NoReturn:
    alone = stay(command, plan.environ, port=plan.port)
    _become(alone.argv, alone.environ)


def _innermost(error: Exception) -> Exception:
    """What is in trio's groups of one."""
    parts: Sequence[Exception]
    while len(parts := getattr(error, "exceptions", [])) == 1:
        error = parts[0]
    return error


def _become(argv: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    log.close()
    itself.note_app_start()
    execute(argv, environ)
