"""`python3 build.py audit`: what the built file carries and what it is built and tested with, each by version and hash.

The file's own packages are read out of the file, not out of what was meant to be in it: status 1 if the two differ, or
if a requirement has no hash. pip-audit, if it is on PATH, is asked about known faults; without a way to its source of
faults it fails, and so does this. No network is used otherwise.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

_REQUIREMENT = re.compile(
    r"^([A-Za-z0-9][\w.-]*)==(\S+)(?: ;[^\\\n]*)?((?: ?\\\n +--hash=sha256:[0-9a-f]{64})*)", re.MULTILINE
)
_ANY_REQUIREMENT = re.compile(r"^[A-Za-z0-9].*", re.MULTILINE)
_METADATA = re.compile(r"([^/]+)-([^/-]+)\.dist-info/METADATA")


def main(argv: Sequence[str]) -> int:
    file, *requirements = map(Path, argv)
    wrong = list(_unpinned(requirements))
    listed = {_normal(name): version for name, version, _ in _pinned(requirements[0])}
    carried = dict(_carried(file))
    if carried != listed:
        wrong.append(f"{file.name} carries {carried}, but {requirements[0].name} lists {listed}")
    for path in requirements:
        print(f"-----> {path.name}{f', and so {file.name}' if path == requirements[0] else ''}")
        for name, version, hashes in _pinned(path):
            few = f": {' '.join(hashes)}" if len(hashes) <= 2 else f", the first {hashes[0]}"
            print(f"       {name} {version}, sha256 of {len(hashes)} files{few}")
    program = shutil.which("pip-audit")
    if program is None:
        print("-----> known faults were not looked up: there is no pip-audit (pip install pip-audit)")
    else:
        words = [program, "--strict", "--require-hashes", "--disable-pip"]
        if subprocess.run([*words, "-r", requirements[0], "-r", requirements[1]]).returncode:
            wrong.append("pip-audit has found something, or can't look: its own words are above")
    for line in wrong:
        print(f" !     {line}", file=sys.stderr)
    return 1 if wrong else 0


def _pinned(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    for name, version, hashes in _REQUIREMENT.findall(path.read_text()):
        if hashes:
            yield name, version, re.findall("[0-9a-f]{64}", hashes)


def _unpinned(paths: Sequence[Path]) -> Iterator[str]:
    for path in paths:
        named = len(_ANY_REQUIREMENT.findall(path.read_text()))
        if named != len(list(_pinned(path))):
            yield f"{path.name} has a requirement without version and hash"


def _carried(file: Path) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            found = _METADATA.search(name)
            if found:
                yield _normal(found[1]), found[2]


def _normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
