"""`config/gor.options`: an error is one line that names its place, a variable's value is never shown, quoting works."""

from __future__ import annotations

import re
import shlex
from collections.abc import Hashable

from launcher.gor.options import read_gor_options
from launcher.options import ConfigurationError
from launcher.shell_words import read_words

FILE = "gor.options"
SECRET = "s3cr3t9"
ENVIRON = {"T": SECRET, "S": f" {SECRET} {SECRET}x", "E": "", "U": f"http://u:{SECRET}@h/?k={SECRET}", "B": " \t\n"}
WORDS = (
    *(b"--output-http='http://a|10'", b"--input-raw :80", b"--http-set-header 'A: b'", b"$T", b"${S}"),
    *(b'"$U"', b"$E", b"\\\n", b"\\", b"'", b'"', b"#", b"--http-allow-method GET", b"-verbose 1", b"$B", b"`"),
    *(b"--output-http-workers 5", b"--http-rewrite-url a:b", b"--stats", b"--output-file /a", b"%", b"$(", b"\r\n"),
)  # fmt: skip
TEXTS = {
    "one destination": "--output-http http://example.com\n",
    "a limit": "--output-http 'http://example.com|10%' --stats\n# a comment\n",
    "variables": '--output-http "$U" --http-set-header "Authorization: $T" --http-set-header A:${T}\n',
    "fields": "--output-http $U $E $B\n--output-http-timeout $S\n",
    "a continuation": "--output-http \\\n  http://a\\ b --split-output\n",
    "an unset variable": "--output-http $NONE\n",
    "a pipe": "--output-http http://a|10\n",
    "an unknown flag": "--output-htp http://a\n",
    "curly quotes": "--output-http \u201chttp://a\u201d\n",
    "filters": "--http-allow-url ^/a --http-disallow-header 'User-Agent: x' --http-rewrite-url '/v1/(.*):/v2/$1'\n",
}


def seeds() -> dict[str, bytes]:
    """Files of all kinds."""
    return {title: text.encode() for title, text in TEXTS.items()}


def check(data: bytes) -> Hashable:
    """Raises AssertionError if the reader breaks a promise. Returns the kind of outcome."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        words, _ = read_words(text, file=FILE, environ=ENVIRON)
    except ConfigurationError as error:
        assert_is_one_line_with_its_place(str(error), text)
        assert_hides_the_secret(str(error), text)
        return re.sub(r"[^a-z ]", "", str(error))[:60]
    assert_quoted_words_are_read_as_they_are([word.value for word in words])
    for word in words:
        assert_hides_the_secret(word.shown, text)
    try:
        options = read_gor_options(text, file=FILE, environ=ENVIRON)
    except ConfigurationError as error:
        assert_is_one_line_with_its_place(str(error), text)
        assert_hides_the_secret(str(error), text)
        return re.sub(r"[^a-z ]", "", str(error))[-60:]
    for shown in (*options.warnings, *(option.shown for option in options.options)):
        assert_hides_the_secret(shown, text)
    return tuple(sorted({option.name for option in options.options}))[:3]


def assert_is_one_line_with_its_place(error: str, text: str) -> None:
    place = re.match(rf"{re.escape(FILE)}:(\d+): .", error)
    assert place, "an error does not begin with its place"
    assert 1 <= int(place[1]) <= text.count("\n") + 1, "an error names a line that is not there"


def assert_hides_the_secret(shown: str, text: str) -> None:
    assert SECRET in text or SECRET not in shown, "a variable's value is shown"


def assert_quoted_words_are_read_as_they_are(values: list[str]) -> None:
    again, expanded = read_words(" ".join(map(shlex.quote, values)), file=FILE, environ={})
    assert [word.value for word in again] == [value.replace("\r\n", "\n") for value in values] and not expanded
