"""`--dry-run --json`: the checked plan for programs. docs/dry-run.schema.json says what each field is.

`schema_version` grows when a field goes or means something else; new ones may come at any time.
"""

from __future__ import annotations

import json
from typing import Any

from launcher import __version__
from launcher.dry_run.checks import CONNECTION_BYTES, LAUNCHER_BYTES, MemoryCheck, PortCheck, Report
from launcher.dry_run.destination_checks import DestinationCheck
from launcher.gor import words as gor_words
from launcher.gor.masking import without_credentials
from launcher.log import log

SCHEMA_VERSION = 1


def as_json(report: Report) -> str:
    """One object, in ASCII, without secrets."""
    return json.dumps(log.masked_values(_document(report)), indent=2)


def _document(report: Report) -> dict[str, Any]:
    plan = report.plan
    return {
        "schema_version": SCHEMA_VERSION,
        "launcher": {"version": __version__},
        "result": {"is_fine": not report.problems, "outcome": report.outcome},
        "mode": plan.mode.name.lower(),
        "reason": plan.reason or None,
        "clients": _port(report.clients_port),
        "app": _app(report),
        "copies": _copies(report) if plan.gor_options else None,
        "replayer": _replayer(report),
        "destinations": [_destination(check) for check in report.destinations],
        "memory": _memory(report.memory),
        "risks": [{"name": risk.name, "text": risk.text, "remedy": risk.remedy} for risk in report.risks],
        "warnings": list(report.warnings),
        "problems": [
            {"number": number, "kind": problem.kind, "text": problem.text}
            for number, problem in enumerate(report.problems, 1)
        ],
    }


def _port(check: PortCheck | None) -> dict[str, Any] | None:
    if check is None:
        return None
    held_by = [{"pid": holder.pid, "command": holder.command} for holder in check.holders]
    return {"host": check.host, "port": check.port, "is_free": check.is_free, "held_by": held_by}


def _app(report: Report) -> dict[str, Any]:
    plan = report.plan
    return {
        "command": [without_credentials(word) for word in plan.app.argv],
        "executable": report.executable,
        "environment": [
            {"name": change.name, "before": change.before, "after": change.after} for change in report.environment
        ],
        "listens": _port(report.app_port),
        "socket": plan.app_socket,
    }


def _copies(report: Report) -> dict[str, Any]:
    plan, options = report.plan, report.plan.options
    return {
        "selection": report.selection,
        "sample_percent": options.sample,
        "methods": list(options.methods) or None,
        "paths": list(options.path),
        "not_paths": list(options.not_path),
        "sample_by": None if options.sample_by is None else str(options.sample_by),
        "rate_per_second": options.rate,
        "max_request_bytes": plan.max_request,
        "dropped_headers": list(options.drop_header),
        "max_cpu_percent": options.max_cpu,
        "until": options.until.text if options.until is not None else None,
        "filters": list(report.filters),
        "changes": list(report.changes),
        "settings": [
            {"name": option.name, "value": option.shown, "where": option.where}
            for option in gor_words.others(plan.gor_options)
        ],
    }


def _replayer(report: Report) -> dict[str, Any] | None:
    choice = report.plan.replayer
    if choice is None:
        return None
    return {
        "kind": "builtin" if choice.gor is None else "gor",
        "version": __version__ if choice.gor is None else choice.gor.version_text,
        "path": None if choice.gor is None else str(choice.gor.path),
        "reason": choice.reason,
        "faults": list(report.faults),
    }


def _destination(check: DestinationCheck) -> dict[str, Any]:
    reached = check.reached
    return {
        "output": check.option.name,
        "address": check.address,
        "where": check.option.where,
        "limit": check.limit or None,
        "is_reached": None if reached is None else reached.failure is None,
        "not_tried_because": check.why_not or None,
        "by_proxy": bool(check.way),
        "addresses": list(reached.addresses) if reached is not None else [],
        "certificate_days": reached.certificate_days and round(reached.certificate_days, 2) if reached else None,
        "steps": [
            {"name": step.name, "is_fine": step.is_fine, "milliseconds": step.milliseconds, "text": step.text}
            for step in (reached.steps if reached is not None else ())
        ],
    }


def _memory(check: MemoryCheck | None) -> dict[str, Any] | None:
    if check is None:
        return None
    return {
        "limit_bytes": check.limit,
        "launcher_bytes": LAUNCHER_BYTES,
        "bytes_a_connection": CONNECTION_BYTES,
        "buffer_bytes": check.buffer,
        "replayer_bytes": check.replayers,
        "total_bytes": check.total,
        "percent_of_limit": check.percent,
    }
