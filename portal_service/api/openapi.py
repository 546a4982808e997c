"""The API's description as OpenAPI 3.1, made from the operations: what is documented is what is served."""

import inspect
import re
from functools import cache
from http import HTTPStatus
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from portal_service.api.kept import KEY_PATTERN
from portal_service.api.operations import OPERATIONS, Operation, Who
from portal_service.api.serving import MOST_NUMBER
from portal_service.api.shapes import Problem

TITLE, VERSION = "Casebridge portal", "1.0"
_PATH = re.compile(r"<(?:(?P<kind>\w+):)?(?P<name>\w+)>")
_PATH_SCHEMAS: dict[str | None, dict[str, Any]] = {
    "int": {"type": "integer", "minimum": 1, "maximum": MOST_NUMBER},
    "uuid": {"type": "string", "format": "uuid"},
    None: {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[a-z0-9-]+$"},
}
_TOO_LONG = 414
_ETAG = '^(\\*|"[0-9]{1,9}(-[0-9a-f]{16})?")$'
_ABOUT = """Everything the portal's pages do, for programs.

Send a token with every call: `Authorization: Bearer cbt_...`. Get one by `POST /tokens`, or make one on the page
*Settings, API tokens*. Errors are problem details (RFC 9457) in the language of `Accept-Language`; programs read
`code`. What is unknown, foreign or forbidden is answered with one and the same 404.
"""


@cache
def description() -> dict[str, Any]:
    """The whole document."""
    plugin = MarshmallowPlugin()
    spec = APISpec(
        TITLE,
        VERSION,
        "3.1.0",
        plugins=[plugin],
        info={"description": _ABOUT, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        servers=[{"url": "/api/v1"}],
        security=[{"token": []}],
    )
    spec.components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    for operation in OPERATIONS:
        spec.path(openapi_path(operation), operations={operation.method.lower(): _operation(operation, plugin)})
    return spec.to_dict()


def openapi_path(operation: Operation) -> str:
    return _PATH.sub(lambda found: "{" + found["name"] + "}", operation.rule)


def _operation(operation: Operation, plugin: MarshmallowPlugin) -> dict[str, Any]:
    summary, _, more = inspect.cleandoc(operation.view.__doc__ or "").partition("\n")
    told: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": summary.strip(),
        "description": f"{more.strip()}\n\nFor {operation.who.value}.".strip(),
        "parameters": _parameters(operation, plugin),
        "responses": _responses(operation),
    }
    if operation.who is Who.ANYONE:
        told["security"] = []
    elif operation.who is Who.READER:
        told["security"] = [{}, {"token": []}]
    if operation.body is not None:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schema(operation.body)}}}
    if operation.upload:
        told["requestBody"] = _UPLOAD
    return told


_UPLOAD = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary"}},
            }
        }
    },
}


def _parameters(operation: Operation, plugin: MarshmallowPlugin) -> list[dict[str, Any]]:
    found = [
        {"name": one["name"], "in": "path", "required": True, "schema": _PATH_SCHEMAS[one["kind"]]}
        for one in _PATH.finditer(operation.rule)
    ]
    if operation.query is not None:
        assert plugin.converter is not None
        found += plugin.converter.schema2parameters(_schema(operation.query), location="query")
    if operation.repeatable:
        text = "Makes it safe to send the call again: for 24 hours the same key gives the same answer."
        found.append(_header("Idempotency-Key", text, KEY_PATTERN))
    if operation.conditional and operation.changes:
        found.append(_header("If-Match", "Only if the ticket still has this ETag; else 412.", _ETAG))
    if _has_validator(operation):
        found.append(_header("If-None-Match", "The ETag of the answer one has: if it still holds, 304."))
    return found


def _has_validator(operation: Operation) -> bool:
    return not operation.changes and not operation.download


def _header(name: str, text: str, pattern: str = "") -> dict[str, Any]:
    schema = {"type": "string"} | ({"pattern": pattern} if pattern else {})
    return {"name": name, "in": "header", "description": text, "schema": schema}


def _responses(operation: Operation) -> dict[str, Any]:
    found = {str(operation.status): _success(operation)}
    if _has_validator(operation):
        found["304"] = {"description": HTTPStatus(304).phrase, "headers": _headers(operation)}
    return found | {str(status): _refusal(status, operation) for status in sorted(_refusals(operation))}


def _success(operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase, "headers": _headers(operation)}
    if operation.download:
        told["content"] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
    elif operation.shapes:
        shapes = [_schema(one) for one in operation.shapes]
        told["content"] = {"application/json": {"schema": shapes[0] if len(shapes) == 1 else {"anyOf": shapes}}}
    return told


def _headers(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {"X-Request-ID": _text_header("Names this call in our logs.")}
    if operation.who not in {Who.ANYONE, Who.READER}:
        found |= _RATE
    if operation.conditional and operation.status != HTTPStatus.NO_CONTENT:
        found["ETag"] = _text_header("The ticket's version, for If-Match; of GET also for If-None-Match.")
    elif _has_validator(operation):
        found["ETag"] = _text_header("For If-None-Match.")
    return found


def _text_header(text: str) -> dict[str, Any]:
    return {"description": text, "required": True, "schema": {"type": "string"}}


_RATE = {
    "RateLimit": _text_header("What is left in this minute: `r` calls; a new minute begins in `t` seconds."),
    "RateLimit-Policy": _text_header("How many calls (`q`) a token has in so many seconds (`w`)."),
}


def _refusals(operation: Operation) -> set[int]:
    found = {400, *operation.refusals}
    if operation.who is not Who.ANYONE:
        found |= {401, 403, 429}
    if "<" in operation.rule or operation.who in {Who.PERSON, Who.CUSTOMER, Who.STAFF, Who.ADMIN}:
        found.add(404)
    if operation.body is not None or operation.upload:
        found |= {413, 415, 422}
    if operation.repeatable:
        found |= {409, 422}
    if operation.query is not None:
        found.add(_TOO_LONG)
    if operation.query is not None and "after" in operation.query().fields:
        found.add(422)
    if operation.conditional and operation.changes:
        found.add(412)
    return found


def _refusal(status: int, operation: Operation) -> dict[str, Any]:
    if status == _TOO_LONG:
        return {"description": "The address is too long: the web server answers before the API does."}
    told: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {"application/problem+json": {"schema": _schema(Problem)}},
    }
    if status == 429 and operation.who is not Who.ANYONE:
        told["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}}
    return told


@cache
def _schema(shape: type[Schema]) -> Schema:
    """One instance a shape: bound fields know which of them are always there."""
    return shape()
