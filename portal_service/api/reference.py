"""The API's description as people read it: one page a topic, made of the OpenAPI document."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from portal_service.api.openapi import description

_SHAPES = "#/components/schemas/"
_NO_ID = frozenset({"uuid"})
"""Formats whose pattern says nothing more."""


@dataclass(frozen=True)
class Kind:
    """What a value can be, in words around the shape it is made of, if any: "list of" Named, Named "or null"."""

    text: str
    shape: str | None = None
    more: str = ""


@dataclass(frozen=True)
class Field:
    """A parameter of a call or a field of a shape."""

    name: str
    kind: Kind
    required: bool
    about: str
    place: str = ""
    """Of parameters: path, query or header."""


@dataclass(frozen=True)
class Shape:
    name: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class CallText:
    """One call. `body` and `answers` name shapes; `upload` and `download` are calls that carry a file instead."""

    name: str
    method: str
    path: str
    summary: str
    text: str
    parameters: tuple[Field, ...]
    body: str | None
    answers: tuple[str, ...]
    status: str
    refusals: tuple[str, ...]
    needs_token: bool
    upload: bool
    download: bool


@dataclass(frozen=True)
class Topic:
    """The calls of one tag, and every shape that they need."""

    key: str
    calls: tuple[CallText, ...]
    shapes: tuple[Shape, ...]

    @property
    def title(self) -> str:
        return self.key.capitalize()


@cache
def topics() -> dict[str, Topic]:
    """All topics by key, in the order of the alphabet."""
    schemas = description()["components"]["schemas"]
    by_tag: dict[str, list[CallText]] = {}
    for path, operations in description()["paths"].items():
        for method, told in operations.items():
            by_tag.setdefault(told["tags"][0], []).append(_call(method.upper(), path, told))
    return {key: Topic(key, tuple(by_tag[key]), tuple(_shapes(by_tag[key], schemas))) for key in sorted(by_tag)}


def _call(method: str, path: str, told: dict[str, Any]) -> CallText:
    content = told.get("requestBody", {}).get("content", {})
    status = next(code for code in told["responses"] if code.startswith("2"))
    given = told["responses"][status].get("content", {})
    return CallText(
        name=told["operationId"],
        method=method,
        path=path,
        summary=told["summary"],
        text=told["description"],
        parameters=tuple(_parameter(one) for one in told["parameters"]),
        body=_name(content.get("application/json", {}).get("schema", {})),
        answers=tuple(_names(given.get("application/json", {}).get("schema", {}))),
        status=f"{status} {told['responses'][status]['description']}",
        refusals=tuple(code for code in told["responses"] if code.startswith("4")),
        needs_token=told.get("security") is None,
        upload="multipart/form-data" in content,
        download="*/*" in given,
    )


def _parameter(told: dict[str, Any]) -> Field:
    schema = told["schema"]
    about = told.get("description") or schema.get("description", "")
    return Field(told["name"], kind_of(schema), told.get("required", False), about, told["in"])


def _name(schema: dict[str, Any]) -> str | None:
    return schema["$ref"].removeprefix(_SHAPES) if "$ref" in schema else None


def _names(schema: dict[str, Any]) -> Iterator[str]:
    """The shapes a schema is directly made of."""
    for one in [schema, *schema.get("anyOf", []), schema.get("items", {})]:
        name = _name(one)
        if name is not None:
            yield name


def _shapes(calls: Iterable[CallText], schemas: dict[str, Any]) -> Iterator[Shape]:
    """Shapes in the order in which a reader meets them, each once."""
    waiting = [name for call in calls for name in (*filter(None, [call.body]), *call.answers)]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        shape = _shape(name, schemas[name])
        yield shape
        waiting[:0] = [field.kind.shape for field in shape.fields if field.kind.shape]


def _shape(name: str, schema: dict[str, Any]) -> Shape:
    required = schema.get("required", ())
    fields = schema["properties"].items()
    return Shape(
        name,
        tuple(Field(key, kind_of(one), key in required, one.get("description", "")) for key, one in fields),
    )


def kind_of(schema: dict[str, Any]) -> Kind:
    """What a JSON schema of ours allows, in a few words."""
    if name := _name(schema):
        return Kind("", name)
    if "anyOf" in schema:
        kinds = [kind_of(one) for one in schema["anyOf"]]
        text = " or ".join(kind.text for kind in kinds if kind.text)
        return Kind("", next((kind.shape for kind in kinds if kind.shape), None), f"or {text}")
    if "items" in schema:
        inner = kind_of(schema["items"])
        return Kind(f"list of {inner.text}".strip(), inner.shape, _limits(schema, "Items", "items"))
    if "enum" in schema:
        return Kind(_joined(" | ".join(map(str, schema["enum"])), _default(schema)))
    types = schema.get("type", "anything")
    text = types if isinstance(types, str) else " or ".join(types)
    return Kind(_joined(text, *_details(schema)))


def _details(schema: dict[str, Any]) -> Iterator[str]:
    yield schema.get("format", "")
    yield _limits(schema, "Length", "characters")
    if "minimum" in schema:
        yield f"{schema['minimum']} to {schema['maximum']}"
    if "pattern" in schema and schema.get("format") not in _NO_ID:
        yield schema["pattern"]
    yield _default(schema)


def _limits(schema: dict[str, Any], what: str, unit: str) -> str:
    least, most = schema.get(f"min{what}"), schema.get(f"max{what}")
    if most is None:
        return ""
    return f"{least} to {most} {unit}" if least else f"up to {most} {unit}"


def _default(schema: dict[str, Any]) -> str:
    given = schema.get("default")
    return "" if given in (None, "") else f"default {str(given).lower() if isinstance(given, bool) else given}"


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))
