# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""pentelctl's JSON against the schemas that it is shipped with."""

import json
from pathlib import Path

import jsonschema

SCHEMAS = Path(__file__).resolve().parents[2] / "client/ctl/schema"


def strict(schema):
    """No key beyond those in the schema: what is not documented is a defect here."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema["additionalProperties"] = False
        for value in schema.values():
            strict(value)
    elif isinstance(schema, list):
        for value in schema:
            strict(value)
    return schema


def errors_of(name, value):
    """Where what `pentelctl name --json` printed is not as documented."""
    schema = strict(json.loads((SCHEMAS / f"{name}.json").read_text()))
    jsonschema.Draft202012Validator.check_schema(schema)
    return list(jsonschema.Draft202012Validator(schema).iter_errors(value))
