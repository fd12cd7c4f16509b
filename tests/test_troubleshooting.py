"""docs/troubleshooting.md has a section for every warning and error that a log or a terminal can show.

The sources are walked: a new one without a section fails here, and says which words the page lacks.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
SOURCES = sorted((ROOT / "launcher").rglob("*.py"))
STARTERS = [ROOT / "packaging" / "boot.py", ROOT / "packaging" / "stub.sh"]
REFUSALS = {"UsageError", "ConfigurationError", "CannotStart"}
LEAST_CHARACTERS = 8  # of a text's longest piece between two values: less is found everywhere


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def name_of(function: ast.expr) -> str:
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else ""


def told_names() -> set[str]:
    """The `at` of each line that may be a warning or an error."""
    names = set()
    for path in SOURCES:
        for call in calls(path):
            levels = [keyword.value for keyword in call.keywords if keyword.arg == "level"]
            if name_of(call.func) == "log" and levels and call.args:
                at = call.args[0]
                assert isinstance(at, ast.Constant), f"{path}:{call.lineno}: the name of a line is a plain text"
                names.add(str(at.value))
    for path in [*SOURCES, *STARTERS]:
        names |= set(re.findall(r"traffic-duplicator at=([a-z-]+) level=(?:warning|error|\$1)", path.read_text()))
    return names


def longest_piece(text: ast.expr) -> str:
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    pieces = [str(part.value) for part in parts if isinstance(part, ast.Constant)]
    return max(pieces, key=len, default="").strip(" :;,'()")


def refusals() -> set[str]:
    """Of each problem and each wrong usage, the longest piece that is always there."""
    pieces = set()
    for path in SOURCES:
        for call in calls(path):
            is_problem = name_of(call.func) == "append" and "_problems" in ast.unparse(call.func)
            if (name_of(call.func) in REFUSALS or is_problem) and call.args:
                pieces.add(longest_piece(call.args[-1]))
    return {piece for piece in pieces if len(piece) >= LEAST_CHARACTERS}


HEADINGS = set(re.findall(r"^#+ .*", PAGE, re.MULTILINE))
WORDS = " ".join(re.sub(r"[`*]", "", PAGE).split())


@pytest.mark.parametrize("name", sorted(told_names()))
def test_every_warning_and_error_has_a_section_under_its_name(name: str) -> None:
    assert any(f"`at={name}`" in heading for heading in HEADINGS), f"docs/troubleshooting.md has no heading `at={name}`"


@pytest.mark.parametrize("piece", sorted(refusals()))
def test_every_problem_is_found_by_its_words(piece: str) -> None:
    assert " ".join(piece.replace("`", "").split()) in WORDS, f"docs/troubleshooting.md lacks these words: {piece}"


def test_no_section_is_about_a_line_that_there_is_no_more() -> None:
    told = {name for heading in HEADINGS for name in re.findall(r"`at=([a-z-]+)`", heading)}
    assert told <= told_names()
