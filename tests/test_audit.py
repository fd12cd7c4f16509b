"""`build.py audit`: what the file carries is what is listed, each by version and hash, or it says what is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LISTED = ROOT / "requirements.txt"


def audit(requirements: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    file = os.environ.get("TRAFFIC_DUPLICATOR_PYZ", ROOT / "dist" / "start-traffic-duplicator.pyz")
    words = [sys.executable, ROOT / "packaging" / "audit.py", file, requirements, ROOT / "requirements-build.txt"]
    return subprocess.run(words, env={"PATH": path}, capture_output=True, text=True)


def test_what_the_file_carries_is_told_with_versions_and_hashes() -> None:
    done = audit(LISTED)
    assert (done.returncode, done.stderr) == (0, "")
    assert "requirements.txt, and so start-traffic-duplicator.pyz\n" in done.stdout
    assert "       trio 0." in done.stdout and "known faults were not looked up" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("trio==", "trio==9", "start-traffic-duplicator.pyz carries {"),
        ("idna==3.20 \\\n", "idna==3.20\n", "has a requirement without version and hash"),
    ],
)
def test_what_is_not_as_listed_is_told_and_fails(old: str, new: str, told: str, tmp_path: Path) -> None:
    changed = tmp_path / "requirements.txt"
    changed.write_text(LISTED.read_text().replace(old, new))
    done = audit(changed)
    assert done.returncode == 1 and told in done.stderr


@pytest.mark.parametrize("status", [0, 1])
def test_pip_audit_is_asked_where_there_is_one(status: int, tmp_path: Path) -> None:
    program = tmp_path / "pip-audit"
    program.write_text(f'#!/bin/sh\necho "asked for $5 and $7"\nexit {status}\n')
    program.chmod(0o755)
    done = audit(LISTED, str(tmp_path))
    assert done.returncode == status
    assert f"asked for {LISTED} and {ROOT / 'requirements-build.txt'}\n" in done.stdout
    assert ("pip-audit has found something" in done.stderr) is bool(status)
