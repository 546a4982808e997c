"""Events as others may have stored them: each type against its golden file, which may only be added to."""

import json
from pathlib import Path
from typing import Any

import pytest
from marshmallow import fields, validate

from shared.events import SCHEMAS, dump, load

GOLDEN = Path(__file__).parent / "events"
"""By type: `schema`, every field with its kind and whether it is required, and `example`, a body."""


def golden(event_type: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((GOLDEN / f"{event_type}.json").read_text())
    return content


def described(schema: Any) -> dict[str, Any]:
    return {name: _field(field) for name, field in sorted(schema.fields.items())}


def _field(field: Any) -> Any:
    kind = type(field).__mro__[1].__name__ if type(field).__name__.startswith("_") else type(field).__name__
    found: dict[str, Any] = {"kind": kind, "required": field.required}
    for rule in field.validators:
        if isinstance(rule, validate.OneOf):
            found["one of"] = list(rule.choices)
    if isinstance(field, fields.Nested):
        found["fields"] = described(field.schema)
    if isinstance(field, fields.List):
        found["of"] = _field(field.inner)
    return found


@pytest.mark.parametrize("event_type", SCHEMAS)
def test_an_event_type_is_what_its_golden_file_says(event_type):
    """To add an optional field, add it to the golden file. Anything else needs a new version of the type."""
    assert described(SCHEMAS[event_type]) == golden(event_type)["schema"]


@pytest.mark.parametrize("event_type", SCHEMAS)
def test_a_stored_event_is_read_and_written_as_it_was(event_type):
    example = golden(event_type)["example"]
    assert dump(load(event_type, example)) == example


@pytest.mark.parametrize("event_type", SCHEMAS)
def test_a_field_of_a_later_version_is_ignored(event_type):
    example = golden(event_type)["example"]
    assert load(event_type, example | {"colour": "green"}) == load(event_type, example)


@pytest.mark.parametrize("event_type", SCHEMAS)
def test_an_event_of_an_earlier_version_lacks_only_what_is_optional(event_type):
    content = golden(event_type)
    required = {name: value for name, value in content["example"].items() if content["schema"][name]["required"]}
    assert load(event_type, required).type == event_type


def test_every_golden_file_is_of_a_type_that_exists():
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(SCHEMAS)
