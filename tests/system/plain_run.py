"""Runs a program with exactly this environment, also in a mount namespace of its own."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.needs import NAMESPACES, unavailable

PATIENCE_SECONDS = 60
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


def run(words: Sequence[str | Path], environ: Mapping[str, str], cwd: Path | None = None) -> tuple[int, str, str]:
    """Status, standard output, standard error."""
    result = subprocess.run(
        [str(word) for word in words],
        env=dict(environ), cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    return result.returncode, result.stdout, result.stderr


def plain(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": SYSTEM_PATH}


def in_namespace(setup: str, *words: str | Path) -> list[str]:
    """Words that run a command after `setup`, lines of sh, in a mount namespace. Skips the test where there is none."""
    if not namespaces_work():
        unavailable("this machine lets us make no mount namespace (unshare --mount; needs root)", NAMESPACES)
    return _wrapped(setup, *words)


@functools.cache
def namespaces_work() -> bool:
    trial = _wrapped("mount --bind /usr /usr; mount -o remount,bind,ro /usr", "true")
    return bool(shutil.which("unshare")) and not subprocess.run(trial, capture_output=True).returncode


def _wrapped(setup: str, *words: str | Path) -> list[str]:
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    return [*unshare, "sh", "-ec", f'{setup}\nexec "$@"', "sh", *map(str, words)]
