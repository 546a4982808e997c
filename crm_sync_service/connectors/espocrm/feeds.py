"""What changed in EspoCRM: Cases and records by modifiedAt, Notes by the numbers of the global stream."""

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from crm_sync_service.connectors.base import (
    CaseStamp,
    DirectoryEntry,
    DirectoryKind,
    FeedPage,
    ForbiddenError,
    InvalidError,
    NoteStamp,
    NotFoundError,
    UnreachableError,
)
from crm_sync_service.connectors.espocrm import query
from crm_sync_service.connectors.espocrm.client import EspoClient
from crm_sync_service.connectors.espocrm.fields import Fields
from crm_sync_service.connectors.espocrm.query import PAGE, Where, listing, part
from crm_sync_service.connectors.espocrm.records import Row, addresses, entry_of, hashed, stamp_of
from crm_sync_service.connectors.http import Answer, TooLargeError

_NO_TOTAL = {"X-No-Total": "true"}
_LAST_PAGE = -2
_SMALLER = 8
_NUMBER_DIGITS = 12
_KNOWN_CONTACTS = 100_000
_SELECTED: dict[DirectoryKind, tuple[str, tuple[str, ...]]] = {
    "account": ("Account", ("name", "emailAddress")),
    "contact": ("Contact", ("name", "emailAddress", "accountId")),
    "user": ("User", ("name", "userName", "emailAddress", "isActive", "type")),
}


def rows_of(answer: Answer) -> list[Row]:
    """The rows of a list. Raises UnreachableError if it is none."""
    rows = answer.body.get("list")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UnreachableError(f"EspoCRM answered with something that is no list: {answer.shown}")
    return rows


def rewind(stamp: str, by: timedelta) -> str:
    """The same for stamps of Cases and records, and for those of Notes, which end in a number."""
    moment, number = _apart(stamp)
    earlier = query.earlier(moment, by)
    return earlier if number is None else _note_stamp(earlier, max(0, number - math.ceil(by.total_seconds())))


class CaseFeed:
    """Cases by (modifiedAt, id), page by page from key to key: an offset would lose rows that move meanwhile."""

    def __init__(self, client: EspoClient, fields: Fields) -> None:
        self._client = client
        self._fields = fields
        self._versions_selectable = True

    def page(self, since: str | None, page: str | None) -> FeedPage[CaseStamp]:
        counted = hashed(self._fields.attributes())
        select = ("id", "modifiedAt", "versionNumber", *counted) if self._versions_selectable else ()
        rows, following = _page(self._client, "Case", since, page, select=select)
        if rows and self._versions_selectable and "versionNumber" not in rows[0]:
            self._versions_selectable = False
            return self.page(since, page)
        stamps = [CaseStamp(case_id=str(row["id"]), stamp=stamp_of(row, counted)) for row in rows]
        return FeedPage(rows=stamps, newest=_newest(rows), next=following)

    def newest(self) -> str | None:
        return _newest_of_all(self._client, "modifiedAt")


