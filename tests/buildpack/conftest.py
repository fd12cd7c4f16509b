"""The built file, as for the system tests, and the archive that a platform unpacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.conftest import pyz

__all__ = ["pyz"]

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def archive() -> Path:
    """What `python3 build.py buildpack` makes."""
    subprocess.run([sys.executable, ROOT / "build.py", "buildpack"], check=True, capture_output=True)
    return ROOT / "dist" / "traffic-duplicator-buildpack.tgz"
