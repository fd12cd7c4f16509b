"""The real gors, for every test that asks for one."""

from __future__ import annotations

import pytest

from launcher.gor.binary import Gor
from tests.gors import NAMES, real_gor


@pytest.fixture(scope="session", params=list(NAMES))
def gor(request: pytest.FixtureRequest) -> Gor:
    """Each real gor that is there, in turn."""
    return real_gor(request.param)
