"""The groups of scenarios, in the order of the table."""

from __future__ import annotations

import importlib

from faults.scenario import SCENARIOS, Scenario

GROUPS = (
    "replayer", "destination", "app", "clients", "visits", "machine", "folders", "network", "memory", "clock",
    "shutdown", "soak",
)  # modules of this folder


def all_scenarios() -> dict[str, type[Scenario]]:
    """Every scenario by its name, group by group."""
    modules = [importlib.import_module(f"faults.{name}").__name__ for name in GROUPS]
    return dict(sorted(SCENARIOS.items(), key=lambda item: modules.index(item[1].__module__)))
