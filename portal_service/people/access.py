"""Which accounts a contact files for, and whose tickets he reads (SPEC section 2: company view, several accounts)."""

import uuid
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.people.models import Account, AccountGrant, Contact, User
from portal_service.tickets.errors import UNKNOWN, Invalid

FILE, READ_ALL = "file", "read_all"
LEVELS = (FILE, READ_ALL)


@dataclass(frozen=True)
class Access:
    """One account of a contact, at a level of LEVELS."""

    account: Account
    level: str
    is_own: bool
    """The account the CRM has him in: he may always file for it."""


def accesses(contact: Contact) -> list[Access]:
    """A contact's own account first, then those granted besides, by name."""
    grants = {grant.account_id: grant for grant in contact.grants}
    own = grants.pop(contact.account_id, None) if contact.account_id else None
    found = [] if contact.account is None else [Access(contact.account, _level(own), is_own=True)]
    others = sorted(grants.values(), key=lambda grant: grant.account.name.casefold())
    return found + [Access(grant.account, _level(grant), is_own=False) for grant in others]


def grant(session: Session, contact: Contact, account_id: uuid.UUID | None, level: str) -> Account:
    """Give a contact an account at this level, or change the level. Raises Invalid."""
    account = session.get(Account, account_id) if account_id else None
    if account is None or not account.active:
        raise Invalid({"account_id": UNKNOWN})
    if level not in LEVELS:
        raise Invalid({"level": UNKNOWN})
    found = session.get(AccountGrant, (contact.id, account.id))
    if found is None:
        found = AccountGrant(account=account, whole_account=False)
        contact.grants.append(found)
    found.whole_account = level == READ_ALL
    session.flush()
    return account


def withdraw(session: Session, contact: Contact, account_id: uuid.UUID) -> None:
    """Take back what was granted; for his own account a contact can still file."""
    found = session.get(AccountGrant, (contact.id, account_id))
    if found is not None:
        contact.grants.remove(found)
        session.flush()


def login_of(session: Session, contact: Contact) -> User | None:
    return session.scalar(select(User).where(User.contact_id == contact.id))


def _level(granted: AccountGrant | None) -> str:
    return READ_ALL if granted is not None and granted.whole_account else FILE
