"""Twelve kinds of planted regressions are found; versions that are the same, however noisy, are found the same.

How often, and of how many requests, is measured by bench/comparison_rates.py: docs/comparison.md has the table.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.comparison.answers import ROLES, only, paths, run
from tests.comparison.versions import COMES_ALONG, REGRESSIONS, Weather, calm, noisy, planted, planted_all, without

ALL = {expected for _, expected in REGRESSIONS.values()}


@pytest.mark.parametrize(("rate", "count"), [(0.05, 1500), (0.01, 4000), (0.001, 25_000)])
def test_twelve_kinds_of_regressions_are_found_beneath_the_noise_and_nothing_else(rate, count):
    candidate = only(run([noisy, noisy, planted_all(noisy, rate)], count, path=lambda number: "/a"))
    found = {(finding.where, finding.how) for finding in candidate.findings}
    assert found - COMES_ALONG == ALL
    assert candidate.slower == []


@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_planted_regression_is_found_beneath_the_noise_of_several_endpoints(name):
    candidate = only(run([noisy, noisy, planted(noisy, name, 0.05)], 1200, path=paths))
    assert {(finding.where, finding.how) for finding in candidate.findings} - COMES_ALONG == {REGRESSIONS[name][1]}


@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_rare_one_is_found_where_it_is_quiet_even_without_a_second_baseline(name):
    versions = [calm, planted(calm, name, 0.003)]
    candidate = only(run(versions, 3000, roles=("baseline", "candidate"), path=lambda number: "/a"))
    assert REGRESSIONS[name][1] in {(finding.where, finding.how) for finding in candidate.findings}


@pytest.mark.parametrize("roles", [ROLES, ("baseline", "candidate")], ids=["baseline2", "no baseline2"])
@pytest.mark.parametrize("seed", range(20))
def test_instances_of_one_version_are_not_slower_whatever_the_weather(seed, roles):
    weather = Weather(seed, len(roles), 3000, 0.005)
    versions = [weather.version(role, lambda number, draw: {"body": number}) for role in range(len(roles))]
    candidate = only(run(versions, 3000, seed=seed, roles=roles, apart_seconds=0.005))
    assert (candidate.word, candidate.findings, candidate.slower) == ("same", [], [])


@pytest.mark.parametrize("slow", [{1, 2}, {0, 1}, {1}, {0}], ids=str)
def test_what_the_baselines_differ_among_themselves_is_not_the_candidates(slow):
    """One or two of the machines are slower by a third, but never the candidate's alone."""

    def version(role: int) -> Any:
        return lambda number, draw: {
            **calm(number, draw), "milliseconds": calm(number, draw)["milliseconds"] * (1.33 if role in slow else 1)
        }

    candidate = only(run([version(role) for role in range(3)], 1500))
    assert (candidate.word, candidate.slower) == ("same", [])


def test_a_candidate_that_is_slower_than_either_baseline_by_more_than_they_are_apart_is_slower():
    def version(factor: float) -> Any:
        return lambda number, draw: {**calm(number, draw), "milliseconds": draw.lognormvariate(2.3, 0.2) * factor}

    candidate = only(run([version(1), version(1.1), version(1.4)], 1500))
    assert len(candidate.slower) == 3
    assert "(the baselines are " in candidate.slower[0].how


def test_what_is_slow_for_a_third_of_the_run_only_is_the_machines():
    def slow(number: int, draw: random.Random) -> dict[str, Any]:
        said = calm(number, draw)
        return {**said, "milliseconds": said["milliseconds"] * (2 if 1500 <= number < 3000 else 1)}

    candidate = only(run([calm, calm, slow], 4500))
    assert (candidate.word, candidate.ratio(95) > 1.4) == ("same", True)


@pytest.mark.parametrize("seed", range(20))
def test_versions_that_are_the_same_are_found_the_same_however_noisy(seed):
    candidate = only(run([noisy, noisy, noisy], 700, seed=seed))
    assert (candidate.findings, candidate.slower) == ([], [])
    assert candidate.word == "same"
    places = {noise.where for noise in candidate.noise}
    assert places >= {"$.token", "$.at", "$.request", "$.sequence"}
    assert candidate.mismatch("body").value < 0.02


