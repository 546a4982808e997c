"""What is said about a ticket: replies, which the customer sees, and internal notes (S49 - S55)."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from portal_service.channels import notices
from portal_service.files.storage import StoredFile
from portal_service.people import policy
from portal_service.tickets import fields, snapshots
from portal_service.tickets.actor import Actor
from portal_service.tickets.entries import checked_body, write_note, write_reply
from portal_service.tickets.errors import UNKNOWN, Invalid
from portal_service.tickets.lifecycle import DONE, RIGHT_TO_SET, status_after
from portal_service.tickets.models import InternalNote, Reply, Ticket


def add_reply(
    session: Session,
    ticket: Ticket,
    *,
    actor: Actor,
    body: str,
    channel: str = "portal",
    files: Sequence[StoredFile] = (),
    pending: bool = False,
    status: str | None = None,
    crm_note_id: str | None = None,
    now: datetime,
) -> Reply:
    """Add a public reply and tell the other side.

    A customer's reply takes a pending, solved or closed ticket up again (S61, S65); with `pending` an agent's reply is
    a question and the ticket waits for its answer. `status`: what the author chose as the new status instead (S49).
    All of it is one version. Raises Invalid, Refused.
    """
    policy.require(actor.kind, "ask" if pending else "reply")
    _check_status(actor, status)
    body = checked_body(body, files)
    fields.lock(session, ticket)
    before = ticket.status
    target = status_after(_reply_action(actor, pending=pending), before)
    if status and status != target:
        target = status_after(f"set_{status}", target)
    reply = write_reply(
        session, ticket, actor=actor, body=body, channel=channel, files=files, crm_note_id=crm_note_id, now=now
    )
    fields.move_to(session, ticket, target, actor=actor, now=now)
    fields.stamp_review(ticket, actor=actor, now=now)
    snapshots.publish(session, ticket, actor=actor, now=now, entries=[reply])
    notices.reply_added(session, ticket, reply, actor=actor, now=now, before=before)
    if status in DONE and ticket.status != before:
        notices.status_changed(session, ticket, actor=actor, now=now, before=before)
    return reply


def add_internal_note(
    session: Session, ticket: Ticket, *, actor: Actor, body: str, files: Sequence[StoredFile] = (), now: datetime
) -> InternalNote:
    """Add a note that only staff and account managers ever see. Raises Invalid, Refused."""
    policy.require(actor.kind, "note")
    body = checked_body(body, files)
    fields.lock(session, ticket)
    status = status_after("internal_note", ticket.status)
    note = write_note(session, ticket, actor=actor, body=body, files=files, now=now)
    fields.move_to(session, ticket, status, actor=actor, now=now)
    fields.stamp_review(ticket, actor=actor, now=now)
    snapshots.publish(session, ticket, actor=actor, now=now, entries=[note])
    notices.note_added(session, ticket, note, actor=actor, now=now)
    return note


def _check_status(actor: Actor, status: str | None) -> None:
    if not status:
        return
    if status not in RIGHT_TO_SET:
        raise Invalid({"status": UNKNOWN})
    policy.require(actor.kind, RIGHT_TO_SET[status])


def _reply_action(actor: Actor, *, pending: bool) -> str:
    if actor.kind == "customer":
        return "customer_reply"
    return "ask" if pending else "staff_reply"
