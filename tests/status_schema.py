"""docs/status.schema.json, with nothing allowed that it does not name: what is told is described, and the other way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

FILE = Path(__file__).parent.parent / "docs" / "status.schema.json"


def check_schema(figures: dict[str, Any]) -> None:
    """Fails unless the figures are as the schema says."""
    jsonschema.Draft202012Validator(_strict(json.loads(FILE.read_text()))).validate(figures)


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(value) for name, value in schema.items()}
    return {"additionalProperties": False, **strict} if "properties" in schema and "type" in schema else strict
