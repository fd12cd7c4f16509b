"""The README's terminal pictures are what the built file prints today, but for numbers."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.system.machine import free_port

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def pictures(monkeypatch, pyz):
    monkeypatch.syspath_prepend(str(ROOT / "demo"))
    import pictures

    yield pictures
    del sys.modules["pictures"]


def without_numbers(text: str) -> str:
    return " ".join(re.sub(r"\d+(\.\d+)*", "N", text).split())


def test_the_picture_of_a_dry_run_is_of_today(pictures, tmp_path):
    made = pictures.dry_run(tmp_path, port=free_port(), first=free_port(), second=free_port())
    shown = pictures.place("dry-run", (ROOT / "README.md").read_text())[1]
    assert without_numbers(shown) == without_numbers(made), ".venv/bin/python demo/pictures.py makes it anew"
