"""Which Pythons this machine has: on PATH, in /usr/bin and in pyenv's folder."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.needs import PYTHONS, unavailable

SUPPORTED = ("3.10", "3.11", "3.12", "3.13", "3.14")
TOO_OLD = ("2.7", "3.6", "3.7", "3.8", "3.9")
PYENV = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")


@functools.cache
def find_python(release: str) -> str | None:
    """A Python of this release, such as "3.12", that starts. None if there is none."""
    name = f"python{release}"
    folders = [Path("/usr/bin"), Path("/usr/local/bin")]
    folders += sorted(PYENV.glob(f"versions/{release}.*/bin"))
    found = [str(folder / name) for folder in folders]
    found += [on_path] if (on_path := shutil.which(name)) else []
    return next((path for path in found if os.access(path, os.X_OK) and _release(path) == release), None)


def need_python(release: str) -> str:
    """A Python of this release; skips the test that asks for one where there is none."""
    path = find_python(release)
    if path is None:
        unavailable(f"this machine has no Python {release}", PYTHONS)
    return path


def supported_pythons() -> list[str]:
    """All of this machine's Pythons that the file must run on, a release each."""
    return [path for release in SUPPORTED if (path := find_python(release))]


def _release(path: str) -> str:
    words = [path, "-E", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    result = subprocess.run(words, capture_output=True, text=True)
    return result.stdout.strip() if re.fullmatch(r"\d+\.\d+", result.stdout.strip()) else ""
