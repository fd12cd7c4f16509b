"""What this process knows of itself: how to run the program once more, and whether it has started the app.

Whoever calls `launcher.cli.main` may run the app by itself if that raises; but only while nobody has started it. The
launcher itself may do so until clients have reached it.
"""

from __future__ import annotations

import sys
from pathlib import Path

_app_was_started = False
_app_has_clients = False


def app_was_started() -> bool:
    """Whether the app's process exists, or has; from then on nothing may start it again."""
    return _app_was_started


def note_app_start() -> None:
    """The app's process exists, or this process is about to become it."""
    global _app_was_started
    _app_was_started = True


def app_has_clients() -> bool:
    """Whether clients may have reached the app; until then it can be started once more, by itself."""
    return _app_has_clients


def note_app_clients() -> None:
    """The clients' port is open."""
    global _app_has_clients
    _app_has_clients = True


def command() -> list[str]:
    """The words that start the launcher again, wherever it runs from: a source tree, shiv's folder, or a zip file."""
    flags = ["-I", "-u", *(["-S"] if sys.flags.no_site else [])]
    return [sys.executable, *flags, str(_program(Path(__file__).resolve().with_name("__main__.py")))]


def folder() -> Path:
    """Where the file is that was started: a gor beside it is the one that came with it."""
    return Path(sys.argv[0]).resolve().parent


def _program(main: Path) -> Path:
    """`main` itself, or the zip file that it is in."""
    while not main.exists():
        main = main.parent
    return main
