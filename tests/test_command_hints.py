"""What is told to somebody whose command only a shell would understand."""

from __future__ import annotations

import pytest

from launcher.command_hints import hints, unexpanded_port_hint, why_no_command


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["RAILS_ENV=production", "rails", "s"], "put it before start-traffic-duplicator"),
        (["cd", "app"], "cd is a shell's own command"),
        ([".", "env.sh"], ". is a shell's own command"),
        (["exec", "puma"], "exec is a shell's own command"),
        (["bundle exec puma -p 5000"], "make one word of the whole command"),
    ],
)
def test_what_no_program_can_be_called_is_explained(command, told):
    assert told in str(why_no_command(command))


@pytest.mark.parametrize("command", [[], ["puma"], ["bin/my app", "x"], ["./a=b"], ["bash", "-c", "cd x && exec y"]])
def test_what_may_be_a_program_is_not_doubted(command):
    assert why_no_command(command) is None


@pytest.mark.parametrize(
    "command",
    [
        ["puma", "-p", "3000"],
        ["puma", "-p3000"],
        ["puma", "--port=3000"],
        ["puma", "-b", "tcp://0.0.0.0:3000"],
        ["gunicorn", "--bind", "0.0.0.0:3000", "app"],
        ["gunicorn", "--bind=[::]:3000", "app"],
        ["server", "--listen", ":3000"],
    ],
)
def test_a_fixed_port_is_named(command):
    (hint,) = hints(command, 5000)
    assert hint.startswith("the command has the fixed port 3000, ")


@pytest.mark.parametrize(
    "command",
    [
        ["puma", "-p", "$PORT"],
        ["puma", "-p", "{port}"],
        ["puma", "-p", "${PORT:-3000}"],
        ["puma", "-p", "5000"],  # the clients' port, which the launcher replaces
        ["cp", "-p", "3000.txt"],
        ["puma", "-t", "16:32"],
        ["java", "-Xmx3000m"],
        ["mkdir", "-p", "3"],
        ["app", "-p"],
    ],
)
def test_what_is_no_fixed_port_is_not_told_of(command):
    assert list(hints(command, 5000)) == []


def test_an_option_of_ours_behind_the_command_is_told_of():
    (hint,) = hints(["puma", "--to", "http://next.example.com"], 5000)
    assert hint == "--to stands behind the command, so it is the app's: put it before the command"


def test_an_option_that_apps_have_too_is_not_told_of():
    assert list(hints(["rails", "s", "--host", "0.0.0.0", "--help", "--version"], 5000)) == []


@pytest.mark.parametrize("word", ["$PORT", "${PORT}", "${PORT:-3000}", "tcp://0.0.0.0:$PORT"])
def test_a_port_that_no_shell_has_put_in_is_told_of(word):
    assert "write {port} instead" in unexpanded_port_hint(["puma", "-b", word])


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["puma", "-p", "5000"],
        ["puma", "$PORTAL"],
        ["/bin/sh", "-c", "puma -p $PORT"],
        ["nice", "bash", "-c", "puma -p $PORT"],
    ],
)
def test_a_port_that_a_shell_will_put_in_is_not(command):
    assert unexpanded_port_hint(command) == ""
