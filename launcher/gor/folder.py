"""The private folder for gor's named pipes and its helper's program. gor splits commands at spaces: no path has one."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

_SOURCE = "helper.py"
_HELPER = "gor_helper.py"  # told apart by that in a list of processes


def make_private_folder(candidates: Iterable[str] | None = None) -> Path:
    """A new folder that only this user can enter and where named pipes can be made. Raises OSError."""
    refusals = []
    for parent in dict.fromkeys(_candidates() if candidates is None else candidates):
        if " " in parent:
            refusals.append(f"{parent}: has a space in its path")
            continue
        try:
            return _make(parent)
        except OSError as error:
            refusals.append(f"{parent}: {error.strerror}")
    raise OSError(f"there is no place for gor's pipes ({'; '.join(refusals)}): set TMPDIR to a writable folder")


def install_helper(folder: Path, python: str = sys.executable) -> list[str]:
    """Writes the helper into the private folder; the command that runs it, to be followed by the pipe's path."""
    helper = folder / _HELPER
    helper.touch(0o600)
    helper.write_bytes(resources.files("launcher.gor").joinpath(_SOURCE).read_bytes())  # out of a zip, too
    if " " in python:
        link = folder / "python"
        link.symlink_to(python)
        python = str(link)
    return [python, "-I", "-S", "-u", str(helper)]


def _candidates() -> list[str]:
    try:
        found = [tempfile.gettempdir()]
    except FileNotFoundError:  # no usable folder: the errors of the others will tell
        found = []
    return [*found, "/tmp", "/dev/shm", f"/run/user/{os.getuid()}"]


def _make(parent: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="traffic-duplicator-", dir=parent))  # 0700
    trial = folder / "trial"
    try:
        os.mkfifo(trial, 0o600)
        trial.unlink()
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder
