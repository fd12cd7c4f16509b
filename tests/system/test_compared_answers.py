"""Answers as they come from real servers, compared by the built file: packed, in chunks, large, over TLS; servers that
die and come back; and instances of one version under load, of which nothing is said."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest
import trustme

from launcher.comparison.verdict import Verdict
from tests.system.launched import Launched, Product
from tests.system.sink import command, wait_until
from tests.system.version import Version, version

ROLES = ("baseline", "baseline2", "candidate")
KINDS = ("plain", "gzip", "brotli", "chunked")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of 127.0.0.1, with its key; beside it `ca.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    return tmp_path / "both.pem"


def get(port: int, paths: Sequence[str]) -> None:
    """One after the other; the app answers each."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    for path in paths:
        connection.request("GET", path)
        connection.getresponse().read()
    connection.close()


def paths(start: int, end: int, kinds: Sequence[str] = KINDS) -> list[str]:
    return [f"/{kinds[number % len(kinds)]}/{number}" for number in range(start, end)]


def launch(
    product: Product, tmp_path: Path, versions: dict[str, Version], scheme: str = "http", *more: str
) -> Launched:
    """The launcher before an app, with these destinations; its report will be `report.json`."""
    roles = [("--to", f"{role}={scheme}://127.0.0.1:{each.port}") for role, each in versions.items()]
    words = [*more, *(word for both in roles for word in both), "--report-file", str(tmp_path / "report.json")]
    environ = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")} if scheme == "https" else {}
    return product.launch(words, command(tmp_path / "app"), environ=environ)


def report_of(tmp_path: Path) -> Verdict:
    return Verdict(json.loads((tmp_path / "report.json").read_text()))


def until_all_have(versions: dict[str, Version], count: int) -> None:
    for role, each in versions.items():
        wait_until(lambda each=each: each.count >= count, f"{count} answers of {role}")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_packed_chunked_and_large_answers_are_compared_by_what_they_mean(product, tmp_path, certificate, scheme):
    secure = ("--certificate", str(certificate)) if scheme == "https" else ()
    levels = {"baseline": ["--level", "6"], "baseline2": ["--level", "1"], "candidate": ["--level", "9"],
              "worse": ["--level", "9", "--worse"]}  # fmt: skip
    with ExitStack() as stack:
        versions = {
            role: stack.enter_context(version(tmp_path / role, *words, *secure)) for role, words in levels.items()
        }
        with launch(product, tmp_path, versions, scheme, "--replayer-memory", "512MiB") as launched:
            launched.wait_until_listening()
            launched.wait_for_line("mirroring")
            get(launched.port, paths(0, 400))
            until_all_have(versions, 400)
            for number in range(400, 403):
                get(launched.port, paths(number, number + 1, ["large"]))
                until_all_have(versions, number + 1)
            launched.stop()
    verdict = report_of(tmp_path)
    same, worse = verdict.candidates
    assert (verdict.compared, verdict.dropped, verdict.coverage) == (403, 0, 1.0)
    assert (same.findings, same.word) == ([], "same")
    assert {noise.where for noise in same.noise} >= {"$.request", "$.token", "$.shard"}
    bodies = same.facts["bodies"]
    assert set(bodies) - {"skipped"} == {"undecodable", "equal", "json"}  # on a busy machine not all are looked into
    assert 20 <= bodies["undecodable"] <= 100
    assert 20 <= bodies["equal"] <= 103  # gzip at other levels, large ones
    found = {(finding.endpoint, finding.where, finding.how) for finding in worse.findings}
    assert ("GET /plain/{id}", "status", "200 → 500") in found
    for kind in ("plain", "chunked"):
        assert (f"GET /{kind}/{{id}}", "$.price", "type number → string") in found
    assert ("GET /gzip/{id}", "$.text", "missing") in found
    assert not any("brotli" in endpoint for endpoint, _, _ in found)
    differing = {(row["endpoint"], row["where"], row["how"]) for row in worse.facts["differences"]}
    assert ("GET /large/{id}", "$.items[].price", "type number → string") in differing
    assert "no_room" not in worse.facts["bodies"]


@pytest.mark.parametrize("who", ROLES)
def test_a_destination_that_dies_and_comes_back_is_told_as_it_was(product, tmp_path, who):
    with ExitStack() as stack:
        versions = {role: stack.enter_context(version(tmp_path / role)) for role in ROLES}
        others = {role: each for role, each in versions.items() if role != who}
        with launch(product, tmp_path, versions) as launched:
            launched.wait_until_listening()
            launched.wait_for_line("mirroring")
            get(launched.port, paths(0, 200, KINDS[:2]))
            until_all_have(versions, 200)
            versions[who].kill()
            get(launched.port, paths(200, 300, KINDS[:2]))
            until_all_have(others, 300)
            versions[who].start()
            sent = 300
            while versions[who].count < 201:  # until it is tried again
                get(launched.port, paths(sent, sent + 1))
                sent += 1
            get(launched.port, paths(sent, sent + 200, KINDS[:2]))
            until_all_have(others, sent + 200)
            wait_until(lambda: versions[who].count >= 400, "the answers of who came back")
            launched.stop()
    verdict = report_of(tmp_path)
    [candidate] = verdict.candidates
    told = verdict.compared + verdict.dropped + verdict.baseline_failed
    assert told == sent + 200
    silent = sent + 200 - versions[who].count
    assert silent >= 100
    found = {(finding.where, finding.how) for finding in candidate.findings}
    assert candidate.slower == []
    if who == "candidate":
        assert found and found <= {("status", f"200 → {why}") for why in ("refused", "reset")}
        assert candidate.mismatch("status").count == silent - verdict.dropped
    else:
        assert found == set()
        failed = verdict.baseline_failed if who == "baseline" else verdict.report["sets"]["baseline2_failed"]
        assert failed == silent - verdict.dropped


def under_load(port: int, count: int, connections: int) -> None:
    """So many requests over so many connections, as fast as they are answered."""
    each = count // connections
    ranges = [paths(start, start + each, ["plain", "chunked"]) for start in range(0, count, each)]
    threads = [threading.Thread(target=get, args=(port, some)) for some in ranges]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_of_instances_of_one_version_under_load_nothing_is_said(product, tmp_path):
    with ExitStack() as stack:
        versions = {role: stack.enter_context(version(tmp_path / role)) for role in ROLES}
        with launch(product, tmp_path, versions) as launched:
            launched.wait_until_listening()
            launched.wait_for_line("mirroring")
            under_load(launched.port, 2400, 4)
            until_all_have(versions, 2400)
            launched.stop()
    verdict = report_of(tmp_path)
    [candidate] = verdict.candidates
    assert (verdict.compared, verdict.dropped) == (2400, 0)
    assert (candidate.word, candidate.findings, candidate.slower) == ("same", [], [])
