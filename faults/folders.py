"""Machines without a place for temporary files, in a mount namespace: the built-in replayer needs none, gor needs one
for its pipes and finds the app's own folder, which may be written to."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from faults.machine import PoorMachine
from faults.replayer import TO_NULL, install_gor
from faults.scenario import PROGRAMS, Place, Run, Seen, Setup
from tests.system import accounts

_TEMPORARY = ("/var/tmp", "/dev/shm", "/run", "/tmp")  # that last: the file system for all is made in it
_OWN = "/mnt"  # the app's own folder
_TRIAL = bytes(4096)
_COMMON = f"""
mount -t tmpfs none {_OWN}
cd {_OWN}
"""
_BAD = f"""
mount -t tmpfs -o size=64k none "$0"
if [ -e "$0.gor" ]; then cp "$0.gor" "$0/gor"; fi
%s
{_COMMON}
for folder in {" ".join(_TEMPORARY)}; do
  if [ -d "$folder" ]; then mount --bind "$0" "$folder"; fi
done
exec "$@"
"""
_ROOT_WITHOUT_TMP = f"""
mount -t tmpfs none "$0"
for entry in /*; do
  if [ "$entry" = /tmp ]; then continue; fi
  if [ -L "$entry" ]; then cp -P "$entry" "$0$entry"; continue; fi
  if [ -d "$entry" ]; then mkdir "$0$entry"; else : > "$0$entry"; fi
  mount --rbind "$entry" "$0$entry"
done
if [ -e "$0.gor" ]; then cp "$0.gor" "$0/gor"; fi
{_COMMON}
exec chroot "$0" "$@"
"""


class Folders(PoorMachine):
    """A script has the folders go wrong, and executes the launcher; its $0 is a folder of the scenario's."""

    seconds = 1.0
    script = ""
    has_gor = False  # in place of the built-in replayer
    gor = "/gor"

    def missing(self) -> str | None:
        if os.geteuid() or not shutil.which("unshare"):
            return "it needs root, to mount"
        ours = next((path for path in (PROGRAMS, sys.executable, os.environ["TRAFFIC_DUPLICATOR_PYZ"])
                     if str(Path(path).absolute()).startswith((*_TEMPORARY, _OWN))), None)  # fmt: skip
        return f"{ours} is in such a folder itself" if ours else None

    def prepare(self, place: Place) -> Setup:
        folder = place.folder / "bad"
        folder.mkdir()
        setup = Setup(options=["--replayer", self.gor, *TO_NULL]) if self.has_gor else super().prepare(place)
        if self.has_gor:
            install_gor(place.folder, "well").rename(f"{folder}.gor")
        setup.prefix = ["unshare", "--mount", "sh", "-ec", self.script, str(folder)]
        return setup

    def judge(self, run: Run, seen: Seen) -> None:
        if run.place.is_mirrored:
            told = accounts.feed_counters(run.launched, TO_NULL[1] if self.has_gor else "builtin")
            assert told["taken"], f"nobody has read a copy: {told}"


class BadFolders(Folders):
    """One small file system is all places for temporary files, and HOME."""

    gor = "/tmp/gor"  # in a mount namespace

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        setup.environ |= {"HOME": "/tmp", "TMPDIR": "/tmp"}
        return setup

    def fault(self, run: Run) -> None:
        for folder in (f"/proc/{run.launched.pid}/root{folder}" for folder in _TEMPORARY):
            try:
                Path(folder, "trial").write_bytes(_TRIAL)
            except OSError:
                continue
            raise AssertionError(f"{folder} may be written to")


class DiskFull(BadFolders):
    name = "machine-disk-full"
    says = "has no room in HOME and in any place for temporary files"
    script = _BAD % 'head -c 1M /dev/zero > "$0/all" 2>&- || true'


class ReadOnly(BadFolders):
    name = "machine-read-only"
    says = "has HOME and all places for temporary files read-only"
    script = _BAD % 'mount -o remount,ro "$0"'


class NoTmp(Folders):
    """A root that has all that the machine's has, but for /tmp; HOME is nowhere, TMPDIR not set."""

    name = "machine-no-tmp"
    says = "has no /tmp, no TMPDIR, and no HOME"
    script = _ROOT_WITHOUT_TMP

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        setup.environ["HOME"] = "/nonexistent"
        return setup

    def fault(self, run: Run) -> None:
        assert not Path(f"/proc/{run.launched.pid}/root/tmp").exists(), "there is a /tmp"


class DiskFullForGor(DiskFull):
    name = "machine-disk-full-gor"
    says = f"{DiskFull.says}; the replayer is a gor"
    has_gor = True


class ReadOnlyForGor(ReadOnly):
    name = "machine-read-only-gor"
    says = f"{ReadOnly.says}; the replayer is a gor"
    has_gor = True


class NoTmpForGor(NoTmp):
    name = "machine-no-tmp-gor"
    says = f"{NoTmp.says}; the replayer is a gor"
    has_gor = True
