"""What a test needs and a machine may lack: skipped with the reason, or failed where the gate insists on it."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

NAMESPACES = "REQUIRE_NAMESPACES"  # network, mount and PID namespaces: needs root
GO = "REQUIRE_GO"
GOR = "REQUIRE_GOR"
CHROOT = "REQUIRE_CHROOT"  # root file systems made with debootstrap: needs root
SHELLS = "REQUIRE_SHELLS"  # dash, bash and busybox
CGROUPS = "REQUIRE_CGROUPS"  # a memory cgroup below our own: needs root
CHROMIUM = "REQUIRE_CHROMIUM"
PROMTOOL = "REQUIRE_PROMTOOL"  # of the Debian package prometheus
WRK = "REQUIRE_WRK"  # wrk, and nginx as a fast app
FAKETIME = "REQUIRE_FAKETIME"  # libfaketime, of the Debian package faketime
PYTHONS = "REQUIRE_PYTHONS"


def unavailable(reason: str, required_by: str) -> NoReturn:
    """Ends the test: as skipped, or as failed if the variable `required_by` is 1."""
    if os.environ.get(required_by) == "1":
        pytest.fail(f"{reason}, and {required_by}=1 insists on it")
    pytest.skip(reason)
