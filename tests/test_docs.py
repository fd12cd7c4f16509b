"""The tables of README and docs say what the code says. `UPDATE_DOCS=1` writes them anew."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from launcher.counters import FeedCounters, MiddlewareCounters, RelayCounters, TapCounters, meanings
from launcher.launcher_options import LauncherOptions
from launcher.options import declared
from launcher.prometheus import FAMILIES, PREFIX
from launcher.replay.inputs import INPUT_COUNTERS
from launcher.replay.outcomes import OUTCOMES
from tests import evenness
from tests.test_prometheus import page

ROOT = Path(__file__).parent.parent


def options_table() -> list[str]:
    rows = ["| option | variable | default | meaning |", "| --- | --- | --- | --- |"]
    for option in declared(LauncherOptions).values():
        flag = f"`{option.flag} {option.metavar}`".replace(" `", "`").replace("|", "\\|") if option.flag else ""
        variable = f"`{option.env}`" if option.env else ""
        meaning = option.help + (" (may be repeated)" if option.repeatable else "")
        rows.append(f"| {flag} | {variable} | {option.default_text} | {meaning} |")
    return rows


def meanings_table(names: Iterable[tuple[str, str]]) -> list[str]:
    return ["| counter | meaning |", "| --- | --- |", *(f"| `{name}` | {meaning} |" for name, meaning in names)]


def metrics_table() -> list[str]:
    """Each metric of Prometheus' page; its labels are those of a page with everything on it."""
    figures, _ = page()
    rows = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    for family in FAMILIES:
        labels = dict.fromkeys(label for given, _ in family.samples(figures) for label in given if label)
        shown = ", ".join(f"`{label}`" for label in labels if label != "le")
        rows.append(f"| `{PREFIX}{family.name}` | {family.kind} | {shown} | {family.help} |")
    return rows


TABLES = {
    ("README.md", "options"): options_table(),
    ("docs/counters.md", "counters"): meanings_table(meanings(TapCounters).items()),
    ("docs/counters.md", "feed-counters"): meanings_table(meanings(FeedCounters).items()),
    ("docs/counters.md", "connection-counters"): meanings_table(meanings(RelayCounters).items()),
    ("docs/counters.md", "middleware-counters"): meanings_table(meanings(MiddlewareCounters).items()),
    ("docs/counters.md", "outcomes"): meanings_table(OUTCOMES.items()),
    ("docs/selection.md", "evenness"): evenness.table(),
    ("docs/metrics.md", "metrics"): metrics_table(),
    ("docs/replayer.md", "input-counters"): meanings_table(INPUT_COUNTERS.items()),
}


@pytest.mark.parametrize(("file", "name"), TABLES)
def test_a_table_says_what_the_code_says(file, name):
    path = ROOT / file
    pattern = re.compile(rf"(<!-- {name}\b[^>]*-->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)
    text = path.read_text()
    found = pattern.search(text)
    assert found, f"{file} has no place for the table of {name}"
    expected = "\n".join(TABLES[file, name]) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(text[: found.start(2)] + expected + text[found.end(2) :])
        return
    assert found[2] == expected, "UPDATE_DOCS=1 python3 build.py test tests/test_docs.py writes it anew"


def test_every_module_has_its_duty_in_the_architecture():
    text = (ROOT / "docs" / "architecture.md").read_text()
    modules = {path.stem for path in (ROOT / "launcher").glob("*.py")} - {"__init__", "__main__"}
    assert modules <= set(re.findall(r"`(\w+)`", text))


PAGES = [page for pattern in ("*.md", "docs/*.md", "bench/*.md") for page in ROOT.glob(pattern)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
