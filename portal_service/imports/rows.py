"""A row of an export, whatever its format."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portal_service.imports.source import has_broken_bytes

BROKEN_BYTES = (
    "some of its bytes are no text in the file's encoding: correct them, or name the encoding with --encoding"
)


@dataclass(frozen=True, kw_only=True)
class Row:
    line: int
    """Where it begins in the file, from 1."""
    raw: str
    """As it stands in the file, without the line break at its end."""
    values: Mapping[str, Any]
    """By column."""
    problem: str | None = None
    """Why it cannot be read; then there are no values."""


def good_row(line: int, raw: str, values: Mapping[str, Any]) -> Row:
    """A row that could be read, unless bytes in it could not."""
    if has_broken_bytes(raw):
        return bad_row(line, raw, BROKEN_BYTES)
    return Row(line=line, raw=raw.rstrip("\r\n"), values=values)


def bad_row(line: int, raw: str, problem: str) -> Row:
    return Row(line=line, raw=raw.rstrip("\r\n"), values={}, problem=problem)


def plain_name(name: str) -> str:
    """The same text for `Created At`, `created_at` and `createdAt`: how columns and values are compared."""
    return re.sub(r"[\W_]+", "", name).casefold()


def flatten(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as columns: `{"requester": {"email": x}}` has the column `requester.email`."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
