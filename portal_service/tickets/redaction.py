"""Taking the words of a ticket out for good: of everything said, of who said it, and of every copy the portal has.

What stays is that there was a ticket, with its number, dates, status, product and agents. The sync service hears of it
with the ticket's next version and takes the words out of the Case, its Notes and its own tables.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from portal_service.base import Base, inbox, outbox
from portal_service.channels.models import OutgoingMail
from portal_service.crm.models import Mirror
from portal_service.files.models import Attachment
from portal_service.files.storage import Storage
from portal_service.guests.models import GuestKey, GuestTicket
from portal_service.messages import message
from portal_service.people import policy
from portal_service.tickets import fields, history, snapshots
from portal_service.tickets.actor import Actor
from portal_service.tickets.errors import Refused
from portal_service.tickets.models import Entry, HistoryEntry, Rating, Ticket
from shared.redaction import REDACTED

REDACTED_ALREADY = message("This ticket was redacted already.")


def redact(session: Session, ticket: Ticket, *, actor: Actor, now: datetime) -> set[str]:
    """Delete the ticket and take its words out. Raises Refused.

    Returns what `forget_contents` is to delete once this is committed.
    """
    policy.require(actor.kind, "delete")
    fields.lock(session, ticket, deleted_too=True)
    if ticket.redacted_at is not None:
        raise Refused(REDACTED_ALREADY)
    contents = _forget_files(session, ticket)
    _forget_copies(session, ticket)
    _empty(session, ticket)
    if ticket.deleted_at is None:
        ticket.deleted_at, ticket.deleted_by = now, actor.name
    ticket.redacted_at = now
    history.record(session, ticket, "redacted", actor=actor, now=now)
    entries = session.scalars(select(Entry).where(Entry.ticket_id == ticket.id).order_by(Entry.position)).all()
    snapshots.publish(session, ticket, actor=actor, now=now, entries=entries)
    return contents


def forget_contents(session: Session, storage: Storage, contents: Collection[str], *, now: datetime) -> None:
    """Delete contents of files, by their SHA-256, that nothing else has; one that is written meanwhile stays."""
    columns = [table.c.sha256 for table in Base.metadata.sorted_tables if "sha256" in table.c]
    used = {found for column in columns for found in session.scalars(select(column).where(column.in_(contents)))}
    for sha256 in set(contents) - used:
        storage.remove(sha256, unless_newer_than=now)


def _empty(session: Session, ticket: Ticket) -> None:
    ticket.subject = ticket.description = REDACTED
    ticket.link_url, ticket.details, ticket.call_at, ticket.contact = None, {}, None, None
    ticket.contact_id, ticket.attachment_count = None, 0
    said = update(Entry).where(Entry.ticket_id == ticket.id)
    session.execute(said.values(body=REDACTED))
    of_customer = said.where(Entry.side == "customer")
    session.execute(of_customer.values(author_name=REDACTED, author_email=None, author_crm_id=None))
    lines = update(HistoryEntry).where(HistoryEntry.ticket_id == ticket.id)
    session.execute(lines.values(before=None, after=None))
    session.execute(lines.where(HistoryEntry.actor_kind == "customer").values(actor_name=REDACTED))
    session.execute(update(Rating).where(Rating.ticket_id == ticket.id).values(words="", rated_by=REDACTED))
    session.expire_all()


def _forget_copies(session: Session, ticket: Ticket) -> None:
    """Mails about it, keys to it, and events on their way, sent, or kept because they could not be read."""
    for model in (OutgoingMail, GuestKey, GuestTicket):
        session.execute(delete(model).where(model.ticket_id == ticket.id))
    session.execute(update(Mirror).where(Mirror.ticket_id == ticket.id).values(reason=None))
    subject, odd = str(ticket.id), inbox.unreadable
    session.execute(delete(outbox.table).where(outbox.table.c.subject == subject))
    session.execute(update(odd).where(odd.c.subject == subject).values(body=REDACTED, error=REDACTED))


def _forget_files(session: Session, ticket: Ticket) -> set[str]:
    """The contents that its attachments had."""
    contents = set(session.scalars(select(Attachment.sha256).where(Attachment.ticket_id == ticket.id)))
    session.execute(delete(Attachment).where(Attachment.ticket_id == ticket.id))
    return contents
