"""What is said and written of a comparison when a run ends: a line for each candidate, the warnings, the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from launcher.log import log

if TYPE_CHECKING:
    from launcher.comparison.checks import Check


_MOST_TOLD = 10  # differences, and slower endpoints, of each candidate
_READERS_PATIENCE_SECONDS = 2.0  # with a pipe's, when a run ends


def tell_compared(report: Mapping[str, Any], checks: Sequence[Check] = ()) -> bool:
    """Logs the verdict. Whether all checks hold of each candidate."""
    from launcher.comparison.verdict import Verdict, verdict_facts  # only who compares needs it

    verdict = Verdict(report)
    is_good = True
    for candidate in verdict.candidates:
        log("compared", **verdict_facts(verdict, candidate))
        for finding in candidate.findings[:_MOST_TOLD]:
            what = f"{finding.endpoint}: {finding.where} {finding.how}"
            log("difference", candidate=candidate.name, what=what, times=finding.times, of=finding.pairs)
        for slower in candidate.slower[:_MOST_TOLD]:
            log("slower", candidate=candidate.name, endpoint=slower.endpoint, how=slower.how, pairs=slower.pairs)
        for check in checks:
            holds = check.holds(verdict, candidate)
            is_good = is_good and holds
            log("check", level=None if holds else "error", candidate=candidate.name, check=check.text,
                value=float(f"{check.value(verdict, candidate):.6g}"), holds=holds)  # fmt: skip
    for warning in verdict.warnings:
        log("comparison", level="warning", warning=warning)
    return is_good


def write_report(
    path: str, report: Mapping[str, Any], patience_seconds: float | None = _READERS_PATIENCE_SECONDS
) -> bool:
    """Writes the report: as JSON if the name ends so, else as a page. What fails is said; whether it was written.

    What is there already, a file, a link, a device or a pipe, is dealt with as `write_file` tells.
    """
    from launcher.written_file import write_file

    try:
        if path.endswith(".json"):
            text = json.dumps(report, indent=1)
        else:
            from launcher.comparison.page import render_page

            text = render_page(report)
        write_file(path, text.encode(errors="backslashreplace"), patience_seconds)
        log("report", file=path)
    except OSError as error:
        log("report-failed", level="error", file=path, error=error.strerror or str(error))
        return False
    return True
