"""What one start of gor needs on disk: a private folder with a named pipe and its helper's program.

Once gor's helper has opened the pipe it can go: a launcher that is killed later leaves nothing, and whoever tidies
places for temporary files takes nothing that is still needed. gor splits commands at spaces: no path has one.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from launcher.leftovers import PREFIX, temporary_folders

_SOURCE = "helper.py"
_HELPER = "gor_helper.py"  # told apart by that in a list of processes; it removes a file of this name itself


@dataclass(frozen=True)
class Place:
    """A private folder for one start."""

    folder: Path
    fifo: Path
    helper: tuple[str, ...]  # the command that runs it, with the pipe's path

    def remove(self) -> None:
        """Removes all of it; what can't be removed stays."""
        shutil.rmtree(self.folder, ignore_errors=True)


def helper_program() -> bytes:
    """The helper's source, out of a zip, too."""
    return resources.files("launcher.gor").joinpath(_SOURCE).read_bytes()


def make_place(program: bytes, parents: Iterable[str] | None = None, python: str = sys.executable) -> Place:
    """A new place that only this user can enter, with `program` in it. Raises OSError."""
    refusals = []
    for parent in temporary_folders() if parents is None else parents:
        if " " in parent:
            refusals.append(f"{parent}: has a space in its path")
            continue
        try:
            return _make(parent, program, python)
        except OSError as error:
            refusals.append(f"{parent}: {error.strerror}")
    raise OSError(f"there is no place for gor's pipes ({'; '.join(refusals)}): set TMPDIR to a writable folder")


def _make(parent: str, program: bytes, python: str) -> Place:
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}gor-", dir=parent))  # 0700
    try:
        fifo = folder / "pipe"
        os.mkfifo(fifo, 0o600)
        helper = folder / _HELPER
        helper.touch(0o600)
        helper.write_bytes(program)
        if " " in python:
            link = folder / "python"
            link.symlink_to(python)
            python = str(link)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Place(folder, fifo, (python, "-I", "-S", "-u", str(helper), str(fifo)))
