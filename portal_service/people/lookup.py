"""Who an e-mail address belongs to. All addresses of a contact count; an ambiguous one is a question for a person."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.people.models import Contact, ContactEmail, Staff, User
from shared.emails import email_key


def contacts_with_address(session: Session, address: str, *, without_login: bool = False) -> Sequence[Contact]:
    """Active contacts who have this address, those the CRM knows first."""
    query = (
        select(Contact)
        .where(Contact.active, Contact.emails.any(ContactEmail.key == email_key(address)))
        .order_by(Contact.guest, Contact.name, Contact.id)
    )
    if without_login:
        query = query.where(~select(User.id).where(User.contact_id == Contact.id).exists())
    return session.scalars(query).all()


def users_with_address(session: Session, address: str) -> Sequence[User]:
    """Approved log-ins of active contacts and agents who have this address."""
    key = email_key(address)
    contacts = select(User).join(User.contact).where(Contact.active, Contact.emails.any(ContactEmail.key == key))
    customers = session.scalars(contacts.where(User.state == "approved")).all()
    # Agents are few, and their addresses are stored as written.
    agents = session.scalars(select(User).join(User.staff).where(Staff.active, User.state == "approved")).all()
    return [*customers, *(user for user in agents if user.staff and email_key(user.staff.email) == key)]


def address_of(user: User) -> str | None:
    """Where mails to a user go."""
    if user.staff is not None:
        return user.staff.email
    return user.contact.email if user.contact is not None else None


def name_of(user: User) -> str:
    person = user.staff or user.contact
    return person.name if person is not None else user.username
