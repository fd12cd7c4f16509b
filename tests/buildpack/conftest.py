"""The built file, as for the system tests."""

from tests.system.conftest import pyz

__all__ = ["pyz"]
