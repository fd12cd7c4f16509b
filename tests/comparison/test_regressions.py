"""Twelve kinds of planted regressions are found; versions that are the same, however noisy, are found the same.

The rates: 5 % of 1 500 requests to three endpoints and 1 % of 2 000 to one, beneath noise; 0.3 % of 3 000 and 0.1 % of
12 000 to one endpoint without noise.
"""

from __future__ import annotations

import gzip
import json
import random
import uuid
from typing import Any

import pytest

from tests.comparison.answers import Version, only, paths, run


def noisy(number: int, draw: random.Random) -> dict[str, Any]:
    """A version whose answers are never twice the same: ids, times, tokens, order of keys, cookies, an optional field,
    a flaky status, and latencies with a heavy tail."""
    members = [
        ("id", number), ("token", draw.getrandbits(128).to_bytes(16, "big").hex()),
        ("at", f"2026-01-01T00:00:{draw.random() * 60:09.6f}Z"), ("request", str(uuid.UUID(int=draw.getrandbits(128)))),
        ("sequence", draw.randrange(10**6)), ("price", number % 7 + 0.5), ("active", True),
        ("items", [{"name": "tea", "amount": number % 5 + 1}, {"name": "cup", "amount": 1}]),
    ]  # fmt: skip
    if draw.random() < 0.02:
        members.append(("note", "sometimes"))
    draw.shuffle(members)
    return {
        "body": dict(members), "status": 503 if draw.random() < 0.005 else 200,
        "milliseconds": draw.lognormvariate(2.3, 0.6),
        "headers": {"Set-Cookie": f"session={draw.random()}; Path=/; HttpOnly", "Cache-Control": "no-store",
                    "Date": f"Mon, 01 Jan 2026 00:00:{draw.randrange(60):02} GMT", "ETag": f'"{draw.random()}"'},
    }  # fmt: skip


def calm(number: int, draw: random.Random) -> dict[str, Any]:
    """A version that always answers the same."""
    said = noisy(number, random.Random(number))
    return {**said, "status": 200, "milliseconds": draw.lognormvariate(2.3, 0.2)}


def with_body(said: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {**said, "body": {**said["body"], **changed}}


def without(said: dict[str, Any], name: str) -> dict[str, Any]:
    return {**said, "body": {key: value for key, value in said["body"].items() if key != name}}


def packed(said: dict[str, Any]) -> dict[str, Any]:
    body = with_body(said, price=-1)["body"]
    return {
        **said, "body": gzip.compress(json.dumps(body).encode()),
        "headers": {**said["headers"], "Content-Encoding": "gzip", "Content-Type": "application/json"},
    }


REGRESSIONS = {  # what is planted -> the answer that it makes, and where it must be found
    "status": (lambda said: {**said, "status": 500}, "status"),
    "no answer": (lambda said: {"outcome": "timeout"}, "status"),
    "type": (lambda said: with_body(said, price=str(said["body"]["price"])), "$.price"),
    "boolean as number": (lambda said: with_body(said, active=1), "$.active"),
    "null": (lambda said: with_body(said, price=None), "$.price"),
    "value": (lambda said: with_body(said, price=said["body"]["price"] + 0.01), "$.price"),
    "missing": (lambda said: without(said, "active"), "$.active"),
    "extra": (lambda said: with_body(said, debug="on"), "$.debug"),
    "shorter array": (lambda said: with_body(said, items=said["body"]["items"][:1]), "$.items"),
    "order of an array": (lambda said: with_body(said, items=said["body"]["items"][::-1]), "$.items"),
    "header": (
        lambda said: {**said, "headers": {**said["headers"], "Cache-Control": "public"}}, "header:cache-control"
    ),
    "in gzip": (packed, "$.price"),
}


def planted(version: Version, name: str, rate: float) -> Version:
    change = REGRESSIONS[name][0]
    return lambda number, draw: (
        change(version(number, draw)) if draw.random() < rate else version(number, draw)
    )


@pytest.mark.parametrize("name", REGRESSIONS)
@pytest.mark.parametrize(("rate", "count"), [(0.05, 1500), (0.01, 2000)])
def test_a_planted_regression_is_found_beneath_the_noise(name, rate, count):
    path = (lambda number: "/a") if rate < 0.05 else paths
    candidate = only(run([noisy, noisy, planted(noisy, name, rate)], count, path=path))
    found = {finding.where for finding in candidate.findings}
    assert found >= {REGRESSIONS[name][1]}
    assert found <= {REGRESSIONS[name][1], "header:content-encoding", "header:content-type"}


@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_rare_one_is_found_where_it_is_quiet_even_without_a_second_baseline(name):
    versions = [calm, planted(calm, name, 0.003)]
    candidate = only(run(versions, 3000, roles=("baseline", "candidate"), path=lambda number: "/a"))
    assert REGRESSIONS[name][1] in {finding.where for finding in candidate.findings}


@pytest.mark.parametrize("name", ["status", "type"])
def test_one_in_a_thousand_is_found_among_twelve_thousand(name):
    candidate = only(run([calm, calm, planted(calm, name, 0.001)], 12_000, path=lambda number: "/a"))
    assert {finding.where for finding in candidate.findings} == {REGRESSIONS[name][1]}


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
