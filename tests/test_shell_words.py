import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from launcher.options import ConfigurationError
from launcher.shell_words import read_words

FILE = "config/gor.options"
ENVIRON = {"X": "one", "Y_2": " two  three\t", "EMPTY": "", "BLANK": " \n", "STAR": "*", "QUOTES": "'a b' \\c \""}
SHELL = shutil.which("dash") or "sh"  # bash doesn't split $A in $A$, whatever POSIX says
FUNCTION = "w() { for word do printf '%s\\0' \"$word\"; done; }; set -f; w "


def values(text: str, environ: Mapping[str, str] = ENVIRON) -> list[str]:
    return [word.value for word in read_words(text, file=FILE, environ=environ)[0]]


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_words(text, file=FILE, environ=ENVIRON)
    return str(caught.value)


def words_of_sh(text: str) -> list[str] | None:
    """What a real shell makes of the text as arguments; None if it is no valid shell text."""
    script = [SHELL, "-c", f"{FUNCTION}{text}\n"]
    done = subprocess.run(script, capture_output=True, env={**ENVIRON, "LC_ALL": "C"}, check=False)
    return done.stdout.decode().split("\0")[:-1] if done.returncode == 0 and not done.stderr else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\n\n", []),
        ("a b", ["a", "b"]),
        ("a\nb  c\n", ["a", "b", "c"]),
        ("--output-http\n  'http://host|10'\n", ["--output-http", "http://host|10"]),
        ("# a comment\na # b\nc#d '#e' \\#f", ["a", "c#d", "#e", "#f"]),
        ("# 'an open quote\na", ["a"]),
        ("# not continued \\\na", ["a"]),
        ("a \\\n  b\\\nc", ["a", "bc"]),
        ("a \\\n# comment\nb", ["a", "b"]),
        ("a\\", ["a"]),
        ("a \\\n", ["a"]),
        ("\\a\\ b \\\\ \\' \\\" \\$X", ["a b", "\\", "'", '"', "$X"]),
        ("'a b' '' 'c'd\"e\"", ["a b", "", "cde"]),
        ("'a\\b$X`#\"\n'", ["a\\b$X`#\"\n"]),
        ('"a b" "" "a\'b"', ["a b", "", "a'b"]),
        ('"\\a\\$X\\`\\"\\\\\\\nb"', ['\\a$X`"\\b']),
        ("$X ${X} $X$X a$X/b ${X}b", ["one", "one", "oneone", "aone/b", "oneb"]),
        ('"$X" "${X}b" "a $X"', ["one", "oneb", "a one"]),
        ("$EMPTY", []),
        ('"$EMPTY" $EMPTY"" a$EMPTY', ["", "", "a"]),
        ("$BLANK a${BLANK}b", ["a", "b"]),
        ('a$Y_2"b"', ["a", "two", "three", "b"]),
        ('"$Y_2"', [" two  three\t"]),
        ("$QUOTES", ["'a", "b'", "\\c", '"']),
        ("$X#a $EMPTY#a", ["one#a", "#a"]),
        ("$STAR ^/api/.*$ a?[b]{c,d} !x =% ]", ["*", "^/api/.*$", "a?[b]{c,d}", "!x", "=%", "]"]),
        ("$ a$ $/ $= \"$\" \"a$ b\" \"$'\"", ["$", "a$", "$/", "$=", "$", "a$ b", "$'"]),
        ("a~ a=~ '~' \\~ ''~", ["a~", "a=~", "~", "~", "~"]),
        ("$\\\nX $X\\\n/ ${\\\nX\\\n} $Y_\\\n2", ["one", "one/", "one", "two", "three"]),
        ("\u00a0a\x0b \u2003", ["\u00a0a\x0b", "\u2003"]),
    ],
)
def test_a_text_becomes_the_words_of_a_shell(text: str, expected: list[str]) -> None:
    assert values(text) == expected


def test_dos_line_ends_and_a_byte_order_mark_are_nothing() -> None:
    assert values("\ufeffa \\\r\nb # c\r\nd 'e\r\nf'\r\n") == ["a", "b", "d", "e\nf"]


def test_each_word_knows_its_line() -> None:
    words, _ = read_words("a b\n\n'c\nd'e \\\n f $Y_2\n", file=FILE, environ=ENVIRON)
    assert [(word.value, word.where) for word in words] == [
        ("a", f"{FILE}:1"), ("b", f"{FILE}:1"), ("c\nde", f"{FILE}:3"), ("f", f"{FILE}:5"), ("two", f"{FILE}:5"),
        ("three", f"{FILE}:5"),
    ]


