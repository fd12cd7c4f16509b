"""The language of --check."""

from __future__ import annotations

import pytest

from launcher.comparison.checks import FIGURES, parse_checks
from tests.comparison.answers import only, run
from tests.comparison.test_regressions import calm, planted

VERDICT = run([calm, calm, planted(calm, "status", 0.1)], 1000)


def holds(text: str) -> list[bool]:
    return [check.holds(VERDICT, only(VERDICT)) for check in parse_checks(text)]


@pytest.mark.parametrize(("text", "expected"), [
    ("status_mismatch<0.1%", [False]),
    ("status_mismatch<50% p95_ratio<1.5", [True, True]),
    ("status_mismatch < 0.5, body_mismatch<=0% and pairs>=1000", [True, True, True]),
    ("findings<1", [False]),
    ("pairs>1000 coverage>=100%", [False, True]),
    ("p99_ms>1000000", [False]),
])  # fmt: skip
def test_a_check_compares_a_figure_with_a_bound(text, expected):
    assert holds(text) == expected


@pytest.mark.parametrize("text", ["", "status", "status_mismatch<", "status_mismatch<x", "speed<1", "a<1 b", "pairs=1"])
def test_a_check_that_makes_no_sense_is_refused_with_what_would(text):
    with pytest.raises(ValueError, match="checks "):
        parse_checks(text)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_can_be_checked(name):
    assert len(holds(f"{name}>=0")) == 1


def test_with_too_few_pairs_nothing_holds_but_their_number():
    verdict = run([calm, calm, calm], 50)
    checks = parse_checks("status_mismatch<100% pairs<100")
    assert [check.holds(verdict, only(verdict)) for check in checks] == [False, True]


def test_without_a_baseline_nothing_holds():
    verdict = run([calm], 500, roles=("candidate",))
    assert only(verdict).word == "no_baseline"
    assert not parse_checks("status_mismatch<100%")[0].holds(verdict, only(verdict))
