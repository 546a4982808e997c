"""Storing one contribution to a ticket, for the actions that add one."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from portal_service.files.storage import StoredFile
from portal_service.tickets import history, text
from portal_service.tickets.actor import Actor
from portal_service.tickets.attachments import attach, too_many
from portal_service.tickets.errors import Invalid
from portal_service.tickets.models import Entry, InternalNote, Reply, Ticket
from shared.ids import new_id

_SIDES = {"customer": "customer", "staff": "staff", "crm": "staff", "system": "system"}


def checked_body(body: str, files: Sequence[StoredFile]) -> str:
    """The words as they will be stored; with files there may be none. Raises Invalid."""
    body = text.clean_body(body)
    errors = {"body": text.body_error(body) or "", "files": too_many(files)}
    if not body.strip() and not files:
        errors["body"] = text.REQUIRED
    found = {field: error for field, error in errors.items() if error}
    if found:
        raise Invalid(found)
    return body


def write_reply(
    session: Session,
    ticket: Ticket,
    *,
    actor: Actor,
    body: str,
    channel: str,
    files: Sequence[StoredFile],
    crm_note_id: str | None = None,
    now: datetime,
) -> Reply:
    """Store a public reply and its files; the action that asked for it publishes it."""
    reply = Reply(side=_SIDES[actor.kind], channel=channel, body=body, crm_note_id=crm_note_id)
    _add(session, ticket, reply, actor=actor, now=now)
    attach(session, ticket, files, entry=reply, internal=False, now=now)
    history.record(session, ticket, "replied", actor=actor, now=now)
    return reply


def write_note(
    session: Session, ticket: Ticket, *, actor: Actor, body: str, files: Sequence[StoredFile] = (), now: datetime
) -> InternalNote:
    """Store an internal note and its files, which are internal too; the action that asked for it publishes it."""
    note = InternalNote(side=_SIDES[actor.kind], body=body)
    _add(session, ticket, note, actor=actor, now=now)
    attach(session, ticket, files, entry=note, internal=True, now=now)
    history.record(session, ticket, "noted", actor=actor, now=now, public=False)
    return note


def _add(session: Session, ticket: Ticket, entry: Entry, *, actor: Actor, now: datetime) -> None:
    ticket.entry_count += 1
    ticket.last_activity_at = now
    entry.id = new_id()
    entry.ticket_id = ticket.id
    entry.position = ticket.entry_count
    entry.author_name = actor.name
    entry.author_email = actor.email
    entry.author_crm_id = actor.crm_id
    entry.created_at = now
    session.add(entry)
    session.flush()
