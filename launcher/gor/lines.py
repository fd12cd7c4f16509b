"""Which of gor's lines may be passed on: those of a known form, without anything of a request or a configuration.

gor prints whole requests when it panics and whole records when it can't read one, so a line is known or it is not
passed on. What is known was read from the sources of 1.2.0 and 1.3.2 and from Go's own (log, flag, runtime).
"""

from __future__ import annotations

import re
from collections.abc import Callable

MAX_CHARACTERS = 200

_KNOWN = re.compile(
    rb"""\d{4}/\d\d/\d\d\ \d\d:\d\d:\d\d\ .       # Go's package log: start-up line, fatal errors
    | \[DEBUG\]\[elapsed\ [^\]]*\]:               # --verbose, --output-http-stats
    | \ ?output_(?:http|tcp):[\w,/]+$             # the figures of the latter
    | \[(?:MIDDLEWARE|GOR-HELPER)\]\ .            # our helper, and the user's program through it
    | flag\ (?:provided\ but\ not\ defined|needs\ an\ argument):
    | invalid\ (?:boolean\ )?(?:value|flag)\ .
    | (?:panic|fatal\ error|runtime):\ .          # Go's runtime; the stacks behind it are not passed on
    | gor\ run\ timeout\ .
    | Failed\ to\ decode\ input\ payload
    | [^ ]+:\ (?:error\ while\ loading\ shared\ libraries:|.*version\ `[^']+'\ not\ found)
    """,
    re.VERBOSE,
)
_REQUEST = re.compile(  # from here on it is a request, a response or a record: 1.2.0, mostly with --verbose 3
    r"""(?<=Failed\ to\ decode\ input\ payload\ ).*
    | (?<=Failed\ to\ send\ request:\ ).* | (?<=Found\ malformed\ record\ ).*
    | (?<=Sending:\ ).* | (?<=Received:\ ).* | (?<=[Rr]esponse:\ ).*
    | \b[A-Za-z]+\ \S+\ HTTP/\d.* | \bHTTP/\d\.\d\ \d{3}.*""",
    re.VERBOSE | re.DOTALL,
)
_REMOVED: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"^(invalid .*?value) .* (for (?:flag )?-[\w-]+)(: [^\"`]*)?.*$"), r"\1 \2\3"),
    (re.compile(r"^(invalid .*?value) (?!for (?:flag )?-[\w-]+).*$"), r"\1"),
    (re.compile(r' ?command\["(?:[^"\\]|\\.)*"\]'), ""),  # with all its arguments, the user's program's, too
    (re.compile(r"using (?:'.*'|\"(?:[^\"\\]|\\.)*\") command"), "using a command"),
    (re.compile(r"//[^\s/@\"]*@"), "//***@"),
    (re.compile(r"https?://[^\s\"\\]*"), lambda url: re.sub(r"\?.*", "?…", url[0])),  # whole: many in one
)


def known_line(line: bytes, mask: Callable[[str], str] = str) -> str | None:
    """The line as it may be passed on, at most `MAX_CHARACTERS` and all of them printable; None if it may not.

    `mask` takes secrets out. It is called before the line is cut: half a secret would not be recognised.
    """
    line = line.rstrip(b"\r\n")
    if not _KNOWN.match(line):
        return None
    text = _REQUEST.sub("…", line.decode(errors="backslashreplace"))
    for pattern, replacement in _REMOVED:
        text = pattern.sub(replacement, text)
    text = "".join(character if character.isprintable() else repr(character)[1:-1] for character in mask(text))
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"
