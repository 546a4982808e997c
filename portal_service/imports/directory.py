"""The records here that the tickets of one chunk speak of, read in a few queries."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from portal_service.imports.oldticket import OldTicket
from portal_service.people.models import Account, Contact, ContactEmail, Staff
from portal_service.tickets.models import Category, Product, RequestType, Ticket
from shared.emails import email_key

T = TypeVar("T")

FALLBACK_TYPE = "level-1"
FALLBACK_CATEGORY = "Other"


@dataclass(frozen=True, kw_only=True)
class Directory:
    """Records by what an export calls them; grows by the contacts and accounts a chunk adds."""

    contacts: dict[str, list[Contact]]
    """By `email_key` of any address."""
    accounts: dict[str, list[Account]]
    """By `name_key`, like products, categories, request types and agents' names; of types and categories those on offer
    come before those withdrawn, which old tickets may have: they are of their time."""
    products: Mapping[str, list[Product]]
    categories: Mapping[str, list[Category]]
    request_types: Mapping[str, list[RequestType]]
    staff: Mapping[str, list[Staff]]
    """By name and by `email_key`."""
    numbers: Mapping[str, int]
    """Of the tickets that are already here, by external reference."""


def name_key(name: str) -> str:
    """The same text for all spellings of a name that differ in case, white space or composition only."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def read_directory(session: Session, tickets: Sequence[OldTicket], refs: Sequence[str]) -> Directory:
    """What the chunk needs; accounts only those it names, with their contacts' ones."""
    names = {name_key(ticket.account) for ticket in tickets if ticket.account}
    addresses = {ticket.requester_email for ticket in tickets}
    addresses |= {comment.author_email for ticket in tickets for comment in ticket.comments if comment.author_email}
    return Directory(
        contacts=_contacts(session, {email_key(address) for address in addresses}),
        accounts=_accounts(session, names),
        products=_listed((product.name, product) for product in session.scalars(select(Product))),
        categories=_listed(
            (name, category)
            for category in session.scalars(select(Category).order_by(Category.active.desc(), Category.position))
            for name in (category.name_en, category.name_nl)
            if name
        ),
        request_types=_listed(
            (name, type_)
            for type_ in session.scalars(select(RequestType).order_by(RequestType.active.desc(), RequestType.position))
            for name in (type_.key, type_.name_en, type_.name_nl)
            if name
        ),
        staff=_staff(session),
        numbers=imported_numbers(session, refs),
    )


def imported_numbers(session: Session, refs: Sequence[str]) -> dict[str, int]:
    """The tickets, deleted ones too, that are already here, by external reference."""
    rows = session.execute(select(Ticket.external_ref, Ticket.number).where(Ticket.external_ref.in_(refs)))
    return {ref: number for ref, number in rows if ref is not None}


def find_type(types: Mapping[str, list[RequestType]], name: str) -> RequestType | None:
    """A request type by key or name; `Level 1` is `level-1`."""
    found = types.get(name_key(name)) or types.get(name_key(name).replace(" ", "-"))
    return found[0] if found else None


def _contacts(session: Session, keys: set[str]) -> dict[str, list[Contact]]:
    found = session.scalars(
        select(Contact)
        .where(Contact.id.in_(select(ContactEmail.contact_id).where(ContactEmail.key.in_(keys))))
        .options(selectinload(Contact.emails), joinedload(Contact.account))
        .order_by(Contact.id)
    ).all()
    by_key: dict[str, list[Contact]] = defaultdict(list)
    for contact in found:
        for key in {email.key for email in contact.emails}:
            by_key[key].append(contact)
    return dict(by_key)


def _accounts(session: Session, keys: set[str]) -> dict[str, list[Account]]:
    """By name as people compare names, which the databases do each in its own way."""
    if not keys:
        return {}
    ids = [id_ for id_, name in session.execute(select(Account.id, Account.name)) if name_key(name) in keys]
    accounts = session.scalars(select(Account).where(Account.id.in_(ids)).order_by(Account.id))
    return _listed((account.name, account) for account in accounts)


def _staff(session: Session) -> dict[str, list[Staff]]:
    staff = session.scalars(select(Staff).order_by(Staff.id)).all()
    by_name = _listed((person.name, person) for person in staff)
    return by_name | {email_key(person.email): [person] for person in staff}


def _listed(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    listed: dict[str, list[T]] = defaultdict(list)
    for name, record in pairs:
        if record not in listed[name_key(name)]:
            listed[name_key(name)].append(record)
    return dict(listed)
