"""Who may do what and see which tickets: the only place that decides it. Whatever is not listed is refused."""

import uuid
from collections.abc import Mapping

from portal_service.guests.models import GuestKey
from portal_service.messages import message
from portal_service.people.models import Contact, Staff, User
from portal_service.tickets.errors import Refused
from portal_service.tickets.models import Ticket

NOT_ALLOWED = message("You are not allowed to do this.")

_EVERYBODY = frozenset({"view", "reply", "close", "reopen"})
_CUSTOMER = _EVERYBODY | {"rate"}
_STAFF = _EVERYBODY | {"view_internal", "ask", "note", "transfer", "edit", "delete", "restore", "file_for_others"}

ALLOWED: Mapping[str, frozenset[str]] = {
    "customer": _CUSTOMER,
    "guest": _CUSTOMER,
    "staff": _STAFF,
    "crm": frozenset({"reply", "note"}),
    "system": _STAFF,
}


def can(user: User | None, action: str, ticket: Ticket) -> bool:
    """Whether a logged-in user may do this with this very ticket (S10, S44)."""
    if user is None or user.state != "approved" or ticket.deleted_at is not None:
        return False
    if user.staff is not None:
        return user.staff.active and action in ALLOWED["staff"]
    if user.contact is not None:
        return user.contact.active and action in ALLOWED["customer"] and sees(user.contact, ticket)
    return False


def guest_can(key: GuestKey, action: str, ticket: Ticket) -> bool:
    """Whether somebody with this key may do this: with the one ticket it was made for, as long as it is not revoked."""
    fits = key.ticket_id == ticket.id and key.revoked_at is None and ticket.deleted_at is None
    return fits and action in ALLOWED["guest"]


def sees(contact: Contact, ticket: Ticket) -> bool:
    """Own tickets, and those of accounts granted as a whole."""
    return ticket.contact_id == contact.id or ticket.account_id in whole_accounts(contact)


def require(kind: str, action: str) -> None:
    """Raises Refused unless actors of this kind may do this at all; `can` looks at the ticket."""
    if action not in ALLOWED.get(kind, frozenset()):
        raise Refused(NOT_ALLOWED)


def may_file_for(kind: str, contact_id: uuid.UUID | None, requester: Contact) -> bool:
    """Customers file for themselves, staff for any contact (S28)."""
    return contact_id == requester.id if kind == "customer" else "file_for_others" in ALLOWED.get(kind, frozenset())


def readable_accounts(contact: Contact) -> set[uuid.UUID]:
    """The accounts in which a contact has or may have tickets to read: what he can choose between."""
    return own_accounts(contact) | whole_accounts(contact)


def may_manage_access(user: User | None) -> bool:
    """Whether somebody may change what customers see: admins only."""
    return user is not None and user.state == "approved" and user.staff is not None and _is_admin(user.staff)


def may_file_without_account(requester: Contact) -> bool:
    """A guest does not know what we call his company; staff choose the account."""
    return requester.guest


def own_accounts(contact: Contact) -> set[uuid.UUID]:
    """The accounts a contact may file for (S17)."""
    own = {contact.account_id} if contact.account_id else set()
    return own | {grant.account_id for grant in contact.grants}


def whole_accounts(contact: Contact) -> set[uuid.UUID]:
    """The accounts whose tickets a contact may all read."""
    return {grant.account_id for grant in contact.grants if grant.whole_account}


def _is_admin(staff: Staff) -> bool:
    return staff.active and staff.is_admin
