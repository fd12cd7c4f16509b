"""Destinations that go wrong, behind the built-in replayer: programs/destination.py in a mode, or none at all."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from faults.scenario import Place, Run, Scenario, Seen, Setup, python
from tests.system import accounts
from tests.system.machine import free_port


def destination(place: Place, *words: str, prefix: Sequence[str] = (), scheme: str = "http") -> str:
    """The URL of one that runs until the half's end; none is started for the unmirrored half."""
    if not place.is_mirrored:
        return f"{scheme}://127.0.0.1:9"
    process = subprocess.Popen([*prefix, *python("destination.py", *words)], stdout=subprocess.PIPE, text=True)
    place.stack.callback(process.communicate)
    place.stack.callback(process.kill)
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    assert port, "the destination has not started"
    return f"{scheme}://127.0.0.1:{port}"


class BadDestination(Scenario):
    """The built-in replayer, with one destination in a mode."""

    group = "Destination"
    mode: tuple[str, ...] = ()
    outcomes: frozenset[str] = frozenset()  # all that may become of its copies

    def prepare(self, place: Place) -> Setup:
        self.url = self.new_url(place)
        return Setup(options=["--to", self.url])

    def new_url(self, place: Place) -> str:
        return destination(place, *self.mode)

    def judge(self, run: Run, seen: Seen) -> None:
        if not run.place.is_mirrored:
            return
        told = accounts.outcomes(run.launched, self.url)
        others = told.keys() - self.outcomes - {"received"}
        assert told["received"], "the replayer has got nothing"
        assert not others, f"its copies ended as {told}"


class Hangs(BadDestination):
    name = "destination-hangs"
    says = "takes requests and never answers"
    mode = ("hang",)
    outcomes = frozenset({"timeout", "queue_full", "unsent"})


class DeafDestination(BadDestination):
    name = "destination-deaf"
    says = "accepts connections and never reads"
    mode = ("deaf",)
    outcomes = frozenset({"timeout", "queue_full", "unsent"})


class Refuses(BadDestination):
    name = "destination-refuses"
    says = "refuses connections"
    outcomes = frozenset({"refused", "unsent"})

    def new_url(self, place: Place) -> str:
        return f"http://127.0.0.1:{free_port()}"
