"""A ticket and what was said about it, as events for the sync service."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Literal, cast

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from portal_service import site
from portal_service.base import outbox
from portal_service.files.links import attachment_url
from portal_service.files.models import Attachment
from portal_service.tickets.actor import Actor
from portal_service.tickets.models import Entry, InternalNote, Reply, Ticket
from shared.events import AttachmentLink, InternalNoteAdded, Person, ReplyAdded, TicketChanged

_MAX_LINK_BYTES = 40_000
"""For all links of one event; the ticket's page lists the rest (FAILURES 45)."""

Status = Literal["new", "open", "pending", "solved", "closed"]
Priority = Literal["low", "normal", "high", "urgent"]
Side = Literal["customer", "staff", "system"]


def publish(session: Session, ticket: Ticket, *, actor: Actor, now: datetime, entries: Iterable[Entry] = ()) -> None:
    """End an action: one new version, one event with the whole state, one more for each entry it added."""
    ticket.version += 1
    ticket.changed_at = now
    session.flush()
    tell(session, ticket, actor=actor, now=now, entries=entries)


def tell(session: Session, ticket: Ticket, *, actor: Actor, now: datetime, entries: Iterable[Entry] = ()) -> None:
    """The events of the version that is stored already."""
    changed = ticket_changed(session, ticket, changed_by=actor.name)
    outbox.add_all(session, [changed, *map(entry_added, entries)], now=now)


def ticket_changed(session: Session, ticket: Ticket, *, changed_by: str) -> TicketChanged:
    """The whole synced state of a ticket at its present version."""
    return TicketChanged(
        ticket_id=ticket.id,
        version=ticket.version,
        number=ticket.number,
        ticket_url=site.current().ticket_url(ticket.number),
        subject=ticket.subject,
        description=ticket.description,
        link_url=ticket.link_url,
        details={label: str(value) for label, value in ticket.details.items()},
        status=cast("Status", ticket.status),
        priority=cast("Priority", ticket.priority),
        request_type=ticket.request_type.name_en,
        origin=ticket.origin,
        account_crm_id=ticket.account.crm_id if ticket.account else None,
        account_name=ticket.account.name if ticket.account else None,
        product_crm_id=ticket.product.crm_id if ticket.product else None,
        product_name=ticket.product.name if ticket.product else None,
        category=ticket.category.name_en if ticket.category else None,
        contact=_contact(ticket),
        assignee=_assignee(ticket),
        attachments=links(public_attachments(session, ticket)),
        reply_count=ticket.entry_count,
        changed_by=changed_by,
        created_at=ticket.created_at,
        changed_at=ticket.changed_at,
        pull_number=ticket.pull_number,
        deleted_at=ticket.deleted_at,
        deleted_by=ticket.deleted_by,
        redacted_at=ticket.redacted_at,
    )


def entry_added(entry: Entry) -> ReplyAdded | InternalNoteAdded:
    """The event of a reply or of an internal note. Raises TypeError for an entry of another kind."""
    author = Person(name=entry.author_name, email=entry.author_email, crm_id=entry.author_crm_id)
    if isinstance(entry, InternalNote):
        return InternalNoteAdded(
            ticket_id=entry.ticket_id,
            note_id=entry.id,
            position=entry.position,
            author=author,
            body=entry.body,
            attachments=links(entry.attachments),
            created_at=entry.created_at,
        )
    if isinstance(entry, Reply):
        return ReplyAdded(
            ticket_id=entry.ticket_id,
            reply_id=entry.id,
            position=entry.position,
            side=cast("Side", entry.side),
            author=author,
            channel=entry.channel,
            body=entry.body,
            attachments=links(entry.attachments),
            created_at=entry.created_at,
            crm_note_id=entry.crm_note_id,
        )
    raise TypeError(f"entry {entry.id} is neither a reply nor an internal note")


def public_attachments(session: Session, ticket: Ticket) -> list[Attachment]:
    """The files of the ticket and of its public replies, in order; never those of internal notes (S77)."""
    return [file for file in all_attachments(session, ticket) if not file.internal]


def all_attachments(session: Session, ticket: Ticket) -> list[Attachment]:
    """Those of internal notes, too: for staff only. Read once in a transaction."""
    if not ticket.attachment_count:
        return []
    if "attachments" in inspect(ticket).unloaded:
        query = select(Attachment).where(Attachment.ticket_id == ticket.id).order_by(Attachment.position)
        set_committed_value(ticket, "attachments", list(session.scalars(query)))
    return list(ticket.attachments)


def links(attachments: Iterable[Attachment]) -> tuple[AttachmentLink, ...]:
    """Signed links for account managers, as many as an event holds."""
    chosen: list[AttachmentLink] = []
    room = _MAX_LINK_BYTES
    for attachment in attachments:
        link = AttachmentLink(
            id=attachment.id, name=attachment.name, size=attachment.size, url=attachment_url(attachment, "crm")
        )
        room -= len(json.dumps([link.name, link.url], ensure_ascii=False).encode()) + 100
        if room < 0:
            break
        chosen.append(link)
    return tuple(chosen)


def _contact(ticket: Ticket) -> Person | None:
    contact = ticket.contact
    return Person(name=contact.name, email=contact.email, crm_id=contact.crm_id) if contact else None


def _assignee(ticket: Ticket) -> Person | None:
    if ticket.assignee:
        return Person(name=ticket.assignee.name, email=ticket.assignee.email, crm_id=ticket.assignee.crm_id)
    if ticket.foreign_assignee:
        return Person(name=ticket.foreign_assignee["name"], crm_id=ticket.foreign_assignee["crm_id"])
    return None
