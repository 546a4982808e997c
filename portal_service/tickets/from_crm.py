"""What account managers changed in the CRM, applied to the ticket (S92, S94), and what they tell the customer (S91)."""

from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.channels import notices
from portal_service.crm import directory
from portal_service.people.models import Account, Staff
from portal_service.tickets import fields, history, snapshots
from portal_service.tickets.actor import Actor
from portal_service.tickets.conversation import add_reply
from portal_service.tickets.lifecycle import PRIORITIES, STATUSES
from portal_service.tickets.models import Product, Reply, Ticket
from shared.events import CaseChanged, FieldChange, NoteForCustomer

log = structlog.get_logger()


def apply_case_change(session: Session, event: CaseChanged, *, now: datetime) -> None:
    """Set each field that still has the value the CRM's user started from; answer with a new snapshot.

    A field that has become something else here since is left alone, which the history says; the snapshot shows the
    sync service what there is, and its policy decides. A change handled before is ignored: it was answered.
    """
    ticket = session.scalar(select(Ticket).where(Ticket.id == event.ticket_id))
    if ticket is None:
        log.warning("case_change_of_unknown_ticket", ticket_id=str(event.ticket_id), pull_number=event.pull_number)
        return
    fields.lock(session, ticket, deleted_too=True)
    if event.pull_number <= ticket.pull_number:
        return
    ticket.pull_number = event.pull_number
    actor = Actor(kind="crm", name=event.changed_by)
    assignee, status = ticket.assignee_id, ticket.status
    if ticket.deleted_at is None:
        for change in event.changes:
            _apply(session, ticket, change, actor=actor, now=now)
    snapshots.publish(session, ticket, actor=actor, now=now)
    if ticket.assignee_id is not None and ticket.assignee_id != assignee:
        notices.ticket_assigned(session, ticket, note=None, actor=actor, now=now)
    if ticket.status != status:
        notices.status_changed(session, ticket, actor=actor, now=now, before=status)


def apply_note_for_customer(session: Session, event: NoteForCustomer, *, now: datetime) -> None:
    """Make one reply of a Note that somebody marked in the CRM to be sent to the customer. Raises Invalid."""
    ticket = session.scalar(select(Ticket).where(Ticket.id == event.ticket_id))
    if ticket is None:
        log.warning("note_for_unknown_ticket", ticket_id=str(event.ticket_id), note_id=event.crm_note_id)
        return
    fields.lock(session, ticket, deleted_too=True)
    known = session.scalar(select(Reply.id).where(Reply.crm_note_id == event.crm_note_id))
    if known is not None or ticket.deleted_at is not None:
        return
    actor = Actor(kind="crm", name=event.author)
    add_reply(session, ticket, actor=actor, body=event.body, channel="crm", crm_note_id=event.crm_note_id, now=now)


def _apply(session: Session, ticket: Ticket, change: FieldChange, *, actor: Actor, now: datetime) -> None:
    present = current_value(ticket, change.field)
    if present == change.after:
        return
    if present != change.before or not _is_possible(change):
        label = change.after_label or change.after
        history.record(
            session,
            ticket,
            "refused",
            actor=actor,
            now=now,
            field=change.field,
            before=present,
            after=label,
            public=False,
        )
        return
    _SETTERS[change.field](session, ticket, change, actor=actor, now=now)


def current_value(ticket: Ticket, field: str) -> str | None:
    """A field as the sync service knows it: statuses and priorities by key, records by their CRM id."""
    if field == "assignee":
        foreign = ticket.foreign_assignee
        return ticket.assignee.crm_id if ticket.assignee else (foreign["crm_id"] if foreign else None)
    if field in {"account", "product"}:
        record = getattr(ticket, field)
        return record.crm_id if record else None
    value: str = getattr(ticket, field)
    return value


def _is_possible(change: FieldChange) -> bool:
    allowed = {"status": STATUSES, "priority": PRIORITIES}.get(change.field)
    return allowed is None or change.after in allowed


def _set_status(session: Session, ticket: Ticket, change: FieldChange, *, actor: Actor, now: datetime) -> None:
    # The CRM may set any status, also back to new: there the account manager's word counts, not our table.
    fields.move_to(session, ticket, str(change.after), actor=actor, now=now)


def _set_priority(session: Session, ticket: Ticket, change: FieldChange, *, actor: Actor, now: datetime) -> None:
    fields.set_priority(session, ticket, str(change.after), actor=actor, now=now)


def _set_assignee(session: Session, ticket: Ticket, change: FieldChange, *, actor: Actor, now: datetime) -> None:
    if change.after is None:
        fields.set_assignee(session, ticket, None, actor=actor, now=now)
        return
    staff = session.scalar(select(Staff).where(Staff.crm_id == change.after, Staff.active))
    if staff is not None:
        fields.set_assignee(session, ticket, staff, actor=actor, now=now)
    else:
        name = change.after_label or change.after
        fields.set_foreign_assignee(session, ticket, change.after, name, actor=actor, now=now)


def _set_account(session: Session, ticket: Ticket, change: FieldChange, *, actor: Actor, now: datetime) -> None:
    account = directory.find_or_stub(session, Account, change.after, change.after_label)
    fields.set_record(session, ticket, "account", account, actor=actor, now=now)


def _set_product(session: Session, ticket: Ticket, change: FieldChange, *, actor: Actor, now: datetime) -> None:
    product = directory.find_or_stub(session, Product, change.after, change.after_label)
    fields.set_record(session, ticket, "product", product, actor=actor, now=now)


_SETTERS = {
    "status": _set_status,
    "priority": _set_priority,
    "assignee": _set_assignee,
    "account": _set_account,
    "product": _set_product,
}
