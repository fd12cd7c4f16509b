"""The real gors: `GOR` (else `gor` or `goreplay` on PATH) and `GOR_1_3`. With REQUIRE_GOR=1 a missing one fails."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from launcher.gor.binary import Gor, Unusable, identify
from tests.needs import GOR, unavailable

NAMES = {"gor": "GOR names no gor, and PATH has none", "gor-1.3": "GOR_1_3 names no gor"}  # and what is said without it


def real_gor(name: str) -> Gor:
    """The gor of this name; skips the test if there is none."""
    if name == "gor":
        path = os.environ.get("GOR") or shutil.which("gor") or shutil.which("goreplay")
    else:
        path = os.environ.get("GOR_1_3")
    if path is None:
        unavailable(NAMES[name], GOR)
    found = identify(Path(path).absolute())
    if isinstance(found, Unusable):
        pytest.fail(f"{path} can't be used: it {found.reason}")
    return found
