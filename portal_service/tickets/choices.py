"""What can be chosen in forms and filters: pairs of an id and a name, in the order shown."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import CompoundSelect, literal, select, union_all
from sqlalchemy.orm import Session, contains_eager, selectinload

from portal_service.people import policy
from portal_service.people.models import Account, Contact, ContactEmail, Staff
from portal_service.tickets.models import Category, Product, RequestType, Ticket

Choices = Sequence[tuple[uuid.UUID, str]]

MOST_ACCOUNTS = 50
"""The longest list of accounts in a form; `account_search` is for more."""


def request_types(session: Session) -> Sequence[RequestType]:
    """Those on offer for new tickets."""
    return [one for one in all_request_types(session) if one.active]


def all_request_types(session: Session) -> Sequence[RequestType]:
    """Those withdrawn, too."""
    return session.scalars(select(RequestType).order_by(RequestType.position, RequestType.key)).all()


def request_type(session: Session, key: str) -> RequestType | None:
    """Also one that is withdrawn, for requests begun before: filing a ticket refuses it."""
    return session.scalar(select(RequestType).where(RequestType.key == key))


def products(session: Session, *, besides: Product | None = None) -> Choices:
    """Products that are in use, and the one a ticket has although it no longer is."""
    return _with(session.scalars(select(Product).where(Product.active).order_by(Product.name)).all(), besides)


def all_products(session: Session) -> Choices:
    """Those no longer in use, too."""
    return _with(session.scalars(select(Product).order_by(Product.name)).all(), None)


def accounts(session: Session, *, besides: Account | None = None) -> Choices:
    return _with(session.scalars(select(Account).where(Account.active).order_by(Account.name)).all(), besides)


def agents(session: Session, *, besides: Staff | None = None) -> Choices:
    """Support staff who take tickets, and the one who has this ticket anyway."""
    return _with(
        session.scalars(select(Staff).where(Staff.active, ~Staff.is_admin).order_by(Staff.name)).all(), besides
    )


@dataclass(frozen=True, kw_only=True)
class Offered:
    """What staff can choose for a ticket or filter by."""

    agents: Choices
    accounts: Choices
    """MOST_ACCOUNTS and some more stand for too many to choose from."""
    products: Choices
    categories: Sequence[tuple[uuid.UUID, str, str]]
    """Id, English name, Dutch name."""


def offered(session: Session, *, ticket: Ticket | None = None) -> Offered:
    """All of it in one statement; with `ticket` also what it has although it is no longer offered."""
    rows = session.execute(_everything_offered()).all()
    found = {
        kind: sorted(((row.id, row.name) for row in rows if row.kind == kind), key=lambda pair: pair[1].casefold())
        for kind in ("agent", "account", "product")
    }
    in_order = sorted(
        (row for row in rows if row.kind == "category"), key=lambda row: (row.position, row.name.casefold())
    )
    categories = [(row.id, row.name, row.dutch) for row in in_order]
    had = ticket.category if ticket else None
    if had is not None and not had.active:
        categories.append((had.id, had.name_en, had.name_nl))
    return Offered(
        agents=_and(found["agent"], ticket.assignee if ticket else None),
        accounts=_and(found["account"], ticket.account if ticket else None),
        products=_and(found["product"], ticket.product if ticket else None),
        categories=categories,
    )


def _everything_offered() -> CompoundSelect[tuple[str, uuid.UUID, str, str, int]]:
    nothing, first = literal("").label("dutch"), literal(0).label("position")
    agent, account = literal("agent").label("kind"), literal("account").label("kind")
    some = select(Account.id, Account.name).where(Account.active).limit(MOST_ACCOUNTS + 1).subquery()
    product, category = literal("product").label("kind"), literal("category").label("kind")
    return union_all(
        select(agent, Staff.id, Staff.name, nothing, first).where(Staff.active, ~Staff.is_admin),
        select(account, some.c.id, some.c.name, nothing, first),
        select(product, Product.id, Product.name, nothing, first).where(Product.active),
        select(
            category, Category.id, Category.name_en.label("name"), Category.name_nl.label("dutch"), Category.position
        ).where(Category.active),
    )


def accounts_of(session: Session, contact: Contact) -> Choices:
    """The accounts a contact may file for, his own first (S17)."""
    return _own_first(session, contact, policy.own_accounts(contact))


def readable_accounts(session: Session, contact: Contact) -> Choices:
    """The accounts a contact may look at, his own first (SPEC section 2: switch between several)."""
    return _own_first(session, contact, policy.readable_accounts(contact))


def categories(session: Session) -> Sequence[Category]:
    """Those on offer."""
    return [one for one in all_categories(session) if one.active]


def all_categories(session: Session) -> Sequence[Category]:
    """Those withdrawn, too."""
    return session.scalars(select(Category).order_by(Category.position, Category.name_en)).all()


def contacts(session: Session, words: str, *, limit: int) -> Sequence[Contact]:
    """Active contacts by name, address or account, for filing on behalf of one of them (S28)."""
    query = select(Contact).outerjoin(Contact.account).where(Contact.active)
    for word in words.split():
        query = query.where(
            Contact.name.icontains(word, autoescape=True)
            | Account.name.icontains(word, autoescape=True)
            | Contact.emails.any(ContactEmail.address.icontains(word, autoescape=True))
        )
    query = query.options(contains_eager(Contact.account), selectinload(Contact.emails))
    return session.scalars(query.order_by(Contact.name).limit(limit)).all()


def _with(
    items: Sequence[Product] | Sequence[Account] | Sequence[Staff], besides: Product | Account | Staff | None
) -> Choices:
    return _and([(item.id, item.name) for item in items], besides)


def _and(pairs: list[tuple[uuid.UUID, str]], besides: Product | Account | Staff | None) -> Choices:
    if besides is not None and besides.id not in {key for key, _name in pairs}:
        pairs.append((besides.id, besides.name))
    return pairs


def _own_first(session: Session, contact: Contact, ids: set[uuid.UUID]) -> Choices:
    found = session.scalars(select(Account).where(Account.id.in_(ids), Account.active).order_by(Account.name)).all()
    return [(account.id, account.name) for account in sorted(found, key=lambda one: one.id != contact.account_id)]
