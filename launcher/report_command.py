"""`--report`: asks the launcher that runs for its comparison, prints it or writes the page, and holds it to `--check`.

Exit status 0; 1 if there is no launcher or no comparison, or if a check does not hold; one line says what.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from launcher.compared import write_report
from launcher.comparison.checks import parse_checks
from launcher.comparison.text import report_lines
from launcher.comparison.verdict import Verdict
from launcher.control.operate import Wanted, choose, told
from launcher.log import log
from launcher.options import UsageError
from launcher.status import escaped


def show_report(
    wanted: Wanted, environ: Mapping[str, str], *, as_json: bool, html: str | None, check: str | None
) -> int:
    """The exit status. Raises UsageError if `check` makes no sense."""
    try:
        checks = parse_checks(check) if check else ()
    except ValueError as error:
        raise UsageError(f"--check must be {error}") from None

    def show() -> int:
        report: Mapping[str, Any] = choose(wanted, environ).ask("GET", "/report")["report"]
        if html:
            if not write_report(html, report, None):
                return 1
        elif as_json:
            print(json.dumps(report))
        elif not checks:
            for line in report_lines(report):
                print(escaped(line))
        verdict = Verdict(report)
        is_good = bool(verdict.candidates)
        for each in checks:
            for candidate in verdict.candidates:
                holds = each.holds(verdict, candidate)
                is_good = is_good and holds
                value = f"{each.value(verdict, candidate):.6g}"
                word = "ok" if holds else "FAILED"
                log.tell(f"{word}: {candidate.name}: {each.text} ({value})")
        return 0 if is_good else 1

    return told(show)
