"""The real gors: `GOR` (else `gor` or `goreplay` on PATH) and `GOR_1_3`. With REQUIRE_GOR=1 a missing one fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.gor import Gor, Unusable, identify
from tests.needs import GOR, unavailable


def _first_gor() -> str | None:
    return os.environ.get("GOR") or shutil.which("gor") or shutil.which("goreplay")


def _gor_1_3() -> str | None:
    return os.environ.get("GOR_1_3")


_GORS: dict[str, tuple[Callable[[], str | None], str]] = {
    "gor": (_first_gor, "GOR names no gor, and PATH has none"),
    "gor-1.3": (_gor_1_3, "GOR_1_3 names no gor"),
}


@pytest.fixture(scope="session", params=list(_GORS))
def gor(request: pytest.FixtureRequest) -> Gor:
    """Each real gor that is there, in turn."""
    find, reason = _GORS[request.param]
    path = find()
    if path is None:
        unavailable(reason, GOR)
    found = identify(Path(path).absolute())
    if isinstance(found, Unusable):
        pytest.fail(f"{path} can't be used: it {found.reason}")
    return found
