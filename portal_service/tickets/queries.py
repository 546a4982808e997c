"""Reading tickets: lists by keyset pages, single tickets, what was said and what happened. Deny by default."""

import base64
import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, and_, func, inspect, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from portal_service.files.models import Attachment
from portal_service.people import policy
from portal_service.people.models import Account, Contact, Staff
from portal_service.tickets.lifecycle import OPEN, STATUSES, UNFINISHED
from portal_service.tickets.models import Entry, HistoryEntry, Product, Reply, Ticket
from portal_service.tickets.snapshots import all_attachments, public_attachments
from shared.clock import from_text, to_text

T = TypeVar("T")

ONLY_OPEN = "only_open"
"""The status Open alone; "open" means everything that is not finished yet."""
STATUS_FILTERS = ("open", "all", "new", ONLY_OPEN, "pending", "solved", "closed")


@dataclass(frozen=True, kw_only=True)
class TicketFilter:
    status: str = "open"
    """One of STATUS_FILTERS; anything else means "open"."""
    q: str = ""
    """A number (with or without #) or words of subject, description, replies, account or requester."""
    assignee_id: uuid.UUID | None = None
    unassigned: bool = False
    account_id: uuid.UUID | None = None
    contact_id: uuid.UUID | None = None
    product_id: uuid.UUID | None = None
    quiet_since: datetime | None = None
    """Only unfinished tickets in which nothing has happened since (S47)."""
    sort: str = "last_activity_at"
    """A key of SORTS; anything else means "last_activity_at"."""
    descending: bool = True
    after: str | None = None
    """`Page.next` of the page before; an unreadable one means the first page."""


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    items: Sequence[T]
    next: str | None
    """Cursor of the next page, None at the end."""


SORTS: dict[str, ColumnElement[Any]] = {
    "number": Ticket.number.expression,
    "subject": func.lower(Ticket.subject),
    "status": Ticket.status.expression,
    "priority": Ticket.priority.expression,
    "created_at": Ticket.created_at.expression,
    "opened_at": func.coalesce(Ticket.opened_at, Ticket.created_at),
    "last_activity_at": Ticket.last_activity_at.expression,
    "product": func.coalesce(func.lower(Product.name), ""),
    "account": func.coalesce(func.lower(Account.name), ""),
    "assignee": func.coalesce(func.lower(Staff.name), ""),
}


_SHOWN_IN_LISTS = (
    joinedload(Ticket.product),
    joinedload(Ticket.account),
    joinedload(Ticket.assignee),
    joinedload(Ticket.contact),
    joinedload(Ticket.category),
    joinedload(Ticket.request_type),
)


_SHOWN_WITH_ONE = ("parent", "rating", "mirror")


def tickets_for_contact(session: Session, contact: Contact, filter: TicketFilter, *, limit: int) -> Page[Ticket]:  # noqa: A002
    """The tickets this contact may see: own ones and those of accounts granted as a whole (S10, S69)."""
    return _page(session, _list().where(_visible_to(contact)), filter, limit=limit, public_only=True)


def tickets_for_staff(session: Session, filter: TicketFilter, *, limit: int) -> Page[Ticket]:  # noqa: A002
    return _page(session, _list(), filter, limit=limit, public_only=False)


def counts_by_status(
    session: Session,
    *,
    contact: Contact | None = None,
    own_only: bool = False,
    assignee_id: uuid.UUID | None = None,
) -> dict[str, int]:
    """How many tickets there are by status, plus "open" as in STATUS_FILTERS and "all".

    Those a contact may see, with `own_only` those he asked for himself; or those of an agent. Open alone is under
    ONLY_OPEN.
    """
    query = (
        select(Ticket.status, func.count().label("tickets")).where(Ticket.deleted_at.is_(None)).group_by(Ticket.status)
    )
    if contact is not None:
        query = query.where(Ticket.contact_id == contact.id if own_only else _visible_to(contact))
    if assignee_id is not None:
        query = query.where(Ticket.assignee_id == assignee_id)
    found = {row.status: row.tickets for row in session.execute(query)}
    counts = {status: found.get(status, 0) for status in STATUSES}
    return counts | {
        ONLY_OPEN: counts[OPEN],
        "open": sum(counts[status] for status in UNFINISHED),
        "all": sum(counts.values()),
    }


def ticket_for_contact(session: Session, contact: Contact, number: int) -> Ticket | None:
    """None for an unknown, deleted or foreign ticket alike."""
    return session.scalars(_one(number).where(_visible_to(contact))).unique().one_or_none()


