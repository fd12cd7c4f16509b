"""What the demo tells a person, for 80 columns. Each part returns what is wrong in it, in words."""

from __future__ import annotations

import os
import shlex
import sys
import textwrap
from collections.abc import Mapping, Sequence

from destination import Copy
from traffic import Exchange

WIDTH = 80
TAP_LOSSES = "skipped_sample skipped_loop dropped_large dropped_buffer incomplete failed unframed".split()
FEED_LOSSES = "dropped_full dropped_shutdown lost".split()
HAS_COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def print_scene(port: int, command: Sequence[str], destination_port: int, replayer: str) -> None:
    app = textwrap.shorten(shlex.join(command) or "demo/app.py", 34, placeholder="...")
    print(f"""
client --> launcher, 127.0.0.1:{port} --> app: {app}
                 |
                 +-- copies, by the {replayer} replayer --> destination, 127.0.0.1:{destination_port}
""")


def print_exchanges(exchanges: Sequence[Exchange], arrivals: Sequence[Copy]) -> list[str]:
    """A line for each request: what the app answered, and what came to the destination of it."""
    problems = []
    unclaimed = list(arrivals)
    print(f"   {'request':<38} {'app':<22} {'destination':<16}".rstrip())
    for exchange in exchanges:
        request, copy = exchange.request, exchange.request.copy
        has_arrived = copy in unclaimed
        if has_arrived:
            unclaimed.remove(copy)
        if not exchange.is_right:
            problems.append(f"The app's answer to {request} was wrong: {exchange.answer}")
        if request.is_copied and not has_arrived:
            problems.append(f"No copy of {request} arrived.")
        is_well = exchange.is_right and has_arrived == request.is_copied
        answer = exchange.answer if exchange.is_right else "wrong: see below"
        arrived = "1 copy, intact" if has_arrived else "no copy" if request.is_copied else "not copied"
        print(f"{mark(is_well)} {request!s:<38} {answer:<22} {arrived}")
    problems += [f"An unexpected copy arrived: {copy.method} {copy.target}" for copy in unclaimed]
    return problems


def print_counters(
    facts: Mapping[str, Mapping[str, str]], arrivals: int, own: tuple[int, int] | None
) -> list[str]:
    """What the launcher's log said at its end. `own`: requests and copies of ours, if there were no others."""
    end, feed, output = (facts.get(f"at={name}", {}) for name in ("end", "feed", "output"))
    requests, copies = own or (None, None)
    rows = [
        ("requests that the launcher saw", end.get("seen"), requests),
        ("offered to the replayer", end.get("offered"), copies),
        ("not copied: a WebSocket", end.get("skipped_upgrade"), None if own is None else own[0] - own[1]),
        ("not copied: other reasons", total(end, TAP_LOSSES), None if own is None else 0),
        ("taken by the replayer", feed.get("taken"), copies),
        ("dropped or lost on the way", total(feed, FEED_LOSSES), None if own is None else 0),
        ("answered 2xx, by the replayer's account", output.get("2xx"), arrivals)
    ]
