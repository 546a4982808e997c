"""What guests do: file a ticket, have its key mailed again, prove their address."""

import random
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.channels.mail_out import Recipient, queue_mail
from portal_service.guests import keys
from portal_service.guests.keys import direct_link, is_guest_ticket, issue_key
from portal_service.guests.models import GuestTicket
from portal_service.messages import message
from portal_service.people import throttle
from portal_service.people.lookup import contacts_with_address
from portal_service.people.models import Contact, ContactEmail
from portal_service.tickets import fields, history, snapshots
from portal_service.tickets.actions import NewTicket, submit_ticket
from portal_service.tickets.actor import Actor
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.models import Ticket
from portal_service.tickets.text import REQUIRED, clean_line
from shared.emails import email_key, is_email
from shared.ids import new_id

_MOST_TICKETS = 10
_MOST_TICKETS_PER_EMAIL = 5
_MOST_LINKS = 20
_MOST_LINKS_PER_EMAIL = 3
_MAX_NAME = 150

NO_EMAIL = message("Please give an e-mail address like name@company.com.")
TOO_LONG = message("Please use at most 150 characters.")


@dataclass(frozen=True, kw_only=True)
class Guest:
    """Who a guest says he is."""

    name: str
    email: str
    language: str


def check_rate(session: Session, address: str, *, now: datetime) -> None:
    """Raises Refused when too many tickets came from this address; asked before anything is stored."""
    if throttle.is_exceeded(session, [_per_address(address)], now=now):
        raise Refused(throttle.THROTTLED)


def guest_errors(guest: Guest) -> dict[str, str]:
    """What is wrong with what a guest says of himself, by field."""
    errors = {} if clean_line(guest.name) else {"name": REQUIRED}
    if len(guest.name) > _MAX_NAME:
        errors["name"] = TOO_LONG
    if not is_email(clean_line(guest.email)):
        errors["email"] = NO_EMAIL
    return errors


def file_as_guest(
    session: Session, guest: Guest, new: NewTicket, *, address: str, now: datetime, rng: random.Random
) -> Ticket:
    """File a ticket for somebody who is not known here; the mail about it holds a key. Raises Invalid and Refused.

    Whatever the address, the ticket belongs to a contact of its own until the address is proved: otherwise anybody
    could put tickets into the list of another.
    """
    errors = guest_errors(guest)
    if errors:
        raise Invalid(errors)
    limits = [_per_address(address), _per_email(guest.email)]
    if throttle.is_exceeded(session, limits, now=now):
        raise Refused(throttle.THROTTLED)
    throttle.count(session, limits, now=now)
    contact = _contact(session, guest)
    new = replace(new, contact_id=contact.id, account_id=None, guest_language=guest.language)
    return submit_ticket(session, new, actor=guest_actor(contact), now=now, rng=rng)


def guest_actor(contact: Contact) -> Actor:
    """A guest as actions want to know who acts."""
    return Actor(kind="customer", name=contact.name, email=contact.email, contact_id=contact.id)


def mail_link(session: Session, number: int, email: str, *, address: str, now: datetime) -> None:
    """Mail a new key to the ticket's own address, if that is the one given; nobody is told whether it is.

    Raises Refused when too many asked from one address.
    """
    by_address = throttle.per_address("guest-link", address, _MOST_LINKS)
    if throttle.is_exceeded(session, [by_address], now=now):
        raise Refused(throttle.THROTTLED)
    by_email = throttle.limit("guest-link", email_key(email), _MOST_LINKS_PER_EMAIL)
    too_often = throttle.is_exceeded(session, [by_email], now=now)
    throttle.count(session, [by_address, by_email], now=now)
    ticket = session.scalar(select(Ticket).where(Ticket.number == number, Ticket.deleted_at.is_(None)))
    about = session.get(GuestTicket, ticket.id) if ticket is not None and is_guest_ticket(ticket) else None
    if too_often or ticket is None or about is None or email_key(about.email) != email_key(email):
        return
    key = issue_key(session, ticket, mailed=True, now=now)
    name = ticket.contact.name if ticket.contact else about.email
    queue_mail(
        session,
        "guest_link",
        key=f"guest-link:{new_id()}",
        recipient=Recipient(name=name, address=about.email, language=about.language),
        now=now,
        words={"key": key},
        url=direct_link(ticket.number, key),
        ticket=ticket,
        secret=True,
    )


def confirm_address(session: Session, ticket: Ticket, *, now: datetime) -> None:
    """The guest who got the mail says that the ticket is his: from now on it belongs to the contact of this address.

    Where the directory knows none or several, the contact he named himself stays, as somebody whose address is proved.
    Keys that went by no mail end: whoever filed with an address of somebody else must not read on in that one's name.
    """
    about = session.get(GuestTicket, ticket.id)
    if about is None or about.confirmed_at is not None or ticket.contact is None:
        return
    fields.lock(session, ticket)
    about.confirmed_at = now
    keys.revoke_keys(session, ticket, now=now, unmailed_only=True)
    before = ticket.contact
    known = [contact for contact in contacts_with_address(session, about.email) if not contact.guest]
    if len(known) != 1:
        before.guest = False
        return
    actor = guest_actor(before)
    ticket.contact = known[0]
    session.flush()
    history.record(
        session, ticket, "changed", actor=actor, now=now, field="contact", before=before.name, after=known[0].name
    )
    if ticket.account is None:
        fields.set_record(session, ticket, "account", known[0].account, actor=actor, now=now)
    snapshots.publish(session, ticket, actor=actor, now=now)


def _per_address(address: str) -> throttle.Limit:
    return throttle.per_address("guest-ticket", address, _MOST_TICKETS)


def _per_email(email: str) -> throttle.Limit:
    """Of the address as it is stored: what cleaning takes out makes no other mailbox."""
    return throttle.limit("guest-email", email_key(clean_line(email)), _MOST_TICKETS_PER_EMAIL)


def _contact(session: Session, guest: Guest) -> Contact:
    """The contact this guest made with an earlier ticket, or a new one."""
    name, email = clean_line(guest.name), clean_line(guest.email)
    for known in contacts_with_address(session, email):
        if known.guest and known.name.casefold() == name.casefold():
            return known
    contact = Contact(id=new_id(), name=name, active=True, guest=True)
    contact.emails = [ContactEmail(position=0, address=email, key=email_key(email))]
    session.add(contact)
    session.flush()
    return contact
