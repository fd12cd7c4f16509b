"""What is risky about a plan that has no fault, and what of gor's is told in words."""

from __future__ import annotations

import pytest

from launcher.dry_run.risks import Circumstances, Risk, find_risks
from launcher.gor import words as gor_words
from launcher.launcher_options import LauncherOptions
from launcher.options import read
from launcher.plan import Plan, make_plan

ENVIRON = {"PATH": "/usr/bin:/bin"}
TO = "--output-http http://next.internal"


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """A plan for the launcher's words and a gor.options."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()

    def make(gor_options: str, *argv: str, **environ: str) -> Plan:
        (tmp_path / "config" / "gor.options").write_text(gor_options)
        environ = {**ENVIRON, **environ}
        return make_plan(read(LauncherOptions, [*argv, "--build", "app"], environ), environ)

    return make


@pytest.fixture
def risks(plan):
    def find(gor_options: str, *argv: str, **environ: str) -> dict[str, Risk]:
        return {risk.name: risk for risk in find_risks(Circumstances(plan(gor_options, *argv, **environ)))}

    return find


def test_what_changes_data_and_what_proves_who_one_is_are_told_first(risks):
    found = list(risks(TO).values())
    assert [risk.name for risk in found] == ["writes", "credentials"]
    assert "POST, PUT, PATCH and DELETE" in found[0].text
    assert found[0].remedy.startswith("--methods safe")
    assert found[1].remedy == "--drop-header Cookie --drop-header Authorization"


@pytest.mark.parametrize(
    ("gor_options", "argv", "name"),
    [
        (f"{TO} --http-allow-method GET", [], "writes"),
        (TO, ["--methods", "safe"], "writes"),
        (TO, ["--drop-header", "cookie", "--drop-header", "AUTHORIZATION"], "credentials"),
        (f"{TO} --http-set-header 'Authorization: x' --http-set-header 'Cookie: x'", [], "credentials"),
        ("--output-http http://user:word@next.internal", ["--drop-header", "Cookie"], "credentials"),
        ("--output-http https://next.example.com", [], "clear-text"),
        ("--output-http http://10.1.2.3", [], "clear-text"),
        ("--output-http http://next", [], "clear-text"),
        (f"{TO} --output-http-skip-verify", [], "unverified"),  # there is nothing to verify
        (f"{TO} --output-http-redirects 0", [], "redirects"),
        (f"{TO} --output-http-skip-verify=false", [], "unverified"),
        (f"{TO} --output-null", [], "recorded"),
        ("--output-null", [], "writes"),
    ],
)
def test_what_is_taken_care_of_is_no_risk(risks, gor_options, argv, name):
    assert name not in risks(gor_options, *argv)


@pytest.mark.parametrize(
    ("gor_options", "argv", "environ", "name", "words"),
    [
        (f"{TO} --http-allow-method GET --http-allow-method PUT", [], {}, "writes", "what PUT do"),
        (TO, ["--drop-header", "Cookie"], {}, "credentials", "Authorization is sent on"),
        ("--output-http http://u:p4ss@next.example.com", [], {}, "clear-text", "http://***@next.example.com"),
        ("--output-http http://8.8.8.8", [], {}, "clear-text", "http://8.8.8.8"),
        ("--output-http https://next --output-http-skip-verify", [], {}, "unverified", "whoever answers"),
        (f"{TO} --http-original-host", [], {}, "original-host", "Host stays"),
        (f"{TO} --output-http-redirects 3", [], {}, "redirects", "where else"),
        ("--output-file '/tmp/%Y.gor|10%' --output-stdout", [], {}, "recorded", "written to /tmp/%Y.gor and the log"),
        (f"{TO} --output-http-track-response", [], {}, "answers", "is kept"),
        (TO, ["--drain-timeout", "40"], {"DYNO": "web.1", "PORT": "5000"}, "grace", "killed 30 s after"),
        (TO, ["--buffer", "1MiB"], {}, "buffer", "copies of over 1MiB are dropped"),
    ],
)
def test_each_risk_is_told_with_what_changes_it(risks, gor_options, argv, environ, name, words):
    risk = risks(gor_options, *argv, **environ)[name]
    assert words in risk.text.replace("does", "do")
    assert risk.remedy


def test_what_a_name_resolves_to_tells_whether_the_way_is_public(plan):
    made = plan("--output-http http://next.example.com --output-http http://next.internal")
    found = find_risks(Circumstances(made, {0: ["10.0.0.7"], 1: ["fd00::1", "93.184.216.34"]}))
    assert [risk.text.split()[0] for risk in found if risk.name == "clear-text"] == ["http://next.internal"]


def test_a_machine_without_a_private_address_lets_clients_pass_for_local_callers(plan):
    found = find_risks(Circumstances(plan(TO), has_private_address=False))
    assert "local-callers" in [risk.name for risk in found]
    found = find_risks(Circumstances(plan(TO, "--app-socket", "/tmp/s"), has_private_address=False))
    assert "local-callers" not in [risk.name for risk in found]


# ---- gor's words ---------------------------------------------------------------------------------------------------


def test_gor_s_filters_and_changes_are_told_in_words_and_no_value_of_a_header_with_them(plan):
    options = plan(
        "--output-http 'http://a|10' --output-http 'http://b|20%' --http-allow-method GET --http-allow-method HEAD "
        "--http-allow-url ^/a --http-allow-url ^/b --http-disallow-url '[.]js$' --http-header-limiter 'user-id:25%' "
        "--http-set-header 'X-Api-Key: s3cret' --http-rewrite-url '/v1/(.*):/v2/$1' --http-original-host "
        "--split-output --output-http-timeout 3s"
    ).gor_options
    assert gor_words.filters(options) == [
        "only the methods GET and HEAD",
        "only URLs in which this is found: ^/a or ^/b",
        "no URLs in which this is found: [.]js$",
        "the same users in or out, by a header's hash: user-id:25%",
    ]
    assert gor_words.changes(options) == [
        "the header is set: X-Api-Key: ***",
        "URLs are rewritten: /v1/(.*):/v2/$1",
        "Host stays what the client sent",
        "each copy goes to one output only, in turn",
    ]
    assert [option.name for option in gor_words.others(options)] == ["output-http-timeout"]
    assert [gor_words.limit_of(option) for option in options[:3]] == [
        "at most 10 copies a second", "20 % of the copies, by lot", "",
    ]  # fmt: skip