class DirectoryFeed:
    """Accounts, contacts, users and products. What was deleted or merged away is only absent from a full listing."""

    def __init__(self, client: EspoClient, fields: Fields, *, products: Sequence[str]) -> None:
        self._client = client
        self._fields = fields
        self._products = products
        self._emails: OrderedDict[tuple[str, str], tuple[str, ...]] = OrderedDict()

    def page(self, kind: DirectoryKind, since: str | None, page: str | None) -> FeedPage[DirectoryEntry]:
        if kind == "product":
            return self._product_page(since, page)
        entity, select = _SELECTED[kind]
        rows, following = _page(self._client, entity, since, page, select=("id", "modifiedAt", *select))
        entries = [self._entry(kind, row) for row in rows]
        return FeedPage(rows=[entry for entry in entries if entry], newest=_newest(rows), next=following)

    def _entry(self, kind: DirectoryKind, row: Row) -> DirectoryEntry | None:
        if kind != "contact" or not row.get("emailAddress"):
            return entry_of(kind, row)
        # A list shows the primary address only.
        known = (str(row["id"]), str(row["modifiedAt"]))
        emails = self._emails.get(known)
        if emails is None:
            try:
                emails = addresses(self._client.get(f"Contact/{row['id']}").body)
            except NotFoundError:
                return None
            self._emails[known] = emails
            if len(self._emails) > _KNOWN_CONTACTS:
                self._emails.popitem(last=False)
        return entry_of(kind, row, emails=emails)

    def _product_page(self, since: str | None, page: str | None) -> FeedPage[DirectoryEntry]:
        """A product is a text in EspoCRM: the options of its field, the names in the settings, those on Cases."""
        given = _products(self._products if page is None else ())
        attribute = self._fields.of("product")
        if attribute is None:
            return FeedPage(rows=given, newest=None, next=None)
        options = self._fields.definitions("Case").get(attribute, {}).get("options")
        if isinstance(options, list):
            return FeedPage(rows=_products([*self._products, *map(str, options)]), newest=None, next=None)
        filled = {"type": "isNotNull", "attribute": attribute}
        rows, following = _page(self._client, "Case", since, page, filled, select=("id", "modifiedAt", attribute))
        found = _products([*(entry.name for entry in given), *(str(row.get(attribute) or "") for row in rows)])
        return FeedPage(rows=found, newest=_newest(rows), next=following)


class NoteFeed:
    """Posts on Cases by whomever; the list of Notes shows an API user only its own."""

    def __init__(self, client: EspoClient) -> None:
        self._client = client
        self._closed = False
        """The role has no right to the global stream; looked at again by the next process."""

    def page(self, since: str | None, page: str | None) -> FeedPage[NoteStamp]:
        """Newest first; `page` is the number to go on below, or a page of Cases where the stream is closed to us."""
        if not self._closed:
            try:
                return self._from_stream(since, page)
            except ForbiddenError:
                self._closed = True
        return self._from_cases(since, page)

    def newest(self) -> str | None:
        """Of whatever is in the stream, which is listed newest first."""
        try:
            rows, _ = stream_page(self._client, "GlobalStream", listing(), size=1)
        except ForbiddenError:
            moved_at = _newest_of_all(self._client, "streamUpdatedAt")
            return _note_stamp(moved_at, 0) if moved_at else None
        return max(map(_stamp_of_note, rows), default=None)

    def _from_stream(self, since: str | None, page: str | None) -> FeedPage[NoteStamp]:
        _, number = _apart(since) if since else ("", None)
        where: list[Where] = []
        if number is not None and number > 0:
            where.append(query.compare("greaterThan", "number", number - 1))
        params = listing(*where)
        if number is None and since:
            params |= _after(_apart(since)[0])
        if page is not None:
            params["beforeNumber"] = page
        rows, more = stream_page(self._client, "GlobalStream", params)
        return FeedPage(
            rows=_posts(rows),
            newest=max(map(_stamp_of_note, rows), default=None),
            next=str(min(int(row["number"]) for row in rows)) if more else None,
        )

    def _from_cases(self, since: str | None, page: str | None) -> FeedPage[NoteStamp]:
        """Without the right to the global stream: the Cases whose own stream moved."""
        start = _apart(since)[0] if since else None
        select = ("id", "streamUpdatedAt")
        rows, following = _page(self._client, "Case", start, page, select=select, by="streamUpdatedAt")
        found: list[Row] = []
        for row in rows:
            try:
                found += posts_of(self._client, str(row["id"]), _after(start))
            except NotFoundError:
                continue
        newest = max(map(_stamp_of_note, found), default=None)
        if newest is None and rows:
            newest = _note_stamp(str(rows[-1]["streamUpdatedAt"]), 0)
        return FeedPage(rows=_posts(found), newest=newest, next=following)