def test_a_word_is_shown_with_its_variables_unexpanded() -> None:
    words, expanded = read_words("a$X'$X'\"${X}\" $Y_2 $EMPTY'' b", file=FILE, environ=ENVIRON)
    assert [word.shown for word in words] == ["a$X$X$X", "$Y_2", "$Y_2", "", "b"]
    assert expanded == {"one": "$X", " two  three\t": "$Y_2", "two": "$Y_2", "three": "$Y_2", "": "$Y_2"}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("\n a http://host|10", "2: an unquoted | would be a pipe in a shell: put the whole value into single quotes"),
        ("a & b", "1: an unquoted & would start a command in the background"),
        ("a;b", "1: an unquoted ; would end the command"),
        ("a\n<b", "2: an unquoted < would read from a file"),
        ("a 2>b", "1: an unquoted > would write to a file"),
        ("/(a|b)", "1: an unquoted ( would start a subshell"),
        ("a)", "1: an unquoted ) would end a subshell"),
        ("a `b`", "1: commands in backquotes are not run here"),
        ('a "`b`"', "1: commands in backquotes are not run here"),
        ("$(b)", "1: commands in $(...) are not run here"),
        ('"$((1+1))"', "1: commands in $(...) are not run here"),
        ("a\n\n${X:-b}", "3: of ${...} only ${NAME} is known here"),
        ("${#X}", "1: of ${...} only ${NAME} is known here"),
        ("${1}", "1: of ${...} only ${NAME} is known here"),
        ("${X", "1: of ${...} only ${NAME} is known here"),
        ('"${}"', "1: of ${...} only ${NAME} is known here"),
        ("/a:/b/$1", "1: $1 would be a parameter of a shell"),
        ('"$$"', "1: $$ would be a parameter of a shell"),
        ("^/a$?", "1: $? would be a parameter of a shell"),
        ("$@", "1: $@ would be a parameter of a shell"),
        ("$'a'", "1: shells differ about $'"),
        ('$"a"', '1: shells differ about $"'),
        ("~/requests.gor", "1: ~ would become a home folder"),
        ("a ~b", "1: ~ would become a home folder"),
        ("a\n$UNSET", "2: the variable UNSET is not set"),
        ('"${UNSET}"', "1: the variable UNSET is not set"),
        ("a 'b\n\n", "1: the single quote that opens here is never closed"),
        ("a\n\"b'\n", "2: the double quote that opens here is never closed"),
        ('"b\\"', "1: the double quote that opens here is never closed"),
        ("a\nb\0", "2: a NUL byte can't be part of an option"),
        ("a\udce9", "1: a byte that is no UTF-8 can't be part of an option"),
        ("\r\n\r\n'", "3: the single quote that opens here is never closed"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, error: str) -> None:
    assert refusal(text).startswith(f"{FILE}:{error}")


def test_no_refusal_shows_what_a_variable_holds() -> None:
    for text in ("$X|", '"$X', "$X$(", "'$X", "$X${Y-}", "$X$UNSET"):
        with pytest.raises(ConfigurationError) as caught:
            read_words(text, file=FILE, environ={"X": "SECRET"})
        assert "SECRET" not in str(caught.value)


anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)
separators = st.sampled_from([" ", "\t", "  ", " \\\n", "\\\n "])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(anything.map(shlex.quote), separators), max_size=8))
def test_quoted_words_are_read_as_sh_reads_them(pieces: list[tuple[str, str]]) -> None:
    text = "".join(word + separator for word, separator in pieces)
    assert values(text) == words_of_sh(text)


@given(st.lists(anything, max_size=8), st.sampled_from(["\n", " ", "\n# it's a comment\n"]))
def test_whatever_was_quoted_comes_back_one_or_several_a_line(words: list[str], separator: str) -> None:
    assert values(separator.join(shlex.quote(word) for word in words)) == words


pieces_of_shell = st.sampled_from(
    ["a", "b_2", "'", '"', "\\", "\\\n", " ", "\t", "#", "$", "$X", "${X}", "$Y_2", "$EMPTY", "$BLANK", "$QUOTES", "${",
     "}", "{", "=", "%", "!", "*", "?", "[", "]", "^", ",", "é", "~", "/", ":", "-", "--x=", "|"]
)


def is_one_line_for_sh(text: str) -> bool:
    """For a shell a line's end ends the command, and a comment ends there: that is where we differ on purpose."""
    return not re.search(r"\\\\\n|#.*\n", text, re.DOTALL)


@settings(max_examples=500, deadline=None)
@given(st.lists(pieces_of_shell, max_size=10).map("".join))
def test_any_text_is_refused_or_read_as_sh_reads_it(text: str) -> None:
    assume(is_one_line_for_sh(text))
    assume(not text.endswith("\\"))  # the test's own line end would be escaped
    try:
        ours = values(text)
    except ConfigurationError as error:
        if "never closed" in str(error):
            assert words_of_sh(text) is None
    else:
        assert ours == words_of_sh(text)
