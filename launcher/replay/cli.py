"""The replayer's command line, as the launcher starts it (`--launcher-pipe FD`) and as people do.

Under the launcher SIGTERM, SIGINT and SIGHUP are ignored from the first moment to the last: Heroku sends SIGTERM to
every process of a dyno, and what the launcher has handed over is to be sent all the same. The end of standard input
ends the replayer. Exit status: 0 after the drain, 1 if the launcher's bytes made no sense, an input can't start, or a
defect has ended it, 2 for wrong words or options, 130 after a second SIGINT.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from launcher import options as o
from launcher.log import log
from launcher.options import ConfigurationError, UsageError

if TYPE_CHECKING:
    from launcher.comparison.checks import Check
    from launcher.gor.flags import GorOption, Word
    from launcher.replay.by_hand import HandSettings
    from launcher.replay_protocol import ComparisonSettings

_MAX_QUEUE_MEMORY = 128 * 1024**2
_LEAST_QUEUE_BYTES = 1024**2
OWN_OPTIONS = ("stats-interval", "queue-memory")  # beside gor's words
COMPARISON_OPTIONS = ("ignore", "keep-bodies", "report-file", "check")  # where destinations have roles

T = TypeVar("T")


def main(argv: Sequence[str]) -> int:
    """The program, given the words after `--replay`; the exit status."""
    from launcher.replay.inputs import InputError

    try:
        if {"--help", "-help", "-h"} & set(argv):
            from launcher.printing import printed

            return printed(_print_help)
        if argv[:1] == ["--launcher-pipe"]:
            return _replay(_launcher_pipe(argv))
        return _replay_by_hand(argv)
    except (UsageError, ConfigurationError) as error:
        return _refuse(error, 2)
    except InputError as error:
        return _refuse(error, 1)
    finally:
        log.close()


def _print_help() -> int:
    from launcher.replay.help import help_text

    print(help_text(), end="")
    return 0


def _refuse(error: Exception, status: int) -> int:
    log.error(str(error))
    return status


def _launcher_pipe(argv: Sequence[str]) -> int:
    if len(argv) != 2:
        raise UsageError("--launcher-pipe FD stands alone: it is how the launcher starts its replayer")
    try:
        fd = int(argv[1])
        os.fstat(fd)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"--launcher-pipe must be the number of an open descriptor, not {argv[1]!r}") from None
    return fd


def _replay(account_fd: int) -> int:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    from launcher.trio_import import import_trio

    import_trio()  # slow: the signals are to be ignored before
    import trio

    from launcher.replay.pipeline import run_under_launcher

    return trio.run(run_under_launcher, account_fd)


# ---- by hand -------------------------------------------------------------------------------------------------------


def _replay_by_hand(argv: Sequence[str]) -> int:
    settings = _hand_settings(argv)
    from launcher.trio_import import import_trio

    import_trio()
    import trio

    from launcher.replay.by_hand import run_by_hand

    return trio.run(run_by_hand, settings)


def _hand_settings(argv: Sequence[str]) -> HandSettings:
    """Checks all words, and says what is to be warned of. Raises UsageError and ConfigurationError."""
    from launcher.gor.flags import FLAGS, Word, is_output, parse_flags
    from launcher.replay.by_hand import INPUTS, HandSettings
    from launcher.replay.only_gors import REFUSED

    own, lists, words = _own_words([Word(text, text, f"argument {n}") for n, text in enumerate(argv, start=1)])
    queue_memory = _converted(own, "queue-memory", o.size, _default_queue_memory())
    options, warnings = parse_flags(words, REFUSED)
    log.hide((secret, "***") for option in options for secret in option.secrets)
    for option in options:
        if not FLAGS[option.name].builtin or option.value.startswith("s3://"):
            release = ".".join(map(str, FLAGS[option.name].since))
            raise ConfigurationError(
                f"{option.where}: the built-in replayer does not have --{option.name} ({option.shown}): "
                f"use a real gor ({release} or later)"
            )
    for warning in warnings:
        log("configuration", level="warning", warning=warning)
    outputs = sum(map(is_output, options))
    has_middleware = any(option.name == "middleware" and option.value for option in options)
    if not any(option.name in INPUTS for option in options):
        raise UsageError("there is no input: use --input-http :8081 or another; --help lists them all")
    if not outputs:
        raise UsageError("there is no output: use --output-http URL, --to URL or another; --help lists them all")
    comparison, checks = _comparison(options, lists)
    return HandSettings(
        options=options,
        comparison=comparison,
        report_file=own.get("report-file", ""),
        checks=checks,
        queue_bytes=max(queue_memory // (outputs + has_middleware + bool(comparison)), _LEAST_QUEUE_BYTES),
        stats_interval=_converted(own, "stats-interval", o.seconds, None),
    )


def _comparison(
    options: Sequence[GorOption], lists: Mapping[str, Sequence[str]]
) -> tuple[ComparisonSettings | None, Sequence[Check]]:
    """What the roles before destinations ask for, and what is to be checked at the end."""
    from launcher.roles import output_roles, role_problems, role_warnings

    for problem in role_problems(options):
        raise UsageError(problem)
    for warning in role_warnings(options):
        log("configuration", level="warning", warning=warning)
    if not (roles := output_roles(options)):
        if given := next(iter(lists), None):
            raise UsageError(f"--{given} is for comparisons: name destinations, --to candidate=URL --to baseline=URL")
        return None, ()
    from launcher.comparison.checks import parse_checks
    from launcher.replay_protocol import ComparisonSettings

    last = {name: values[-1] for name, values in lists.items()}
    ignored = tuple(_converted({"ignore": word}, "ignore", o.ignorable, "") for word in lists.get("ignore", ()))
    keep_bodies = _converted(last, "keep-bodies", o.count, 0)
    none: tuple[Check, ...] = ()
    checks = [
        check for text in lists.get("check", ()) for check in _converted({"check": text}, "check", parse_checks, none)
    ]
    with_recorded = any(option.name == "input-file" for option in options)
    return (
        ComparisonSettings(roles=roles, ignored=ignored, keep_bodies=keep_bodies, with_recorded=with_recorded), checks
    )


def _own_words(words: Sequence[Word]) -> tuple[dict[str, str], dict[str, list[str]], list[Word]]:
    """The values of our own options, by name, those of comparisons as lists, and gor's words."""
    own: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    rest: list[Word] = []
    waiting = iter(words)
    for word in waiting:
        name, equals, value = word.value.lstrip("-").partition("=")
        if not word.value.startswith("-") or name not in (*OWN_OPTIONS, *COMPARISON_OPTIONS):
            rest.append(word)
            continue
        if not equals:
            following = next(waiting, None)
            if following is None:
                raise UsageError(f"{word.where}: --{name} needs a value")
            value = following.value
        own[name] = value
        if name in COMPARISON_OPTIONS:
            lists.setdefault(name, []).append(value)
    return own, lists, rest


def _converted(own: Mapping[str, str], name: str, parse: Callable[[str], T], default: T) -> T:
    try:
        return parse(own[name]) if name in own else default
    except ValueError as error:
        raise UsageError(f"--{name} must be {error}") from None


def _default_queue_memory() -> int:
    from launcher import memory

    return min(_MAX_QUEUE_MEMORY, memory.limit_bytes() // 8)
