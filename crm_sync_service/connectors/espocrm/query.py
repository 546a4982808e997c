"""EspoCRM's list parameters. A malformed filter is not refused but ignored, and then everything matches: none is
built from text that was not checked.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from crm_sync_service.connectors.base import InvalidError, NotFoundError

PAGE = 200
"""Rows; more are refused, and without a size EspoCRM takes one of its own."""
_FORMAT = "%Y-%m-%d %H:%M:%S"
Where = Mapping[str, Any]


def listing(
    *where: Where, select: Sequence[str] = (), order: str | None = None, newest_first: bool = False, size: int = PAGE
) -> dict[str, str]:
    """The parameters of a list; without an order EspoCRM's own."""
    params = {"maxSize": str(size), **_flat("where", list(where))}
    if select:
        params["select"] = ",".join(select)
    if order:
        params |= {"orderBy": order, "order": "desc" if newest_first else "asc"}
    return params


def equals(attribute: str, value: str) -> Where:
    if not value:
        raise InvalidError(f"EspoCRM would ignore an empty filter on {attribute}")
    return {"type": "equals", "attribute": attribute, "value": value}


def compare(kind: str, attribute: str, value: str | int) -> Where:
    """`kind`: greaterThan, greaterThanOrEquals or lessThan."""
    return {"type": kind, "attribute": attribute, "value": str(value)}


def since(attribute: str, stamp: str) -> Where:
    """At or after a moment."""
    return compare("greaterThanOrEquals", attribute, checked(stamp))


def beyond(stamp: str, record_id: str, *, by: str = "modifiedAt") -> Where:
    """What follows a row in the order of (`by`, id)."""
    checked(stamp)
    same = {"type": "and", "value": [equals(by, stamp), compare("greaterThan", "id", record_id)]}
    return {"type": "or", "value": [compare("greaterThan", by, stamp), same]}


def checked(stamp: str) -> str:
    """A stamp that is one. Raises InvalidError: EspoCRM would answer another one with all records."""
    try:
        moment(stamp)
    except ValueError as error:
        raise InvalidError(f"{stamp!r} is no time of EspoCRM") from error
    return stamp


def moment(stamp: str) -> datetime:
    """Raises ValueError."""
    return datetime.strptime(stamp, _FORMAT).replace(tzinfo=UTC)


def earlier(stamp: str, by: timedelta) -> str:
    return (moment(checked(stamp)) - by).strftime(_FORMAT)


def part(record_id: str) -> str:
    """An id as part of a path. Raises NotFoundError for an empty one, which would address the whole list."""
    if not record_id.strip("./ "):
        raise NotFoundError("an empty id names no record")
    return quote(record_id, safe="")


def _flat(name: str, value: Any) -> dict[str, str]:
    """PHP's way of writing nested values into a query."""
    if isinstance(value, str):
        return {name: value}
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    return {key: text for inner, part in pairs for key, text in _flat(f"{name}[{inner}]", part).items()}


def dumps(value: Any) -> str:
    """The same text for the same value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
