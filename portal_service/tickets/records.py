"""The records a new ticket refers to, read together."""

import uuid
from dataclasses import dataclass

from sqlalchemy import false, literal, select
from sqlalchemy.orm import Session, joinedload

from portal_service.people.models import Account, Contact
from portal_service.tickets.models import Category, Product, RequestType, Ticket


@dataclass(frozen=True, kw_only=True)
class Records:
    """What was found; None for what was not named or does not exist."""

    request_type: RequestType | None
    account: Account | None
    contact: Contact | None
    product: Product | None
    category: Category | None
    earlier: Ticket | None
    """The ticket that has this `external_ref` already."""


def read_records(
    session: Session,
    *,
    type_id: uuid.UUID | None = None,
    type_key: str | None = None,
    account_id: uuid.UUID | None,
    contact_id: uuid.UUID | None,
    product_id: uuid.UUID | None,
    category_id: uuid.UUID | None,
    external_ref: str | None = None,
) -> Records:
    """One statement, whatever is missing; a request type is named by its id or by its key."""
    is_type = RequestType.id == type_id if type_key is None else RequestType.key == type_key
    nothing = select(literal(1).label("one")).subquery()
    who = joinedload(Contact.emails), joinedload(Contact.grants), joinedload(Contact.user)
    query = (
        select(RequestType, Account, Contact, Product, Category, Ticket)
        .select_from(nothing)
        .outerjoin(RequestType, is_type)
        .outerjoin(Account, Account.id == account_id)
        .outerjoin(Contact, Contact.id == contact_id)
        .outerjoin(Product, Product.id == product_id)
        .outerjoin(Category, Category.id == category_id)
        .outerjoin(Ticket, Ticket.external_ref == external_ref if external_ref else false())
        .options(*who)
    )
    request_type, account, contact, product, category, earlier = session.execute(query).unique().one()
    return Records(
        request_type=request_type,
        account=account,
        contact=contact,
        product=product,
        category=category,
        earlier=earlier,
    )
