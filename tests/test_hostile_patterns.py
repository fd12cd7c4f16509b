"""No regular expression that meets a stranger's bytes takes more than linear time, as far as made-up texts tell.

Quadratic time is half a minute for a head of 64 KB, and the launcher's event loop is everybody's.
"""

from __future__ import annotations

import importlib
import random
import re
import time
from pathlib import Path

import pytest

from tests.hostile_texts import Hostile, Use, hostile, uses_in
from tests.linear import assert_linear

PACKAGE = Path(__file__).resolve().parent.parent / "launcher"
# These read what whoever runs the launcher has written: options, patterns, the Procfile, the command.
ITS_OWN = {
    "app_command", "command_hints", "destinations", "launcher_options", "options", "parser", "procfile", "shell_words",
    "template", "until", "values",
}  # fmt: skip
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.stem not in ITS_OWN and "re." in path.read_text())
TEXTS = 400  # of each
SHORT, LONG = 1000, 16_000
HOPELESS_SECONDS = 0.1  # for a short one, which takes a millisecond at most


def seconds(use: Use, text: Hostile, nbytes: int) -> float:
    data = text.of(nbytes)
    begun = time.process_time()
    use(data)
    return time.process_time() - begun


def assert_takes_linear_time(use: Use) -> None:
    """Of many short texts the slowest three are tried long."""
    took: list[tuple[float, Hostile]] = []
    for text in hostile(use.pattern, random.Random(1), TEXTS):
        took.append((seconds(use, text, SHORT), text))
        assert took[-1][0] < HOPELESS_SECONDS, text
    for _, text in sorted(took, key=lambda item: -item[0])[:3]:
        assert_linear(text.of, use, LONG)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE).with_suffix("")))
def test_an_expression_takes_linear_time(path: Path) -> None:
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for use in set(uses_in(path, importlib.import_module(name))):
        assert_takes_linear_time(use)


@pytest.mark.parametrize(("pattern", "function"), [
    (rb"([0-9a-fA-F]{1,20})(?:;[^\n]*)?[ \t]*\r\n", "fullmatch"),  # each of these was here once
    (rb"\nlocation:[ \t]*([^\r\n]*?)[ \t]*\r?\n", "search"),
    (rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*", "fullmatch"),
    (rb"([^ ]+) (https?://[^/?#]*)?([^ ]*) ", "match"),
])  # fmt: skip
def test_one_that_takes_more_is_found(pattern: bytes, function: str) -> None:
    with pytest.raises(AssertionError):
        assert_takes_linear_time(Use("planted", re.compile(pattern), function))
