"""A list whose filter, order and place are in its URL (S69, S70)."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import request, url_for

from portal_service.tickets.queries import SORTS, STATUS_FILTERS, TicketFilter

PAGE_LENGTH = 25
_NEWEST_FIRST = frozenset({"number", "created_at", "opened_at", "last_activity_at"})
_MOST_HOURS = 24 * 365
_NAMES = frozenset({"status", "q", "assignee", "whose", "account", "product", "quiet", "sort", "dir"})
_DEFAULT_SORT = "last_activity_at"


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What the reader asked to see, read from the URL; what makes no sense there counts as not asked."""

    status: str
    q: str
    assignee: str
    """An agent's id, "me", "nobody" or empty for everybody."""
    whose: str
    """"mine", or empty for all one may see; for customers."""
    account_id: uuid.UUID | None
    product_id: uuid.UUID | None
    quiet: int
    """Only unfinished tickets without any activity for so many hours; 0 for all (S47)."""
    sort: str
    descending: bool
    after: str | None
    limit: int = PAGE_LENGTH

    @property
    def filtered(self) -> bool:
        return bool(
            self.q
            or self.assignee
            or self.whose
            or self.account_id
            or self.product_id
            or self.quiet
            or self.status != "open"
        )

    def filter(self, *, me: uuid.UUID | None = None, now: datetime | None = None) -> TicketFilter:
        return TicketFilter(
            status=self.status,
            q=self.q,
            assignee_id=me if self.assignee == "me" else _id(self.assignee),
            unassigned=self.assignee == "nobody",
            account_id=self.account_id,
            product_id=self.product_id,
            quiet_since=now - timedelta(hours=self.quiet) if now and self.quiet else None,
            sort=self.sort,
            descending=self.descending,
            after=self.after,
        )

    def url(self, **changes: Any) -> str:
        """This list with something changed; every change but of the place starts at the first page."""
        return url_for(str(request.endpoint), **{name: value or None for name, value in (_asked() | changes).items()})

    def elsewhere(self, endpoint: str) -> str:
        """The same list in another form, such as a file: all of it, from its beginning."""
        return url_for(endpoint, **_asked())

    def sorted_by(self, key: str) -> str:
        """The list ordered by `key`; asked again, the other way round."""
        descending = not self.descending if key == self.sort else key in _NEWEST_FIRST
        return self.url(sort=key, dir="desc" if descending else "asc")


def read_listing() -> Listing:
    """The list this request asks for."""
    args = request.args
    sort = args["sort"] if args.get("sort") in SORTS else _DEFAULT_SORT
    q = args.get("q", "").strip()[:200]
    direction = args.get("dir") or ("desc" if sort in _NEWEST_FIRST else "asc")
    return Listing(
        # A search finds finished tickets too, unless a status is asked for.
        status=args["status"] if args.get("status") in STATUS_FILTERS else ("all" if q else "open"),
        q=q,
        assignee=args.get("assignee", ""),
        whose="mine" if args.get("whose") == "mine" else "",
        account_id=_id(args.get("account", "")),
        product_id=_id(args.get("product", "")),
        quiet=_hours(args.get("quiet", "")),
        sort=sort,
        descending=direction == "desc",
        after=args.get("after"),
    )


def _asked() -> dict[str, Any]:
    """What of the address says which list it is; anything else in it is nobody's wish."""
    return {name: value for name, value in request.args.items() if name in _NAMES}


def _hours(text: str) -> int:
    return min(int(text), _MOST_HOURS) if text.isdecimal() and len(text) <= 9 else 0


def _id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