def ticket_for_staff(session: Session, number: int) -> Ticket | None:
    return session.scalars(_one(number)).unique().one_or_none()


def carried_over(session: Session, ticket: Ticket) -> Ticket:
    """A ticket read a moment ago, with all that was read of it, in another session; nothing is read again."""
    known = session.merge(ticket, load=False)
    for name in _SHOWN_WITH_ONE:
        shown = getattr(ticket, name)
        set_committed_value(known, name, session.merge(shown, load=False) if shown is not None else None)
    if "attachments" not in inspect(ticket).unloaded:
        files = [session.merge(file, load=False) for file in ticket.attachments]
        set_committed_value(known, "attachments", files)
    return known


def ticket_files(session: Session, ticket: Ticket, *, public_only: bool) -> list[Attachment]:
    """The files tab (S77): of the ticket and of every reply; for staff those of internal notes too."""
    if public_only:
        return public_attachments(session, ticket)
    return all_attachments(session, ticket)


def attachment_for_contact(session: Session, contact: Contact, attachment_id: uuid.UUID) -> Attachment | None:
    """None for an unknown, internal or foreign attachment alike."""
    return session.scalar(
        select(Attachment)
        .join(Ticket, Ticket.id == Attachment.ticket_id)
        .where(
            Attachment.id == attachment_id,
            Attachment.internal.is_(False),
            Ticket.deleted_at.is_(None),
            _visible_to(contact),
        )
    )


def attachment_for_staff(session: Session, attachment_id: uuid.UUID) -> Attachment | None:
    return session.get(Attachment, attachment_id)


def public_replies(session: Session, ticket: Ticket) -> list[Reply]:
    """All that the customer may read, in order (S76); pages read it in pieces, see `threads`."""
    query = select(Reply).where(Reply.ticket_id == ticket.id).order_by(Reply.position)
    return list(session.scalars(query.options(selectinload(Reply.attachments))))


def all_entries(session: Session, ticket: Ticket) -> list[Entry]:
    """Replies and internal notes, in order: for staff only."""
    query = select(Entry).where(Entry.ticket_id == ticket.id).order_by(Entry.position)
    return list(session.scalars(query.options(selectinload(Entry.attachments))))


def deleted_tickets(session: Session, *, limit: int) -> Sequence[Ticket]:
    """The tickets deleted last, for staff to restore (S67)."""
    query = select(Ticket).where(Ticket.deleted_at.is_not(None)).options(*_SHOWN_IN_LISTS)
    return session.scalars(query.order_by(Ticket.deleted_at.desc(), Ticket.number.desc()).limit(limit)).all()


def deleted_ticket(session: Session, number: int) -> Ticket | None:
    return session.scalar(select(Ticket).where(Ticket.number == number, Ticket.deleted_at.is_not(None)))


def tickets_to_call(session: Session, *, limit: int) -> Sequence[Ticket]:
    """Unfinished tickets whose requester waits for a phone call, by the moment he asked for (S24)."""
    waits = (Ticket.call_at.is_not(None), Ticket.called_at.is_(None), Ticket.status.in_(UNFINISHED))
    query = select(Ticket).where(*waits, Ticket.deleted_at.is_(None)).options(*_SHOWN_IN_LISTS)
    return session.scalars(query.order_by(Ticket.call_at, Ticket.number).limit(limit)).all()


def followers(session: Session, ticket: Ticket) -> Sequence[Ticket]:
    """The tickets that follow from this one, for staff; not each of them may be seen by a customer."""
    query = select(Ticket).where(Ticket.parent_number == ticket.number, Ticket.deleted_at.is_(None))
    return session.scalars(query.order_by(Ticket.number)).all()


def history(session: Session, ticket: Ticket, *, public_only: bool) -> list[HistoryEntry]:
    """What happened, oldest first; customers get the public part."""
    query = select(HistoryEntry).where(HistoryEntry.ticket_id == ticket.id).order_by(HistoryEntry.id)
    return list(session.scalars(query.where(HistoryEntry.public) if public_only else query))


def _visible_to(contact: Contact) -> ColumnElement[bool]:
    return or_(Ticket.contact_id == contact.id, Ticket.account_id.in_(policy.whole_accounts(contact)))


def _one(number: int) -> Select[Ticket]:
    """One ticket with everything its pages show, in one statement."""
    people = joinedload(Ticket.contact).joinedload(Contact.emails)
    shown = (*_SHOWN_IN_LISTS, people, *(joinedload(getattr(Ticket, name)) for name in _SHOWN_WITH_ONE))
    return select(Ticket).where(Ticket.number == number, Ticket.deleted_at.is_(None)).options(*shown)