def stream_page(
    client: EspoClient, path: str, params: Mapping[str, str], *, size: int = PAGE
) -> tuple[list[Row], bool]:
    """A page of a stream, smaller where long Posts would make the answer too large; and whether there is more."""
    while True:
        try:
            answer = client.get(path, {**params, "maxSize": str(size)})
        except TooLargeError:
            if size == 1:
                raise
            size = max(1, size // _SMALLER)
            continue
        rows = rows_of(answer)
        return rows, len(rows) >= size and answer.body.get("total") != _LAST_PAGE


def posts_of(client: EspoClient, case_id: str, params: Mapping[str, str] | None = None) -> list[Row]:
    """All Posts of a Case, by their numbers."""
    rows: dict[int, Row] = {}
    more = True
    while more:
        where = [query.compare("lessThan", "number", min(rows))] if rows else []
        page, more = stream_page(client, f"Case/{part(case_id)}/posts", {**listing(*where), **(params or {})})
        new = {int(row["number"]): row for row in page}
        more = more and bool(new.keys() - rows.keys())
        rows |= new
    return [rows[number] for number in sorted(rows)]


def _page(
    client: EspoClient,
    entity: str,
    since: str | None,
    page: str | None,
    *where: Where,
    select: Sequence[str],
    by: str = "modifiedAt",
) -> tuple[list[Row], str | None]:
    """Rows at or after `since` or beyond the row that `page` names, and the next page."""
    if page is not None:
        stamp, _, record_id = page.partition("|")
        start = [query.beyond(stamp, record_id, by=by)]
    else:
        start = [query.since(by, since)] if since else []
    answer = client.send("GET", entity, params=listing(*start, *where, select=select, order=by), headers=_NO_TOTAL)
    rows = rows_of(answer)
    if not all(row.get("id") and row.get(by) for row in rows):
        raise UnreachableError(f"EspoCRM lists {entity} without {by}: {answer.shown}")
    more = len(rows) >= PAGE and answer.body.get("total") != _LAST_PAGE
    return rows, max(f"{row[by]}|{row['id']}" for row in rows) if more else None


def _after(moment: str | None) -> dict[str, str]:
    """At or after a moment, in a stream: its own filter is strict."""
    return {"after": query.earlier(moment, timedelta(seconds=1))} if moment else {}


def _newest_of_all(client: EspoClient, by: str) -> str | None:
    params = listing({"type": "isNotNull", "attribute": by}, select=("id", by), order=by, newest_first=True, size=1)
    rows = rows_of(client.send("GET", "Case", params=params, headers=_NO_TOTAL))
    return max((str(row[by]) for row in rows if row.get(by)), default=None)


def _newest(rows: Iterable[Row]) -> str | None:
    return max((str(row["modifiedAt"]) for row in rows), default=None)


def _products(names: Iterable[str]) -> list[DirectoryEntry]:
    return [
        DirectoryEntry(kind="product", crm_id=name, name=name, active=True)
        for name in dict.fromkeys(filter(None, names))
    ]


def _posts(rows: Iterable[Row]) -> list[NoteStamp]:
    return [
        NoteStamp(note_id=str(row["id"]), case_id=str(row["parentId"]), stamp=_stamp_of_note(row))
        for row in rows
        if row.get("type") == "Post" and row.get("parentType") == "Case" and row.get("parentId")
    ]


def _stamp_of_note(row: Row) -> str:
    return _note_stamp(str(row["createdAt"]), int(row["number"]))


def _note_stamp(moment: str, number: int) -> str:
    return f"{moment} {number:0{_NUMBER_DIGITS}}"


def _apart(stamp: str) -> tuple[str, int | None]:
    """Time and number of a stamp. Raises InvalidError."""
    moment, number = stamp[:19], stamp[20:]
    if number and not number.isdecimal():
        raise InvalidError(f"{stamp!r} is no stamp of a Note")
    return query.checked(moment), int(number) if number else None
