"""Holds what a command printed to the schema that docs/json has of it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from tests.schemas.generate import DIRECTORY


def valid(name: str, printed: Any) -> None:
    """Raises ValidationError unless ``printed`` is as docs/json/``name``.schema.json says, with no
    field that it does not tell of."""
    _validator(name).validate(printed)


@cache
def _validator(name: str) -> Draft202012Validator:
    schema = json.loads((DIRECTORY / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    for each in (schema, *schema.get("$defs", {}).values()):
        if "properties" in each:  # later versions may add fields, this one must not unseen
            each["additionalProperties"] = False
    return Draft202012Validator(schema)
