"""Fields of calls and answers: what JSON says is meant literally, so "1", 1 and true are three things."""

import re
import uuid
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from portal_service.messages import message

_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
BAD_LENGTH = message("This is too short or too long.")
BAD_CHOICE = message("This is none of the values in the documentation.")
BAD_FORM = message("This has not the form that the documentation says.")
MISSING = message("Please fill this in.")
NOT_KNOWN = message("There is no such field.")
BAD_RANGE = message("This number is out of range.")
BAD_TYPE = message("This is of the wrong type.")
_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)


class Flag(fields.Boolean):
    """true or false, no other words for them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class QueryFlag(fields.Boolean):
    """true or false in an address."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if value not in {"true", "false"}:
            raise self.make_error("invalid", input=value)
        return bool(value == "true")


class QueryNumber(fields.Integer):
    """A whole number in an address."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not isinstance(value, str) or not _WHOLE.fullmatch(value):
            raise self.make_error("invalid", input=value)
        return int(value)


class Number(fields.Integer):
    """A whole number in JSON."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not (isinstance(value, int) or _is_whole(value)):
            raise self.make_error("invalid", input=value)
        return int(value)


class Id(fields.UUID):
    """A UUID in its usual form."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.metadata = {"pattern": _UUID, **self.metadata}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> uuid.UUID:
        if not isinstance(value, str) or not re.fullmatch(_UUID, value):
            raise self.make_error("invalid_uuid")
        return uuid.UUID(value)


def text(most: int, *, least: int = 0, **kwargs: Any) -> fields.String:
    """A text of a length between `least` and `most` characters."""
    return fields.String(validate=validate.Length(min=least or None, max=most, error=BAD_LENGTH), **kwargs)


def choice(*values: str, **kwargs: Any) -> fields.String:
    return fields.String(validate=validate.OneOf(values, error=BAD_CHOICE), **kwargs)


def pattern(regex: str, most: int, **kwargs: Any) -> fields.String:
    """A text of a form that can be told by a regular expression."""
    return fields.String(
        validate=[validate.Length(max=most, error=BAD_LENGTH), _Whole(regex, error=BAD_FORM)], **kwargs
    )


class _Whole(validate.Regexp):
    """Python lets "$" match before a last line feed; JSON Schema does not."""

    def __call__(self, value: Any) -> Any:
        if not self.regex.fullmatch(value):
            raise ValidationError(self._format_error(value))
        return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


class Out(Schema):
    """An answer: every field is always there unless it says `required=False`."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        if field_obj.metadata.get("always", True):
            field_obj.required = True


def nullable(field: fields.Field[Any]) -> fields.Field[Any]:
    field.allow_none = True
    return field
