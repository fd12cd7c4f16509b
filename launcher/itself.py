"""How to run this program once more, as the built-in replayer: with the same interpreter, as isolated as this one."""

from __future__ import annotations

import sys
from pathlib import Path


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
