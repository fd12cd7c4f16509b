"""Every scenario of faults/ once, at a low rate: what must hold, but for latencies, which `build.py faults` judges."""

from __future__ import annotations

import pytest

from faults.groups import all_scenarios
from faults.halves import run_half, run_halves
from faults.results import Result
from faults.scenario import Scenario
from tests.needs import unavailable
from tests.system.launched import Product


@pytest.mark.parametrize("scenario", [pytest.param(each, id=name) for name, each in all_scenarios().items()])
def test_the_app_is_not_hurt_and_nothing_is_lost_silently(scenario: type[Scenario], product: Product) -> None:
    reason = scenario().missing()
    if reason:
        unavailable(reason, scenario.needs)
    mirrored = run_halves(scenario, product, scenario.quick_times)
    ends = scenario.app_may_fail or scenario.ends_with_app
    alone = [run_half(scenario(), product, is_mirrored=False)] if ends else []
    missed = Result(scenario, mirrored, alone).missed(with_latency=False)
    assert not missed, "\n".join(missed)
    assert all(half.answered for half in mirrored) or scenario.app_may_fail, "no client was answered"
