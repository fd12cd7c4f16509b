"""Which lines of a Procfile use the word, and which words are the launcher's then."""

from __future__ import annotations

import pytest

from launcher.procfile import unknown_variables, uses


def words(command: str, **environ: str) -> tuple[str, ...]:
    (use,) = uses(f"web: {command}", environ)
    return use.words


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("start-traffic-duplicator puma -p $PORT", ("puma", "-p", "$PORT")),
        ("bin/start-traffic-duplicator puma", ("puma",)),
        ("./bin/start-traffic-duplicator.pyz --sample 10 puma", ("--sample", "10", "puma")),
        ("RAILS_ENV=x start-traffic-duplicator puma", ("puma",)),
        ("cd app && start-traffic-duplicator puma", ("puma",)),
        ("start-traffic-duplicator bash -c 'cd x && exec puma'", ("bash", "-c", "cd x && exec puma")),
        ("start-traffic-duplicator puma > log 2>&1", ("puma",)),
        ('start-traffic-duplicator puma -e "a b"', ("puma", "-e", "a b")),
        ("start-traffic-duplicator", ()),
        ('bash -c "cd x && exec start-traffic-duplicator --sample 10 puma"', ("--sample", "10", "puma")),
        ("env A=b sh -ec 'start-traffic-duplicator puma; echo done' x", ("puma",)),
    ],
)
def test_the_words_behind_the_word_are_split_as_a_shell_splits_them(command, expected):
    assert words(command) == expected


def test_variables_that_are_known_are_put_in():
    assert words("start-traffic-duplicator --to $NEXT ${NEXT}x", NEXT="http://n") == ("--to", "http://n", "http://nx")


def test_variables_that_are_not_known_are_named_but_for_the_port():
    assert unknown_variables(["-p", "$PORT", "$A", "${B}$A"]) == ["A", "B"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "web: puma",
        "# web: start-traffic-duplicator puma",
        "web: echo my-start-traffic-duplicator-x",
        "start-traffic-duplicator: puma",
        "no process line with start-traffic-duplicator",
    ],
)
def test_a_line_without_the_word_is_no_use_of_it(text):
    assert list(uses(text, {})) == []


def test_lines_are_counted_and_line_ends_of_windows_are_taken():
    found = list(uses("\ufeffrelease: x\r\n\r\nweb: start-traffic-duplicator puma\r\n", {}))
    assert [(use.line, use.process, use.words) for use in found] == [(3, "web", ("puma",))]


@pytest.mark.parametrize("operator", ["&&", "||", ";", "|", "&"])
def test_what_ends_the_command_is_told_of_and_left_out(operator):
    (use,) = uses(f"web: start-traffic-duplicator a b {operator} c", {})
    assert use.words == ("a", "b")
    (warning,) = use.warnings
    assert warning.endswith("write bash -c '...' after the word, with exec before the app's own command")


def test_a_quote_that_is_never_closed_is_told_of():
    (use,) = uses("web: start-traffic-duplicator puma 'x", {})
    assert use.warnings == ("the shell will refuse this line: no closing quotation",)
