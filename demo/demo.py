#!/usr/bin/env python3
"""Shows what the launcher does: it puts an app behind it, sends traffic, and gives an account of every copy.

    python3 demo/demo.py FILE [--keep] [-- COMMAND...]

FILE is the launcher as build.py makes it. COMMAND is your own app instead of demo/app.py; it finds its port in PORT.
GOR=path in the environment lets that gor replay the copies instead of the built-in replayer.
Exit status 0 only if every request and every copy is where it should be.
"""

from __future__ import annotations

import argparse
import io
import os
import shlex
import shutil
import signal
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from destination import Copy, Destination
from launched import DemoError, Launched
from traffic import VARIED, VISITS, Exchange, send

COPIES_SECONDS = 10


def main(argv: list[str]) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # so that they, too, end everything in order
    try:
        file, keep, command = read_arguments(argv)
        return demonstrate(file, keep, command)
    except DemoError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Everything that was started has been ended.")
        return 130
    except BrokenPipeError:  # nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


def read_arguments(argv: list[str]) -> tuple[Path, bool, list[str]]:
    place = argv.index("--") if "--" in argv else len(argv)
    parser = argparse.ArgumentParser(prog="demo.py", usage="demo.py FILE [--keep] [-- COMMAND...]")
    parser.add_argument("file", type=Path, metavar="FILE", help="the launcher, as build.py makes it")
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C, with addresses to try")
    arguments = parser.parse_args(argv[:place])
    return arguments.file.resolve(), arguments.keep, argv[place + 1 :]


def demonstrate(file: Path, keep: bool, command: list[str]) -> int:
    started_at = time.monotonic()
    gor = os.environ.get("GOR")
    replayer = os.path.abspath(shutil.which(gor) or gor) if gor else "builtin"
    requests = VISITS if command else VARIED
    app = command or [sys.executable, str(Path(__file__).with_name("app.py"))]
    with Destination() as destination:
        address = f"http://127.0.0.1:{destination.port}"
        with Launched(file, app, address, replayer) as launched:
            print_scene(launched.port, shlex.join(command) or "demo/app.py", destination.port, gor or "built-in")
            launched.wait_until_it_listens()
            ready_at = time.monotonic()
            exchanges = list(send(requests, launched.port))
            answered_at = time.monotonic()
            copies = [exchange.request.copy for exchange in exchanges if exchange.request.is_copied]
            destination.wait_for(len(copies), COPIES_SECONDS)
            problems = print_exchanges(exchanges, destination.arrivals)
            if keep:
                wait_for_ctrl_c(launched, address)
            launched.stop()
            expected = None if keep else len(exchanges)
