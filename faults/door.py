"""Somebody who comes time and again while an app ends: is there a moment in which only the launcher refuses him?

The app refuses clients once it has closed its listener; the launcher must not do so before. Whether it does can't be
told from how many are refused: those who have a connection don't come again before their last answer.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from faults.scenario import Run
from tests.system.launched import PATIENCE_SECONDS

_EACH_SECONDS = 0.005


@contextmanager
def knocked_at(run: Run) -> Iterator[None]:
    """Raises AssertionError at the end if the app still accepted when the launcher did not."""
    ended = threading.Event()
    early: list[str] = []
    knocker = threading.Thread(target=_knock, args=(run, ended, early), daemon=True)
    knocker.start()
    try:
        yield
    finally:
        ended.set()
        knocker.join(PATIENCE_SECONDS)
    assert not early, early[0]


def _knock(run: Run, ended: threading.Event, early: list[str]) -> None:
    """Until he is refused, as he must be: a listener does not come back."""
    app = run.launched.facts("listening")[0]["app"] if run.place.is_mirrored else ""
    while not ended.wait(_EACH_SECONDS):
        if _is_refused("127.0.0.1", run.port):
            host, _, port = app.rpartition(":")
            if app and not _is_refused(host, int(port)):
                early.append("clients were refused while the app still accepted")
            return


def _is_refused(host: str, port: int) -> bool:
    """A connection that is reset was accepted before."""
    with suppress(ConnectionResetError):
        try:
            socket.create_connection((host, port), PATIENCE_SECONDS).close()
        except ConnectionRefusedError:
            return True
    return False
