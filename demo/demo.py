#!/usr/bin/env python3
"""Shows what the launcher does: puts an app behind it, sends traffic, and gives an account of every copy.

COMMAND is your own app in place of the demo's. With GOR=path in the environment, that gor replays the copies instead
of the built-in replayer. Exit status 0 only if every request and every copy is where it should be.
"""

# ruff: noqa: E402

from __future__ import annotations

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # while the rest is imported nothing has started: just end

import argparse
import io
import os
import shlex
import shutil
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

from compare import compare
from destination import Copy, Destination
from launched import DemoError, Launched, wait_until
from traffic import VARIED, VISITS, Exchange, send

COPIES_SECONDS = 10


def main(argv: list[str]) -> int:
    end_of_ours = argv.index("--") if "--" in argv else len(argv)
    parser = argparse.ArgumentParser(usage="demo.py FILE [--keep | --compare] [-- COMMAND...]", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="the launcher, as python3 build.py makes it")
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C, with addresses to try")
    parser.add_argument("--compare", action="store_true", help="compare two versions of a small shop instead")
    arguments = parser.parse_args(argv[:end_of_ours])
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)  # each ends everything in order, as KeyboardInterrupt
        if arguments.compare:
            return compare(arguments.file.resolve())
        return demonstrate(arguments.file.resolve(), argv[end_of_ours + 1 :], arguments.keep)
    except KeyboardInterrupt:
        print("\nInterrupted: all that was started has been ended.")
        return 130
    except BrokenPipeError:  # nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (DemoError, OSError) as error:  # OSError: no loopback, no room for a temporary file...
        print(f"Error: {error}", file=sys.stderr)
        return 1


def demonstrate(file: Path, command: list[str], keep: bool) -> int:
    """Shows it all. The exit status. Raises DemoError."""
    destination = Destination()
    gor = os.environ.get("GOR")
    replayer = os.path.abspath(shutil.which(gor) or gor) if gor else "builtin"
    app = command or [sys.executable, str(Path(__file__).with_name("app.py"))]
    with Launched() as launched:
        started_at = time.monotonic()
        launched.start(file, ["--to", f"http://{destination.address}", "--replayer", replayer], app)
        print_scene(launched.port, command, gor or "the built-in replayer", destination.address)
        launched.wait_until_it_listens()
        ready_at = time.monotonic()
        exchanges = list(send(VISITS if command else VARIED, launched.port))
        answered_at = time.monotonic()
        copies = sum(exchange.request.is_copied for exchange in exchanges)
        wait_until(lambda: len(destination.arrivals) >= copies, COPIES_SECONDS)
        copied_at = time.monotonic()
        problems = print_exchanges(exchanges, destination.arrivals)
        if keep:
            wait_for_ctrl_c(launched, destination)
        if not launched.stop():
            problems.append("The app did not end when it was asked to, so all was killed, the launcher's account too.")
        problems += print_counters(launched, len(destination.arrivals), None if keep else len(exchanges), bool(gor))
        print(f"\n   {ready_at - started_at:.1f} s until the app listened, {answered_at - ready_at:.2f} s for the"
              f" requests, {copied_at - answered_at:.2f} s for the copies")  # fmt: skip
        if problems:
            print("\nIt does not balance:", *problems, "\nThe log:", launched.log_text(), sep="\n")
            return 1
    print(f"\nAll {len(exchanges)} requests reached the app, all {copies} copies reached the destination.")
    if uncopied := len(exchanges) - copies:
        print(f"({uncopied} WebSocket upgrade is not copied.)")
    return 0


def print_scene(port: int, command: Sequence[str], replayer: str, destination: str) -> None:
    app = textwrap.shorten(shlex.join(command) or "demo/app.py", 33, placeholder="...")
    print(f"""
   requests --> launcher, 127.0.0.1:{port} --> {app}
                   |
                   +-- {Path(replayer).name} --> destination, {destination}
""")


def print_exchanges(exchanges: Sequence[Exchange], arrivals: Sequence[Copy]) -> list[str]:
    """A line for each request: the app's answer, and what came to the destination. What is wrong, in words."""
    problems = []
    unclaimed = list(arrivals)
    print(f"   {'request':<39}{'the app':<23}the destination")
    for exchange in exchanges:
        request = exchange.request
        has_arrived = request.copy in unclaimed
        if has_arrived:
            unclaimed.remove(request.copy)
        if not exchange.is_right:
            problems.append(f"The app's answer to {request} is wrong: {exchange.answer}")
        if has_arrived != request.is_copied:
            problems.append(f"{'No' if request.is_copied else 'A'} copy of {request} arrived.")
        answer = exchange.answer if exchange.is_right else "wrong: see below"
        got = "1 copy, intact" if has_arrived else "no copy" if request.is_copied else "not copied"
        print_line(exchange.is_right and has_arrived == request.is_copied, f"{request!s:<39}{answer:<23}{got}")
    return problems + [f"A copy arrived that nobody sent: {' '.join(copy)}" for copy in unclaimed]


def print_counters(launched: Launched, arrivals: int, sent: int | None, by_gor: bool) -> list[str]:
    """The log's last lines against what was counted here. What is wrong, in words.

    `sent` is None if others may have sent requests, too.
    """
    facts = launched.facts()
    problems = []
    print(f"\n   {'counter':<39}{'the launcher':<23}counted here")
    for meaning, at, name, counted in (
        ("requests seen", "end", "seen", sent),
        ("given to the replayer", "end", "offered", arrivals),
        ("not copied: WebSocket upgrades", "end", "skipped_upgrade", None if sent is None else sent - arrivals),
        ("taken by the replayer", "feed", "taken", arrivals),
        ("answered 2xx by the destination", "output", "2xx", arrivals),
        ("every request is accounted for", "balance", "balanced", "true"),
    ):
        if by_gor and at == "output":
            continue  # a gor keeps no account
        told = facts.get(at, {}).get(name, "0" if at in facts else "nothing")
        is_well = counted is None or told == str(counted)
        print_line(is_well, f"{meaning:<39}{told:<23}{'' if counted is None else counted}".rstrip())
        if not is_well:
            problems.append(f"The log says at={at} {name}={told}; it should be {counted}.")
    return problems


def print_line(is_well: bool, text: str) -> None:
    mark = "ok" if is_well else "!!"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        mark = f"\33[{32 if is_well else 31}m{mark}\33[0m"
    print(f"{mark} {text}")


def wait_for_ctrl_c(launched: Launched, destination: Destination) -> None:
    """Returns at Ctrl-C, or when the app has ended."""
    print(f"""
   It keeps running until Ctrl-C. Try:
      curl -i http://127.0.0.1:{launched.port}/hello  the app, through the launcher
      curl http://{destination.address}           what has arrived at the destination
      tail -f {launched.log.name}
""")
    try:
        while launched.is_running():
            time.sleep(0.1)
        print("   The app has ended.")
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
