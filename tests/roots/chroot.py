"""Runs programs inside a root file system, as a plain user, in a mount namespace of their own.

What is written there goes into memory and is gone afterwards, but for the folders that are bound in. The program keeps
the pid of what was started, its environment, its descriptors and the host's network.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

USER = 12345  # nobody's: no root has such a user

# $1 the root, $2 the folder of the layer over it, then ROOT-SCRIPT and bound folders, `--`, the words.
_ENTER = r"""
set -e
root=$1 layer=$2 user=$3 script=$4
shift 4
mount -t tmpfs -o mode=755 layer "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay -o "lowerdir=$root,upperdir=$layer/upper,workdir=$layer/work" root "$layer/root"
cd "$layer/root"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmp tmp
while [ "$1" != -- ]; do
  mkdir -p ".$2"
  mount --bind "$1" ".$2"
  [ "$3" = rw ] || mount -o remount,bind,ro ".$2"
  shift 3
done
shift
eval "$script"
exec chroot --userspec="$user:$user" . "$@"
"""


@dataclass(frozen=True)
class Bound:
    """A folder of the host's that is seen inside."""

    outside: Path
    inside: str
    writable: bool = False


@dataclass(frozen=True)
class Chroot:
    """A root file system to run programs in."""

    root: Path
    layer: Path  # an empty folder that the namespace mounts its own file systems on

    def prefix(self, *bound: Bound, script: str = "", user: int = USER) -> list[str]:
        """The words before a command that run it inside. `script` is sh, run by root in the root's folder first."""
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, "sh"]
        words += [str(self.root), str(self.layer), str(user), script]
        for each in bound:
            words += [str(each.outside), each.inside, "rw" if each.writable else "ro"]
        return [*words, "--"]

    def run(
        self,
        words: Sequence[str],
        *bound: Bound,
        environ: Mapping[str, str] | None = None,
        script: str = "",
        user: int = USER,
    ) -> subprocess.CompletedProcess[str]:
        """Runs to the end; both outputs are kept."""
        return subprocess.run(
            [*self.prefix(*bound, script=script, user=user), *words],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(environ or {})},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
