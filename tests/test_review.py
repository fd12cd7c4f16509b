"""`--dry-run --build`: what a build log says of the app's Procfile."""

from __future__ import annotations

import os

import pytest

from launcher import cli, itself

TO = {"TRAFFIC_DUPLICATOR_TO": "http://user:secret-word@next.example.com"}


@pytest.fixture
def review(tmp_path, monkeypatch, capsys):
    """Reviews a Procfile in a folder of its own: the exit status and what is printed."""

    def run(procfile: str | bytes | None, gor_options: str = "", **environ: str) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        if procfile is not None:
            (tmp_path / "Procfile").write_bytes(procfile if isinstance(procfile, bytes) else procfile.encode())
        if gor_options:
            (tmp_path / "config").mkdir()
            (tmp_path / "config" / "gor.options").write_text(gor_options)
        given = {"PATH": os.defpath, **environ}
        monkeypatch.setattr(cli, "original_environ", lambda: given)
        monkeypatch.setattr(cli.sys, "argv", ["start-traffic-duplicator", "--dry-run", "--build"])
        status = cli.main()
        return status, capsys.readouterr().out

    return run


def test_a_sound_line_is_told_in_one_sentence_without_its_credentials(review):
    assert review("web: start-traffic-duplicator no-such-program -p $PORT", **TO) == (
        0,
        "web: copies all requests to http://***@next.example.com, sent on by the built-in replayer\n",
    )


def test_no_destination_is_a_problem_and_says_what_happens(review):
    status, said = review("web: start-traffic-duplicator puma")
    assert status == 1
    said = said.replace("\n ", "")
    assert said.startswith("problem: Procfile:1, web: there is no destination: ")
    assert said.endswith("; the app would run unmirrored\n")


def test_a_fault_in_the_options_file_is_told_with_file_and_line(review):
    status, said = review("web: start-traffic-duplicator puma", "\n--output-http 'x\n")
    assert status == 1
    assert "config/gor.options:2: the single quote" in said


def test_an_unset_variable_of_the_options_file_is_named_and_one_that_is_set_is_not_shown(review):
    assert "the variable TOKEN is not set" in review(
        "web: start-traffic-duplicator puma", '--http-set-header "A: $TOKEN"', **TO
    )[1].replace("\n ", "")
    status, said = review("web: start-traffic-duplicator puma", **TO, TOKEN="hush-hush")
    assert status == 0
    assert "hush-hush" not in said


def test_wrong_usage_is_a_problem(review):
    status, said = review("web: start-traffic-duplicator --sample abc puma", **TO)
    assert status == 1
    assert "would exit with 2, without starting the app" in said.replace("\n ", "")


def test_an_option_with_a_variable_that_only_the_platform_knows_is_no_problem(review):
    status, said = review("web: start-traffic-duplicator --to $NEXT puma", **TO)
    assert (status, said) == (
        0,
        "warning: Procfile:1, web: $NEXT is not set here: what depends on it is not checked\n",
    )


def test_a_command_that_is_missing_is_a_problem(review):
    status, said = review("web: start-traffic-duplicator --sample 10", **TO)
    assert status == 1
    assert "no COMMAND stands behind the word" in said


def test_every_line_that_uses_the_word_is_judged(review):
    lines = "web: start-traffic-duplicator x\nb: start-traffic-duplicator --sample z y\n"
    status, said = review(lines, **TO)
    assert status == 1
    assert said.startswith("web: copies ")
    assert "problem: Procfile:2, b: " in said


def test_a_process_without_clients_is_no_problem(review):
    assert review("worker: start-traffic-duplicator sidekiq") == (
        0,
        "worker: would run as it is: a platform sends clients, and gives a PORT, to web alone\n",
    )


def test_a_process_with_a_port_of_its_own_is_judged_as_web_is(review):
    status, said = review("api: start-traffic-duplicator --port 80 puma")
    assert status == 1
    assert said.startswith("problem: Procfile:1, api: there is no destination")


def test_a_word_in_a_shell_s_text_is_judged(review):
    status, said = review("web: bash -c 'cd x && exec start-traffic-duplicator puma -p 3000'", **TO)
    assert status == 0
    assert "the fixed port 3000" in said.replace("\n ", "")


def test_the_kill_switch_is_told(review):
    status, said = review("web: start-traffic-duplicator x", TRAFFIC_DUPLICATOR_ENABLED="false", **TO)
    assert status == 0
    assert said == "web: would run by itself, unmirrored: TRAFFIC_DUPLICATOR_ENABLED is false\n"


@pytest.mark.parametrize(
    ("procfile", "status", "start"),
    [
        (None, 0, "There is no Procfile yet: "),
        ("web: puma", 0, "Procfile does not use the word yet: "),
        (b"a: b\nweb: \xff", 1, "problem: Procfile:2 is not UTF-8: "),
    ],
)
def test_a_procfile_that_says_nothing_of_the_word(review, procfile, status, start):
    found, said = review(procfile)
    assert found == status
    assert said.startswith(start)


@pytest.mark.parametrize("flag", ["--build", "--offline"])
def test_what_belongs_to_a_dry_run_is_refused_without_it(flag, monkeypatch, capfd):
    monkeypatch.setattr(cli.sys, "argv", ["start-traffic-duplicator", flag, "app"])
    assert cli.main() == 2
    assert capfd.readouterr().err == f"Error: {flag} needs --dry-run beside it\n"


def test_a_dry_run_for_a_build_looks_neither_for_the_command_nor_for_ports(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "original_environ", lambda: {"PATH": os.defpath, "PORT": "1", **TO})
    monkeypatch.setattr(cli.sys, "argv", ["start-traffic-duplicator", "--dry-run", "--build", "no-such-program"])
    assert cli.main() == 0
    assert "no-such-program" in capsys.readouterr().out


def test_a_defect_before_the_app_is_started_is_the_caller_s_to_mend(monkeypatch):
    monkeypatch.setattr(cli, "_run", lambda argv: 1 / 0)
    monkeypatch.setattr(itself, "_app_was_started", False)
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_a_defect_after_the_app_was_started_ends_with_a_status_of_its_own(monkeypatch, capfd):
    monkeypatch.setattr(cli, "_run", lambda argv: 1 / 0)
    monkeypatch.setattr(itself, "_app_was_started", True)
    assert cli.main() == 70
    assert "Error: a defect of start-traffic-duplicator has ended it; " in capfd.readouterr().err