def _list() -> Select[Ticket]:
    return (
        select(Ticket)
        .outerjoin(Ticket.product)
        .outerjoin(Ticket.account)
        .outerjoin(Ticket.assignee)
        .where(Ticket.deleted_at.is_(None))
        .options(*_SHOWN_IN_LISTS)
    )


def _page(
    session: Session,
    query: Select[Ticket],
    filter: TicketFilter,  # noqa: A002
    *,
    limit: int,
    public_only: bool,
) -> Page[Ticket]:
    sort = filter.sort if filter.sort in SORTS else "last_activity_at"
    key = SORTS[sort]
    query = query.where(*_conditions(filter, public_only=public_only))
    if (cursor := _read_cursor(filter.after, sort)) is not None:
        query = query.where(_beyond(key, cursor, descending=filter.descending))
    order = (key.desc(), Ticket.number.desc()) if filter.descending else (key.asc(), Ticket.number.asc())
    rows = session.execute(query.add_columns(key).order_by(*order).limit(limit + 1)).unique().all()
    items = [row[0] for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=items, next=_cursor(sort, rows[limit - 1][1], items[-1].number) if more else None)


def _conditions(filter: TicketFilter, *, public_only: bool) -> list[ColumnElement[bool]]:  # noqa: A002
    found = _status_conditions(filter.status)
    if filter.quiet_since is not None:
        found.append(and_(Ticket.last_activity_at < filter.quiet_since, Ticket.status.in_(UNFINISHED)))
    if filter.unassigned:
        found.append(and_(Ticket.assignee_id.is_(None), Ticket.status.in_(UNFINISHED)))
    for column, value in (
        (Ticket.assignee_id, filter.assignee_id),
        (Ticket.account_id, filter.account_id),
        (Ticket.contact_id, filter.contact_id),
        (Ticket.product_id, filter.product_id),
    ):
        if value is not None:
            found.append(column == value)
    if filter.q.strip():
        found.append(_matches(filter.q.strip(), public_only=public_only))
    return found


def _status_conditions(status: str) -> list[ColumnElement[bool]]:
    if status == "all":
        return []
    if status == ONLY_OPEN:
        return [Ticket.status == OPEN]
    return [Ticket.status == status if status in STATUSES and status != OPEN else Ticket.status.in_(UNFINISHED)]


def _matches(words: str, *, public_only: bool) -> ColumnElement[bool]:
    if number := re.fullmatch(r"#?(\d{1,18})", words):
        return or_(Ticket.number == int(number[1]), Ticket.subject.icontains(words, autoescape=True))
    said = Reply if public_only else Entry
    return or_(
        Ticket.subject.icontains(words, autoescape=True),
        Ticket.description.icontains(words, autoescape=True),
        Account.name.icontains(words, autoescape=True),
        Ticket.contact.has(Contact.name.icontains(words, autoescape=True)),
        select(said.id).where(said.ticket_id == Ticket.id, said.body.icontains(words, autoescape=True)).exists(),
    )


def _beyond(key: ColumnElement[Any], cursor: tuple[Any, int], *, descending: bool) -> ColumnElement[bool]:
    value, number = cursor
    if descending:
        return or_(key < value, and_(key == value, Ticket.number < number))
    return or_(key > value, and_(key == value, Ticket.number > number))


def _cursor(sort: str, value: Any, number: int) -> str:
    plain = to_text(value) if isinstance(value, datetime) else value
    return base64.urlsafe_b64encode(json.dumps([sort, plain, number]).encode()).decode()


def is_cursor(text: str | None, sort: str) -> bool:
    """Whether this names a place in a list of this order; pages begin at the front otherwise."""
    return _read_cursor(text, sort) is not None


def _read_cursor(text: str | None, sort: str) -> tuple[Any, int] | None:
    """None for no cursor, for one made by another order and for one that was tampered with."""
    if not text:
        return None
    try:
        made_for, value, number = json.loads(base64.urlsafe_b64decode(text))
        if made_for != sort or not _is_number(number):
            return None
        if not (_is_number(value) if sort == "number" else isinstance(value, str)):
            return None
        return (from_text(value) if sort.endswith("_at") else value), number
    except (ValueError, TypeError):
        return None


def _is_number(value: Any) -> bool:
    """Whether this is a number that a database can compare with."""
    return isinstance(value, int) and abs(value) < 2**63
