"""What the system tests share: the built file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.system.launched import Product


@pytest.fixture(scope="session")
def pyz() -> Path:
    """The built file. `python3 build.py test` builds it and says where it is."""
    name = os.environ.get("TRAFFIC_DUPLICATOR_PYZ")
    if not name:
        pytest.fail("TRAFFIC_DUPLICATOR_PYZ names no built file: run these tests by `python3 build.py test`")
    path = Path(name).resolve()
    if not path.is_file():
        pytest.fail(f"TRAFFIC_DUPLICATOR_PYZ is {name}, where no file is: run `python3 build.py`")
    return path


@pytest.fixture(scope="session")
def product(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Product:
    return Product(pyz, tmp_path_factory.mktemp("home"))
