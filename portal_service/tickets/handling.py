"""What people do with a ticket besides talking: transfer, edit, close, reopen, delete (S42, S43, S66, S67)."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from portal_service.channels import notices
from portal_service.messages import message
from portal_service.people import policy
from portal_service.people.models import Account, Staff
from portal_service.tickets import fields, history, snapshots, text
from portal_service.tickets.actor import Actor
from portal_service.tickets.entries import write_note
from portal_service.tickets.errors import PRODUCT_OR_CATEGORY, UNKNOWN, Invalid, Refused
from portal_service.tickets.lifecycle import NEW, OPEN, PRIORITIES, RIGHT_TO_SET, STATUSES, status_after
from portal_service.tickets.models import Category, InternalNote, Product, Ticket

NOT_EDITABLE = message("This part of a ticket cannot be edited.")
NOT_DELETED = message("This ticket is not deleted.")
REDACTED_FOR_GOOD = message("This ticket was redacted: its words are gone for good.")
NO_SUCH_PARENT = message("No other ticket has this number.")
PARENT_CIRCLE = message("That ticket follows from this one itself.")
_MOST_PARENTS = 50
"""How far a chain of parents is followed; no sensible one is longer."""

Step = Callable[[], bool]
"""Makes one change and tells whether anything became different."""


def transfer(
    session: Session,
    ticket: Ticket,
    *,
    actor: Actor,
    assignee_id: uuid.UUID | None,
    account_id: uuid.UUID | None,
    product_id: uuid.UUID | None,
    note: str,
    now: datetime,
) -> None:
    """Hand a ticket over: agent, account, product and an internal note in one step and one version (S42).

    The ids are the values the ticket shall have. Raises Invalid, Refused.
    """
    policy.require(actor.kind, "transfer")
    fields.lock(session, ticket)
    body = text.clean_body(note).strip()
    if error := text.body_error(body):
        raise Invalid({"note": error})
    wanted = {"assignee_id": assignee_id, "account_id": account_id, "product_id": product_id}
    before = _Before.of(ticket)
    changed = _apply(session, ticket, wanted, actor=actor, now=now)
    if not changed and not body:
        return
    entry = write_note(session, ticket, actor=actor, body=body, now=now) if body else None
    history.record(session, ticket, "transferred", actor=actor, now=now)
    fields.move_to(session, ticket, status_after("transfer", ticket.status), actor=actor, now=now)
    _finish(session, ticket, before, actor=actor, note=entry, now=now)


def edit(session: Session, ticket: Ticket, *, actor: Actor, changes: Mapping[str, Any], now: datetime) -> None:
    """Change fields of the right column (S43).

    These are status, priority, parent_number and the *_id of product, category, account and assignee.
    Raises Invalid for a value that cannot be, Refused for any other field: what was said stays as it was (S44).
    """
    policy.require(actor.kind, "edit")
    fields.lock(session, ticket)
    before = _Before.of(ticket)
    if not _apply(session, ticket, changes, actor=actor, now=now):
        return
    if "status" not in changes and ticket.status == NEW:
        fields.move_to(session, ticket, OPEN, actor=actor, now=now)
    _finish(session, ticket, before, actor=actor, now=now)


def set_status(session: Session, ticket: Ticket, status: str, *, actor: Actor, now: datetime) -> None:
    """Set the status by hand; setting the present one changes nothing. Raises Invalid, Refused."""
    if status not in RIGHT_TO_SET:
        raise Invalid({"status": UNKNOWN})
    policy.require(actor.kind, RIGHT_TO_SET[status])
    fields.lock(session, ticket)
    if ticket.status != status:
        _move(session, ticket, status_after(f"set_{status}", ticket.status), actor=actor, now=now)


def close(session: Session, ticket: Ticket, *, actor: Actor, now: datetime) -> None:
    """The check mark (S66). Raises Refused when the ticket is closed already."""
    policy.require(actor.kind, "close")
    fields.lock(session, ticket)
    _move(session, ticket, status_after("close", ticket.status), actor=actor, now=now)


def reopen(session: Session, ticket: Ticket, *, actor: Actor, now: datetime) -> None:
    """Take a pending, solved or closed ticket up again. Raises Refused."""
    policy.require(actor.kind, "reopen")
    fields.lock(session, ticket)
    _move(session, ticket, status_after("reopen", ticket.status), actor=actor, now=now)


def mark_reviewed(session: Session, ticket: Ticket, *, actor: Actor, now: datetime) -> None:
    """An agent opened the ticket: the first time a new one becomes open (S38, S60). Does nothing afterwards."""
    policy.require(actor.kind, "edit")
    if ticket.reviewed_at is not None and ticket.status != NEW:
        return
    fields.lock(session, ticket)
    fields.stamp_review(ticket, actor=actor, now=now)
    if ticket.status == NEW:
        fields.move_to(session, ticket, status_after("review", ticket.status), actor=actor, now=now)
        snapshots.publish(session, ticket, actor=actor, now=now)


def delete(session: Session, ticket: Ticket, *, actor: Actor, now: datetime) -> None:
    """Remove the ticket from the portal and leave a tombstone; its Case stays (S67). Raises Refused."""
    policy.require(actor.kind, "delete")
    fields.lock(session, ticket)
    ticket.deleted_at = now
    ticket.deleted_by = actor.name
    history.record(session, ticket, "deleted", actor=actor, now=now)
    snapshots.publish(session, ticket, actor=actor, now=now)


def restore(session: Session, ticket: Ticket, *, actor: Actor, now: datetime) -> None:
    """Bring a deleted ticket back as it was; the same Case is mirrored again. Raises Refused if it is not deleted."""
    policy.require(actor.kind, "restore")
    fields.lock(session, ticket, deleted_too=True)
    if ticket.deleted_at is None:
        raise Refused(NOT_DELETED)
    if ticket.redacted_at is not None:
        raise Refused(REDACTED_FOR_GOOD)
    ticket.deleted_at = None
    ticket.deleted_by = None
    history.record(session, ticket, "restored", actor=actor, now=now)
    snapshots.publish(session, ticket, actor=actor, now=now)


@dataclass(frozen=True, kw_only=True)
class _Before:
    """What a ticket was before an action, to tell those concerned what became of it."""

    assignee_id: uuid.UUID | None
    status: str

    @classmethod
    def of(cls, ticket: Ticket) -> "_Before":
        return cls(assignee_id=ticket.assignee_id, status=ticket.status)


def _move(session: Session, ticket: Ticket, status: str, *, actor: Actor, now: datetime) -> None:
    before = _Before.of(ticket)
    fields.move_to(session, ticket, status, actor=actor, now=now)
    _finish(session, ticket, before, actor=actor, now=now)


def _finish(
    session: Session,
    ticket: Ticket,
    before: _Before,
    *,
    actor: Actor,
    note: InternalNote | None = None,
    now: datetime,
) -> None:
    fields.stamp_review(ticket, actor=actor, now=now)
    snapshots.publish(session, ticket, actor=actor, now=now, entries=[note] if note else [])
    assigned = ticket.assignee_id is not None and ticket.assignee_id != before.assignee_id
    if assigned:
        notices.ticket_assigned(session, ticket, note=note, actor=actor, now=now)
    elif note is not None:
        notices.note_added(session, ticket, note, actor=actor, now=now)
    if ticket.status != before.status:
        notices.status_changed(session, ticket, actor=actor, now=now, before=before.status)


def _apply(session: Session, ticket: Ticket, wanted: Mapping[str, Any], *, actor: Actor, now: datetime) -> bool:
    """Check all values before the first is set. Returns whether anything changed. Raises Invalid, Refused."""
    steps: list[Step] = []
    errors: dict[str, str] = {}
    for field, value in wanted.items():
        if field not in _STEPS:
            raise Refused(NOT_EDITABLE)
        try:
            steps.append(_STEPS[field](session, ticket, value, actor=actor, now=now))
        except Invalid as invalid:
            errors |= invalid.errors
    errors |= _missing(ticket, wanted)
    if errors:
        raise Invalid(errors)
    changed = [step() for step in steps]
    return any(changed)


def _missing(ticket: Ticket, wanted: Mapping[str, Any]) -> dict[str, str]:
    """A product or a category must remain (S17), except where a ticket came without one."""
    if not {"product_id", "category_id"} & wanted.keys():
        return {}
    before = (ticket.product_id, ticket.category_id)
    after = (wanted.get("product_id", before[0]), wanted.get("category_id", before[1]))
    return {"product_id": PRODUCT_OR_CATEGORY} if any(before) and not any(after) else {}


def _status_step(session: Session, ticket: Ticket, status: Any, *, actor: Actor, now: datetime) -> Step:
    if status not in STATUSES:
        raise Invalid({"status": UNKNOWN})
    if status != ticket.status:
        status = status_after(f"set_{status}", ticket.status)
    return partial(fields.move_to, session, ticket, status, actor=actor, now=now)


def _priority_step(session: Session, ticket: Ticket, priority: Any, *, actor: Actor, now: datetime) -> Step:
    if priority not in PRIORITIES:
        raise Invalid({"priority": UNKNOWN})
    return partial(fields.set_priority, session, ticket, priority, actor=actor, now=now)


def _assignee_step(
    session: Session, ticket: Ticket, staff_id: uuid.UUID | None, *, actor: Actor, now: datetime
) -> Step:
    staff = session.get(Staff, staff_id) if staff_id else None
    if staff_id is None and ticket.foreign_assignee:
        # A form cannot name somebody who is no agent here: leaving the choice empty leaves him the ticket.
        return lambda: False
    if staff_id and (staff is None or not (staff.active or staff_id == ticket.assignee_id)):
        raise Invalid({"assignee_id": UNKNOWN})
    return partial(fields.set_assignee, session, ticket, staff, actor=actor, now=now)


def _account_step(
    session: Session, ticket: Ticket, account_id: uuid.UUID | None, *, actor: Actor, now: datetime
) -> Step:
    account = session.get(Account, account_id) if account_id else None
    if account is None and ticket.account_id is None:
        return lambda: False
    if account is None or not (account.active or account_id == ticket.account_id):
        raise Invalid({"account_id": UNKNOWN})
    return partial(fields.set_record, session, ticket, "account", account, actor=actor, now=now)


def _product_step(
    session: Session, ticket: Ticket, product_id: uuid.UUID | None, *, actor: Actor, now: datetime
) -> Step:
    product = session.get(Product, product_id) if product_id else None
    if product_id and (product is None or not (product.active or product_id == ticket.product_id)):
        raise Invalid({"product_id": UNKNOWN})
    return partial(fields.set_record, session, ticket, "product", product, actor=actor, now=now)


def _category_step(
    session: Session, ticket: Ticket, category_id: uuid.UUID | None, *, actor: Actor, now: datetime
) -> Step:
    category = session.get(Category, category_id) if category_id else None
    if category_id and (category is None or not (category.active or category_id == ticket.category_id)):
        raise Invalid({"category_id": UNKNOWN})
    return partial(fields.set_record, session, ticket, "category", category, actor=actor, now=now)


def _parent_step(session: Session, ticket: Ticket, number: int | None, *, actor: Actor, now: datetime) -> Step:
    parent = session.get(Ticket, number) if number else None
    if number is not None and (parent is None or parent.deleted_at is not None or parent.number == ticket.number):
        raise Invalid({"parent_number": NO_SUCH_PARENT})
    if parent is not None and _follows_from(session, parent, ticket):
        raise Invalid({"parent_number": PARENT_CIRCLE})
    return partial(fields.set_parent, session, ticket, number, actor=actor, now=now)


def _follows_from(session: Session, ticket: Ticket, other: Ticket) -> bool:
    """Whether a ticket has another among its parents; a chain without end counts as one that has it."""
    above: Ticket | None = ticket
    for _ in range(_MOST_PARENTS):
        above = session.get(Ticket, above.parent_number) if above is not None and above.parent_number else None
        if above is None:
            return False
        if above.number == other.number:
            return True
    return True


_STEPS: Mapping[str, Callable[..., Step]] = {
    "status": _status_step,
    "priority": _priority_step,
    "assignee_id": _assignee_step,
    "account_id": _account_step,
    "product_id": _product_step,
    "category_id": _category_step,
    "parent_number": _parent_step,
}
