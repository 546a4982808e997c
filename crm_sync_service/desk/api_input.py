"""What clients of the API may send, checked for its shape; what the values may be is the domain's to say."""

import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import request
from marshmallow import RAISE, Schema, ValidationError, fields, validate

from crm_sync_service.desk.errors import InvalidError
from crm_sync_service.desk.faults import FaultPlan
from shared.clock import from_text

FEED_LIMIT = 500
_VERSION = re.compile(r'(?:W/)?"(\d{1,18})"|(\d{1,18})')
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)


class MalformedError(Exception):
    """A request that cannot be read; the text says what is wrong with it."""


class Moment(fields.Field[datetime]):
    """An RFC 3339 text; without an offset it is UTC."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        del attr, data, kwargs
        try:
            moment = from_text(value)
        except (ValueError, TypeError, OverflowError):
            moment = _LATEST
        if not _EARLIEST < moment < _LATEST:
            raise ValidationError("Give a moment like 2026-11-22T14:03:00Z.")
        return moment


class NumberText(fields.String):
    """A text, or a whole number that becomes one."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return super()._deserialize(str(value) if is_number else value, attr, data, **kwargs)


class CaseInput(Schema):
    """A Case to create, or with `partial` the fields to change."""

    class Meta:
        unknown = RAISE

    id = fields.UUID()
    name = fields.String(required=True)
    description = fields.String()
    status = fields.String()
    priority = fields.String()
    account_id = fields.UUID(allow_none=True)
    contact_id = fields.UUID(allow_none=True)
    contact_ids = fields.List(fields.UUID(), validate=validate.Length(max=500))
    product_id = fields.UUID(allow_none=True)
    assigned_user_id = fields.UUID(allow_none=True)
    ticket_number = NumberText(allow_none=True)
    ticket_url = fields.String(allow_none=True)


class NoteInput(Schema):
    """A Note to create."""

    class Meta:
        unknown = RAISE

    id = fields.UUID()
    case_id = fields.UUID(required=True)
    title = fields.String()
    body = fields.String(required=True)
    author = fields.String(required=True)
    side = fields.String(required=True)
    position = fields.Integer(strict=True, validate=validate.Range(min=0, max=2**31 - 1))
    created_at = Moment()


class NoteChange(Schema):
    """What may be changed of a Note."""

    class Meta:
        unknown = RAISE

    title = fields.String()
    body = fields.String()


class ContactInput(Schema):
    """A contact to create."""

    class Meta:
        unknown = RAISE

    id = fields.UUID()
    name = fields.String(required=True)
    emails = fields.List(fields.String(), validate=validate.Length(max=50))
    account_id = fields.UUID(allow_none=True)


class FaultInput(Schema):
    """A FaultPlan."""

    class Meta:
        unknown = RAISE

    before_500 = fields.Float(validate=validate.Range(min=0, max=1))
    lost_answer = fields.Float(validate=validate.Range(min=0, max=1))
    rate_limited = fields.Float(validate=validate.Range(min=0, max=1))
    retry_after = fields.Integer(strict=True, validate=validate.Range(min=0, max=3600))
    stall = fields.Float(validate=validate.Range(min=0, max=1))
    stall_seconds = fields.Float(validate=validate.Range(min=0, max=120))
    unauthorised_until = Moment(allow_none=True)
    outage_until = Moment(allow_none=True)
    seed = fields.Integer(strict=True, allow_none=True)


def read_body(schema: Schema) -> dict[str, Any]:
    """The request's JSON object. Raises MalformedError, InvalidError."""
    try:
        body = json.loads(request.get_data(cache=False))
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"The body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise MalformedError("The body must be a JSON object.")
    try:
        values: dict[str, Any] = schema.load(body)
    except ValidationError as error:
        raise InvalidError(_by_field(error.messages)) from error
    return values


def read_fault_plan() -> FaultPlan:
    """The plan a client asks for. Raises MalformedError, InvalidError."""
    return FaultPlan(**read_body(FaultInput()))


def expected_version() -> int | None:
    """The version that If-Match names; None without one. Raises MalformedError."""
    header = request.headers.get("If-Match", "*").strip()
    if header == "*":
        return None
    match = _VERSION.fullmatch(header)
    if match is None:
        raise MalformedError('If-Match must be a version in quotes, like "7".')
    return int(match[1] or match[2])


def feed_query() -> tuple[datetime | None, uuid.UUID | None, int]:
    """`modified_since`, `after` and `limit` of a feed request. Raises MalformedError."""
    query = request.args
    try:
        since = Moment().deserialize(query["modified_since"]) if "modified_since" in query else None
        after = fields.UUID().deserialize(query["after"]) if "after" in query else None
        limit = fields.Integer(validate=validate.Range(min=1, max=FEED_LIMIT)).deserialize(query.get("limit", 100))
    except ValidationError as error:
        raise MalformedError(f"The query cannot be read: {_sentence(error.messages)}") from error
    if after is not None and since is None:
        raise MalformedError("`after` needs the `modified_since` it came with.")
    return since, after, limit


def _by_field(messages: Any) -> dict[str, str]:
    return {str(name): _sentence(words) for name, words in messages.items()}


def _sentence(words: Any) -> str:
    """Marshmallow's messages, which may be nested by position, as one text."""
    if isinstance(words, dict):
        return " ".join(f"{key}: {_sentence(value)}" for key, value in words.items())
    return " ".join(map(str, words)) if isinstance(words, list) else str(words)