@pytest.mark.parametrize("seed", range(20))
def test_without_a_second_baseline_ids_times_and_tokens_are_no_findings(seed):
    def new(number: int, draw: random.Random) -> dict[str, Any]:
        return without({**noisy(number, draw), "status": 200}, "sequence")

    candidate = only(run([new, new], 500, seed=seed, roles=("baseline", "candidate")))
    assert (candidate.findings, candidate.slower, candidate.word) == ([], [], "same")


@pytest.mark.parametrize("share", [1.0, 0.05, 0.02])
def test_a_slow_endpoint_is_found_and_no_other(share):
    def slow(number: int, draw: random.Random) -> dict[str, Any]:
        said = calm(number, draw)
        is_slow = number % 3 == 1 and draw.random() < share
        return {**said, "milliseconds": said["milliseconds"] * (4 if is_slow else 1)}

    candidate = only(run([calm, calm, slow], 4500))
    assert [each.endpoint for each in candidate.slower] == ["GET /orders/{id}"]
    assert candidate.word == "slower"
    assert not candidate.findings


def test_what_is_ignored_is_no_finding():
    changed = planted(planted(calm, "value", 1), "header", 1)
    candidate = only(run([calm, calm, changed], 600, ignored=["$.price", "header:Cache-Control"]))
    assert candidate.findings == []


def test_below_the_least_number_of_pairs_there_is_no_verdict():
    assert only(run([calm, calm, planted(calm, "status", 1)], 99)).word == "too_few"


def test_a_candidate_that_dies_in_the_middle_is_found_and_the_rest_still_compared():
    def dying(number: int, draw: random.Random) -> dict[str, Any]:
        return {"outcome": "refused"} if number >= 500 else calm(number, draw)

    verdict = run([calm, calm, dying], 1000)
    candidate = only(verdict)
    assert {(finding.where, finding.how) for finding in candidate.findings} == {("status", "200 → refused")}
    assert (verdict.compared, candidate.mismatch("status").count) == (1000, 500)


def test_a_baseline_that_dies_is_not_the_candidates_fault():
    def dying(number: int, draw: random.Random) -> dict[str, Any]:
        return {"outcome": "reset"} if number >= 500 else calm(number, draw)

    verdict = run([dying, calm, calm], 1000)
    assert only(verdict).findings == []
    assert (verdict.compared, verdict.baseline_failed, verdict.coverage) == (500, 500, 0.5)


def test_copies_that_were_not_sent_are_dropped_not_compared():
    def full(number: int, draw: random.Random) -> dict[str, Any]:
        return {"outcome": "queue_full"} if number % 2 else calm(number, draw)

    verdict = run([calm, calm, full], 1000)
    assert (verdict.compared, verdict.dropped, only(verdict).findings) == (500, 500, [])


def test_a_second_baseline_that_dies_makes_no_noise_the_candidates():
    """Ids and tokens differ in every answer; only the second baseline shows that."""

    def dying(number: int, draw: random.Random) -> dict[str, Any]:
        return {"outcome": "refused"} if number >= 300 else noisy(number, draw)

    verdict = run([noisy, dying, noisy], 1000)
    candidate = only(verdict)
    assert (candidate.findings, candidate.slower, verdict.compared) == ([], [], 1000)
    assert any("second baseline did not answer 700 of 1000" in warning for warning in verdict.warnings)


@pytest.mark.parametrize("who", ["candidate", "baseline2"])
def test_a_destination_that_answers_503_for_a_while_makes_no_noise_a_finding(who):
    def failing(number: int, draw: random.Random) -> dict[str, Any]:
        said = noisy(number, draw)
        return {**said, "status": 503, "body": b"down"} if 300 <= number < 700 else said

    versions = [noisy, failing, noisy] if who == "baseline2" else [noisy, noisy, failing]
    found = {(finding.where, finding.how) for finding in only(run(versions, 1000)).findings}
    assert found == (set() if who == "baseline2" else {("status", "200 → 503")})


def test_a_regression_is_found_in_what_was_compared_before_a_candidate_died():
    def dying(number: int, draw: random.Random) -> dict[str, Any]:
        said = planted(noisy, "type", 0.05)(number, draw)
        return {"outcome": "refused"} if number >= 800 else said

    candidate = only(run([noisy, noisy, dying], 1600, path=lambda number: "/a"))
    assert {finding.where for finding in candidate.findings} == {"status", "$.price"}
    [price] = [finding for finding in candidate.findings if finding.where == "$.price"]
    assert price.share == pytest.approx(0.05, abs=0.02)  # of the half that was compared
