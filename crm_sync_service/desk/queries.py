"""What the pages list: search, filters, sorting and paging over each kind of record."""

import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy import case as choose
from sqlalchemy.orm import Session, contains_eager

from crm_sync_service.desk import text
from crm_sync_service.desk.models import (
    CASE_PRIORITIES,
    CASE_STATUSES,
    Account,
    Case,
    Contact,
    ContactEmail,
    Product,
    Record,
    User,
)
from shared.emails import email_key

PAGE_SIZE = 50
OPEN_STATUSES = ("new", "assigned", "pending_input")
OPEN = "open"
"""As a filter of status: any of OPEN_STATUSES."""


@dataclass(frozen=True, kw_only=True)
class ListQuery:
    """What somebody asked a list for."""

    words: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)
    """By field; empty ones are left out."""
    sort: str
    descending: bool = False
    page: int = 1


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One page of a list."""

    query: ListQuery
    rows: Sequence[Any]
    total: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE_SIZE))

    @property
    def first(self) -> int:
        """Which of all rows, from 1, is the first shown."""
        return (self.query.page - 1) * PAGE_SIZE + 1


def _in_order(column: Any, keys: Sequence[str]) -> ColumnElement[int]:
    return choose({key: position for position, key in enumerate(keys)}, value=column)


SORTS: dict[type[Record], dict[str, Any]] = {
    Case: {
        "number": Case.serial,
        "name": Case.search_key,
        "status": _in_order(Case.status, list(CASE_STATUSES)),
        "priority": _in_order(Case.priority, list(CASE_PRIORITIES)),
        "account": Account.search_key,
        "contact": Contact.search_key,
        "product": Product.search_key,
        "assigned": User.search_key,
        "modified": Case.modified_at,
    },
    Account: {"name": Account.search_key, "modified": Account.modified_at},
    Contact: {"name": Contact.search_key, "account": Account.search_key, "modified": Contact.modified_at},
    Product: {"name": Product.search_key, "modified": Product.modified_at},
    User: {"name": User.search_key, "email": User.email, "modified": User.modified_at},
}
"""What each list can be sorted by; the keys stand in URLs."""


def list_records(session: Session, model: type[Record], query: ListQuery) -> Listing:
    """A page of the records that match; a page behind the last one is the last one."""
    matching = _joined(model).where(~model.deleted, *_matches(model, query))
    total = session.scalar(select(func.count()).select_from(matching.order_by(None).subquery("found"))) or 0
    pages = max(1, -(-total // PAGE_SIZE))
    query = replace(query, page=min(max(query.page, 1), pages))
    sort = SORTS[model][query.sort]
    ordered = matching.order_by(sort.desc() if query.descending else sort.asc(), model.id)
    rows = session.scalars(ordered.limit(PAGE_SIZE).offset((query.page - 1) * PAGE_SIZE)).unique().all()
    return Listing(query=query, rows=rows, total=total)


def _joined(model: type[Record]) -> Select[tuple[Any]]:
    if model is Case:
        related = (Case.account, Case.contact, Case.product, Case.assigned_user)
        statement: Select[tuple[Any]] = select(Case)
    elif model is Contact:
        related, statement = (Contact.account,), select(Contact)  # type: ignore[assignment] # tuples of any length
    else:
        return select(model)
    for relation in related:
        statement = statement.outerjoin(relation)
    return statement.options(*(contains_eager(relation) for relation in related))


def _matches(model: type[Record], query: ListQuery) -> list[ColumnElement[bool]]:
    searched = [model.search_key]
    if model is Case:
        searched += [Account.search_key, Contact.search_key]
    elif model is Contact:
        searched += [Account.search_key]
    words = unicodedata.normalize("NFC", query.words).casefold().split()[:8]
    conditions = [or_(*(key.contains(word, autoescape=True) for key in searched)) for word in words]
    return conditions + [_filter(model, name, value) for name, value in query.filters.items()]


def _filter(model: type[Record], name: str, value: str) -> ColumnElement[bool]:
    if name == "status" and value == OPEN:
        return Case.status.in_(OPEN_STATUSES)
    column = getattr(model, name)
    if not name.endswith("_id"):
        return and_(column == value)
    try:
        record_id = uuid.UUID(value)
    except ValueError:
        return column.is_(None)  # type: ignore[no-any-return] # "none": those without one
    if model is Case and name == "contact_id":
        return or_(column == record_id, Case.contacts.any(Contact.id == record_id))
    return and_(column == record_id)


def cases_of(session: Session, field: str, owner: Record) -> Listing:
    """The newest Cases of an account or contact, and how many there are."""
    query = ListQuery(filters={field: str(owner.id)}, sort="modified", descending=True)
    return list_records(session, Case, query)


def contacts_of(session: Session, account: Record) -> Listing:
    """The first contacts of an account by name, and how many there are."""
    return list_records(session, Contact, ListQuery(filters={"account_id": str(account.id)}, sort="name"))


def choices(session: Session, model: type[Record], *, most: int) -> list[Record]:
    """The records a field may be set to, by name; at most so many."""
    statement = select(model).where(~model.deleted).order_by(model.search_key, model.id).limit(most)
    if issubclass(model, Product | User):
        statement = statement.where(model.active)
    return list(session.scalars(statement))


def named(session: Session, model: type[Record], typed: str) -> list[Record]:
    """The live records somebody may mean: those with just this name or address, else those that hold the words."""
    key = text.search_key(typed.strip())
    live = select(model).where(~model.deleted).order_by(model.search_key).limit(6)
    exact = or_(model.search_key == key, model.search_key.startswith(f"{key} ", autoescape=True))
    if model is Contact:
        exact = or_(exact, Contact.emails.any(ContactEmail.key == email_key(typed)))
    found = session.scalars(live.where(exact)).all()
    return list(found or session.scalars(live.where(model.search_key.contains(key, autoescape=True))))
