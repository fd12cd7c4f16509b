"""What the control socket answers: one row of the table a route.

A handler is a plain call that only reads what is there, or sets a live control: it runs between two batches of the
relay, so it takes a millisecond or two, not more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from launcher.control.request import Answer, ControlRequest
from launcher.control.socket_file import Peer
from launcher.control.words import Change, parse_change
from launcher.controls import Controls
from launcher.log import log
from launcher.snapshot import Snapshot


@dataclass(frozen=True)
class Asked:
    """A request, and who made it, where the system tells."""

    request: ControlRequest
    by: Peer | None


Handler = Callable[[Asked], Answer]
Routes = Mapping[tuple[str, str], Handler]  # by method and path


def new_routes(snapshot: Snapshot) -> Routes:
    """All routes of one launcher."""
    return {
        ("GET", "/status"): lambda _: json_answer(snapshot.take()),
        ("GET", "/report"): lambda _: _report(snapshot),
        ("POST", "/control"): partial(_control, snapshot),
        **metrics_routes(snapshot),
    }


def metrics_routes(snapshot: Snapshot) -> Routes:
    """What may be read by whoever reaches the metrics' port."""
    return {("GET", "/metrics"): lambda _: _metrics(snapshot)}


def _metrics(snapshot: Snapshot) -> Answer:
    from launcher import prometheus  # few ask for it

    return Answer(200, prometheus.render(snapshot.take()).encode(), prometheus.CONTENT_TYPE)


def json_answer(value: Any) -> Answer:
    """For a value of plain dicts, lists, texts and numbers."""
    return Answer(200, json.dumps(value).encode("ascii") + b"\n", "application/json")


def refusal(status: int, reason: str) -> Answer:
    """Why not, as a line of text."""
    return Answer(status, f"{reason}\n".encode(errors="backslashreplace"))


def _report(snapshot: Snapshot) -> Answer:
    """What the replayer has said of the comparison last, as it said it: it may be long, and is not read here."""
    told = snapshot.compared()
    if told is None:
        return refusal(409, "nothing is compared, or not yet: destinations need names, candidate=URL baseline=URL")
    return Answer(200, told.encode("ascii") + b"\n", "application/json")


def _control(snapshot: Snapshot, asked: Asked) -> Answer:
    """Changes a live control: the body is what stands behind --control."""
    try:
        change = parse_change(asked.request.body.decode())
    except ValueError as error:
        return refusal(400, f"the body must be {error}")
    if not snapshot.mirrors:
        return refusal(409, "this launcher copies nothing, so there is nothing to control: --status says why")
    was = _apply(change, snapshot.controls)
    log("control", change=change, was=was, pid=asked.by and asked.by.pid, uid=asked.by and asked.by.uid)
    figures = snapshot.take()
    return json_answer({
        "change": str(change), "was": str(was), "state": figures["state"], "reason": figures["reason"],
        "controls": figures["controls"],
    })  # fmt: skip


def _apply(change: Change, controls: Controls) -> Change:
    """Changes the live value. What would change it back."""
    if change.what == "sample":
        was = Change("sample", controls.sample_percent)
        assert change.value is not None, "a sample has a percentage"
        controls.sample_percent = change.value
    elif change.what == "rate":
        was = Change("rate", controls.rate_per_second)
        controls.rate_per_second = change.value
    else:
        was = Change("on" if controls.is_on else "off")
        controls.turn(on=change.what == "on")
    return was
