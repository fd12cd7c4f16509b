"""The report on its way from the replayer to whoever shows it: plain JSON of one version, bounded in size."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

REPORT_VERSION = 1
TOLD = frozenset({"equal", "json", "bytes"})  # ways in which two bodies were compared; others say why they were not
MAX_REPORT_BYTES = 256 * 1024  # a line of the account pipe
# Endpoints, differences, and pairs of a sample: what is shown at most, and what instead if that would be too long.
DETAILS = ((60, 200, 128), (40, 120, 64), (20, 60, 32), (10, 30, 0), (0, 10, 0))


def encode_report(report: Callable[[tuple[int, int, int]], Mapping[str, Any]]) -> bytes:
    """The report with as much detail as fits into MAX_REPORT_BYTES."""
    data = b""
    for detail in DETAILS:
        data = json.dumps(report(detail), separators=(",", ":")).encode("ascii")
        if len(data) <= MAX_REPORT_BYTES:
            break
    return data


def decode_report(data: bytes | str) -> dict[str, Any]:
    """Reads what `encode_report` wrote. Raises ValueError."""
    report = json.loads(data)
    if not isinstance(report, dict) or report.get("version") != REPORT_VERSION:
        raise ValueError(f"it is no report of version {REPORT_VERSION}")
    return report
