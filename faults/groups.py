"""The groups of scenarios, in the order of the table."""

from __future__ import annotations

import importlib

from faults.scenario import SCENARIOS, Scenario

GROUPS = ("replayer", "destination", "app", "clients", "machine")  # modules of this folder


def all_scenarios() -> dict[str, type[Scenario]]:
    """Every scenario by its name."""
    for name in GROUPS:
        importlib.import_module(f"faults.{name}")
    return SCENARIOS
