"""Which CRM contact a ticket's requester is: found by any of its addresses, created if there is none.

An ambiguous match is a question for a person, never a guess (SPEC section 4, 10). Where the CRM chooses the ids, an
address is claimed before its contact is made, so that two tickets of a new customer do not make two (FAILURES 8).
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from crm_sync_service.connectors.base import AlreadyExistsError, Connector, DirectoryEntry, InvalidError, NewContact
from crm_sync_service.lanes import mark_due
from crm_sync_service.links import ContactFound
from crm_sync_service.models import ContactMatch, DirectoryRecord, Link
from crm_sync_service.order_book import add_order
from crm_sync_service.texts import clean_name
from shared.database import Database
from shared.emails import email_key
from shared.events import Person, TicketChanged
from shared.ids import derived_id

CLAIM = timedelta(seconds=60)
"""So long only one ticket's run may make the contact of an address."""
_ASK_AGAIN = timedelta(hours=1)
"""An ambiguous address is looked up again after this long, as people merge contacts."""


def resolve_contact(database: Database, crm: Connector, ticket: TicketChanged, *, now: datetime) -> ContactFound:
    """The CRM's id of the requester and, if there is none, why."""
    person = ticket.contact
    if person is None:
        return ContactFound()
    if person.crm_id is not None:
        return ContactFound(crm_id=person.crm_id)
    if not person.email:
        return ContactFound(problem=f"{person.name} has no e-mail address to find the contact by")
    key = email_key(person.email)
    with database.read() as session:
        known = _known(session, key, now=now)
        waits = known is not None and known.problem is not None and _waits(session, key, ticket)
    if known is not None:
        if known.problem and not waits:
            with database.write() as session:
                _wait_for_choice(session, key, ticket)
        return known
    return _look_up(database, crm, ticket, person, key, now=now)


def _known(session: Session, key: str, *, now: datetime) -> ContactFound | None:
    """What was decided about an address, if that still holds."""
    match = session.get(ContactMatch, key)
    if match is None:
        return None
    if match.crm_id is not None:
        record = session.get(DirectoryRecord, ("contact", match.crm_id))
        return ContactFound(crm_id=match.crm_id) if record is None or record.active else None
    if match.candidates and now - match.decided_at < _ASK_AGAIN:
        return ContactFound(problem=_ambiguous(len(match.candidates), match.email_key))
    return None


def _ambiguous(count: int, address: str) -> str:
    return f"{count} contacts of the CRM have the address {address}: merge them, or choose one"


def _waits(session: Session, key: str, ticket: TicketChanged) -> bool:
    return str(ticket.ticket_id) in session.get_one(ContactMatch, key).tickets


def _wait_for_choice(session: Session, key: str, ticket: TicketChanged) -> None:
    match = session.get_one(ContactMatch, key, with_for_update=True)
    if str(ticket.ticket_id) not in match.tickets:
        match.tickets = [*match.tickets, str(ticket.ticket_id)]


def _look_up(
    database: Database, crm: Connector, ticket: TicketChanged, person: Person, key: str, *, now: datetime
) -> ContactFound:
    address = person.email or ""
    if not crm.capabilities.client_ids and not _claim(database, key, ticket, now=now):
        return ContactFound(wait=True)
    found = crm.contacts_by_email(address)
    chosen = _only_one(found, ticket.account_crm_id) or (None if found else _create(crm, person, key, ticket))
    with database.write() as session:
        match = session.get(ContactMatch, key, with_for_update=True) or ContactMatch(email_key=key, tickets=[])
        session.add(match)
        match.crm_id, match.candidates, match.decided_at = chosen, [entry.crm_id for entry in found], now
        match.claimed_by = match.claimed_until = None
        if chosen is None:
            match.tickets = sorted({*match.tickets, str(ticket.ticket_id)})
        else:
            mark_due(session, _others(match, ticket), now=now)
            match.tickets = []
    return ContactFound(crm_id=chosen, problem=None if chosen else _ambiguous(len(found), address))


def _others(match: ContactMatch, ticket: TicketChanged) -> list[uuid.UUID]:
    return [uuid.UUID(waiting) for waiting in match.tickets if waiting != str(ticket.ticket_id)]


def _claim(database: Database, key: str, ticket: TicketChanged, *, now: datetime) -> bool:
    """Whether this ticket's run may make the contact; another one that died while it did is waited for."""
    mine = str(ticket.ticket_id)
    with database.write() as session:
        dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        row = {"email_key": key, "candidates": [], "decided_at": now, "tickets": []}
        session.execute(dialect.insert(ContactMatch).values(row).on_conflict_do_nothing())
        free = or_(
            ContactMatch.claimed_until.is_(None), ContactMatch.claimed_until < now, ContactMatch.claimed_by == mine
        )
        claimed = update(ContactMatch).where(ContactMatch.email_key == key, free).returning(ContactMatch.email_key)
        if session.scalar(claimed.values(claimed_by=mine, claimed_until=now + CLAIM)) is not None:
            return True
        _wait_for_choice(session, key, ticket)
        return False


def _only_one(found: Sequence[DirectoryEntry], account_id: str | None) -> str | None:
    """The one contact there is, or the one within the ticket's account."""
    if len(found) == 1:
        return found[0].crm_id
    within = [entry for entry in found if account_id and entry.account_id == account_id]
    return within[0].crm_id if len(within) == 1 else None


def _create(crm: Connector, person: Person, key: str, ticket: TicketChanged) -> str:
    new = NewContact(
        id=str(derived_id("contact", key)),
        name=clean_name(person.name) or (person.email or ""),
        emails=(person.email or "",),
        account_id=ticket.account_crm_id,
    )
    try:
        return crm.create_contact(new).crm_id
    except AlreadyExistsError as error:
        return error.record_id or new.id
    except InvalidError as error:
        if new.account_id is None or "account" not in error.fields:
            raise
        # The account is gone; the person is not (FAILURES 10).
        return crm.create_contact(replace(new, account_id=None)).crm_id


def directory_changed(session: Session, entry: DirectoryEntry, *, now: datetime) -> int:
    """Follow a record that was renamed, merged or deleted; returns how many lanes became due.

    Contacts found by address follow their survivor, and a field that the CRM refused because of this record is tried
    again.
    """
    due: set[uuid.UUID] = set()
    if entry.kind == "contact":
        due |= _follow_contact(session, entry)
    for link in session.scalars(select(Link).where(Link.held).order_by(Link.ticket_id)).all():
        refused = [name for name, hold in link.holds.items() if _names(hold, entry)]
        for name in refused:
            add_order(session, link.ticket_id, do="release", field=name, by="Casebridge", now=now)
        due |= {link.ticket_id} if refused else set()
    mark_due(session, due, now=now)
    return len(due)


def _follow_contact(session: Session, entry: DirectoryEntry) -> set[uuid.UUID]:
    due: set[uuid.UUID] = set()
    for match in session.scalars(select(ContactMatch).where(ContactMatch.crm_id == entry.crm_id)):
        if entry.merged_into is not None:
            match.crm_id = entry.merged_into
    for match in session.scalars(select(ContactMatch).where(ContactMatch.crm_id.is_(None))):
        if entry.crm_id in match.candidates and (entry.merged_into is not None or not entry.active):
            match.candidates = []
            due |= {uuid.UUID(ticket_id) for ticket_id in match.tickets}
    return due


def _names(hold: Mapping[str, str | None], entry: DirectoryEntry) -> bool:
    return hold["kind"] == "refused" and hold["value"] == entry.crm_id
