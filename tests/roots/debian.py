"""Root file systems made from Debian's packages by debootstrap, as the images that buildpacks build and run in.

    python3 -m tests.roots

makes those that are missing. They stay in a cache folder outside the checkout and are never written to: `chroot.py`
lays a file system of its own over them for each use.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "traffic-duplicator" / "roots"

# What all of Heroku's run images have of what a Python links to: their lists of packages (heroku/base-images).
_RUN_LIBRARIES = (
    "libexpat1 zlib1g libffi8 libssl3 libbz2-1.0 liblzma5 libuuid1 libsqlite3-0 libreadline8 libncursesw6 tzdata "
    "media-types ca-certificates"
).split()
_APPS = ["ruby", "puma", "ruby-rack", "nodejs", "nginx-light"]


class CannotMake(Exception):
    """A root can't be made here, and why."""


@dataclass(frozen=True)
class Recipe:
    """One root: a suite of Debian's and the packages in it, beside the smallest system that there is."""

    name: str
    suite: str
    packages: tuple[str, ...]

    @property
    def key(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    @property
    def folder(self) -> Path:
        return CACHE / f"{self.name}-{self.key}"


BUILD = Recipe("build", "bookworm", ("python3", "ca-certificates"))
RUN = Recipe("run", "bookworm", (*_RUN_LIBRARIES, *_APPS))
TRIXIE = Recipe("trixie", "trixie", ("python3", "ca-certificates"))  # Python 3.13
SID = Recipe("sid", "sid", ("python3", "ca-certificates"))  # Python 3.14, on a day when the suite is consistent
RECIPES = (BUILD, RUN, TRIXIE, SID)


def provide(recipe: Recipe) -> Path:
    """The root of this recipe, made now if need be. Raises CannotMake."""
    if recipe.folder.exists():
        return recipe.folder
    why_not = why_none_can_be_made()
    if why_not:
        raise CannotMake(why_not)
    CACHE.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time():
        if not recipe.folder.exists():
            _make(recipe)
    return recipe.folder


@functools.cache
def why_none_can_be_made() -> str:
    """What is missing to make or to enter a root; empty if nothing is."""
    if os.geteuid() != 0:
        return "a root file system can be entered by root only"
    if shutil.which("debootstrap") is None:
        return "debootstrap is not here (apt-get install debootstrap)"
    if not _mirror():
        return "apt knows no archive of Debian's here"
    return ""


def _make(recipe: Recipe) -> None:
    unfinished = recipe.folder.with_suffix(".unfinished")
    _remove(unfinished)
    packages = CACHE / "packages"
    packages.mkdir(exist_ok=True)
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={','.join(recipe.packages)}", f"--cache-dir={packages}",
         recipe.suite, unfinished, _mirror()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        _remove(unfinished)
        raise CannotMake(f"debootstrap of {recipe.suite} failed: {' '.join(done.stdout.splitlines()[-2:])}")
    for name in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(unfinished / name, ignore_errors=True)
    unfinished.rename(recipe.folder)


@functools.cache
def _mirror() -> str:
    """Where apt gets this machine's packages from: the archive of the first plain suite."""
    words = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]
    try:
        listed = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
    found = re.search(r"^(\S+) (?!\S*-)\S+$", listed, re.MULTILINE)
    return found[1] if found else ""


def _remove(folder: Path) -> None:
    """Refuses while something is still mounted there: what is below would not be ours."""
    if any(f" {folder}/" in line for line in Path("/proc/self/mounts").read_text().splitlines()):
        raise CannotMake(f"something is still mounted below {folder}")
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
