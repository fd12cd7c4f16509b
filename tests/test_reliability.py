"""docs/reliability.md's tables: rows are put in, and replaced, and what else the page says stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults import reliability
from faults.results import Result
from faults.scenario import SCENARIOS, Scenario, Seen

PAGE = """# A page

<!-- faults: `python3 build.py faults --write` writes this part -->
<!-- /faults -->

Words of somebody's.
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    monkeypatch.setattr(reliability, "FILE", path)
    return path


@pytest.fixture
def scenarios() -> Iterator[list[type[Scenario]]]:
    def new(number: int, group: str) -> type[Scenario]:
        return type(f"Of{number}", (Scenario,), {"name": f"of-{number}", "group": group, "says": f"does {number}"})

    yield [new(1, "App"), new(2, "Clients"), new(3, "App")]
    for number in (1, 2, 3):
        del SCENARIOS[f"of-{number}"]


def result(scenario: type[Scenario], p99: float | None, times: int = 1) -> Result:
    return Result(scenario, [Seen(p99=p99)] * times, [Seen(p99=p99)])


def test_new_rows_stand_in_the_place_of_old_ones_and_the_rest_stays(
    page: Path, scenarios: list[type[Scenario]]
) -> None:
    one, _, three = scenarios
    reliability.write([result(each, 1) for each in scenarios], [(one, "no root")], 3, anew=True)
    reliability.write([result(three, 7, times=300)], [], 2, anew=False)
    reliability.write([result(three, 8, times=400)], [], 2, anew=False)
    lines = page.read_text().splitlines()
    rows = [line for line in lines if line.startswith(("| does", "| App", "## "))]
    assert [row.split(" | ")[0] for row in rows] == [
        "## App", "| does 1", "| does 3; 400 times", "## Clients", "| does 2", "## Not reached", "| App: does 1",
    ]  # fmt: skip
    assert "8.00 / 8.00" in rows[2] and rows[-1].endswith("| no root |")
    assert (lines[0], lines[-1]) == ("# A page", "Words of somebody's.")


def test_a_whole_run_leaves_no_row_of_what_is_no_longer_done(page: Path, scenarios: list[type[Scenario]]) -> None:
    reliability.write([result(each, 1) for each in scenarios], [], 3, anew=True)
    reliability.write([result(scenarios[1], 1)], [], 3, anew=True)
    assert "does 1" not in page.read_text() and "does 2" in page.read_text()


@pytest.mark.parametrize(
    ("p99", "alone", "missed"),
    [
        (2.2, 1.0, []), (2.21, 1.0, ["p99 is 2.21 ms, and 2.20 is its bound"]),
        (None, 1.0, ["nothing was answered"]), (1.0, None, ["nothing was answered"]),
    ],
)  # fmt: skip
def test_a_row_holds_only_within_its_bound(
    scenarios: list[type[Scenario]], p99: float | None, alone: float | None, missed: list[str]
) -> None:
    told = Result(scenarios[0], [Seen(p99=p99)], [Seen(p99=alone)])
    assert told.missed(with_latency=True) == missed
    assert told.missed(with_latency=False) == []


def test_what_was_not_measured_is_no_figure(scenarios: list[type[Scenario]]) -> None:
    cells = result(scenarios[0], None).row(with_latency=False).split(" | ")
    assert cells[2:8] == ["– / –", "– / –", "–", "– / –", "–", "–"]


def test_a_row_tells_how_long_a_long_run_was(scenarios: list[type[Scenario]]) -> None:
    scenarios[0].seconds = 90.0
    assert result(scenarios[0], 1).row().startswith("| does 1; 1.5 minutes | ")
