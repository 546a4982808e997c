"""Looking through lists without losing rows: filtered by time, sorted by id, each page after the last id.

Sorting by time and turning pages loses rows that share a second, and those that change meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from crm_sync_service.connectors.base import NotFoundError, UnreachableError
from crm_sync_service.connectors.http import TooLargeError
from crm_sync_service.connectors.suitecrm.client import SuiteClient
from crm_sync_service.connectors.suitecrm.records import filter_text, when

_SEPARATOR = "|"
_ATTEMPTS = 3
_SMALLER = 8
_AHEAD = timedelta(days=1)
"""Stamps further in the future were set by somebody; following them would skip everything until then."""


@dataclass(frozen=True)
class Rows:
    """One page of a list."""

    rows: Sequence[Mapping[str, Any]]
    newest: str | None
    next: str | None


@dataclass(frozen=True)
class _Place:
    """Where a pass through a list is."""

    since: str
    after: str
    begun: str
    """The newest stamp when the pass began; what changes later belongs to the next pass."""


def read_page(
    client: SuiteClient,
    module: str,
    *,
    fields: str,
    since: str | None,
    page: str | None,
    size: int,
    where: Mapping[str, str] | None = None,
) -> Rows:
    """`since` and `newest` are stamps for filters; `page` is what the page before gave as `next`."""
    place = _Place(*page.split(_SEPARATOR)) if page else _Place(since or "", "", "")
    params = {f"fields[{module}]": fields, "sort": "id", "page[number]": "1", **(where or {})}
    if place.since:
        params["filter[date_modified][gte]"] = place.since
    if place.after:
        params["filter[id][gt]"] = place.after
    rows, size = _listed_in_bounds(client, module, params, size)
    more = len(rows) >= size
    begun = place.begun or (_newest_of_all(client, module, where) if more else "")
    newest = max((_stamp(row) for row in rows), default=None)
    return Rows(
        rows=rows,
        newest=min(newest, begun or newest, filter_text(datetime.now(UTC) + _AHEAD)) if newest else None,
        next=_SEPARATOR.join((place.since, rows[-1]["id"], begun)) if more else None,
    )


def read_all(
    client: SuiteClient, module: str, *, fields: str, size: int, where: Mapping[str, str]
) -> list[Mapping[str, Any]]:
    """Every row, in the order of ids."""
    found = read_page(client, module, fields=fields, since=None, page=None, size=size, where=where)
    rows = list(found.rows)
    while found.next is not None:
        found = read_page(client, module, fields=fields, since=None, page=found.next, size=size, where=where)
        rows += found.rows
    return rows


def _listed_in_bounds(
    client: SuiteClient, module: str, params: Mapping[str, str], size: int
) -> tuple[list[Mapping[str, Any]], int]:
    """A page of at most `size` rows, smaller where long texts would make it too large; and how many were asked for."""
    while True:
        try:
            return _listed(client, module, {**params, "page[size]": str(size)}), size
        except TooLargeError:
            if size == 1:
                raise
            size = max(1, size // _SMALLER)


def _listed(client: SuiteClient, module: str, params: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """A whole list is refused if one of its rows is deleted while it is made: then it is asked for again."""
    for _ in range(_ATTEMPTS):
        try:
            return rows_of(client.get(f"module/{module}", params))
        except NotFoundError as error:
            last = error
    raise UnreachableError(f"SuiteCRM cannot list {module} ({last})")


def rows_of(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The records of a list; one without any says so in words."""
    data = body.get("data")
    return [row for row in data if isinstance(row, Mapping)] if isinstance(data, list) else []


def _stamp(row: Mapping[str, Any]) -> str:
    return filter_text(when(row["attributes"].get("date_modified")))


def newest_stamp(client: SuiteClient, module: str, where: Mapping[str, str] | None = None) -> str | None:
    """The stamp that the feed has reached; None for a list without rows."""
    newest = _newest_of_all(client, module, where)
    return min(newest, filter_text(datetime.now(UTC) + _AHEAD)) if newest else None


def _newest_of_all(client: SuiteClient, module: str, where: Mapping[str, str] | None) -> str:
    params = {
        f"fields[{module}]": "date_modified",
        "sort": "-date_modified",
        "page[size]": "1",
        "page[number]": "1",
        **(where or {}),
    }
    return max((_stamp(row) for row in rows_of(client.get(f"module/{module}", params))), default="")
