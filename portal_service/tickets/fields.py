"""Single changes of a ticket, each with its line of history. Actions combine them and publish once at their end."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy.orm import Session

from portal_service.messages import message
from portal_service.people.models import Account, Staff
from portal_service.tickets import history
from portal_service.tickets.actor import Actor
from portal_service.tickets.errors import Refused
from portal_service.tickets.lifecycle import CLOSED, DONE, PENDING
from portal_service.tickets.models import Category, Product, Ticket
from shared.clock import to_text

DELETED = message("This ticket was deleted.")


def lock(session: Session, ticket: Ticket, *, deleted_too: bool = False) -> None:
    """Read the ticket again and keep others from changing it until the transaction ends. Raises Refused if deleted."""
    session.refresh(ticket, with_for_update={"of": Ticket})
    if ticket.deleted_at is not None and not deleted_too:
        raise Refused(DELETED)


def move_to(session: Session, ticket: Ticket, status: str, *, actor: Actor, now: datetime) -> bool:
    """Set the status with the dates that follow from it; returns whether it changed."""
    before = ticket.status
    if status == before:
        return False
    ticket.status = status
    ticket.pending_since = now if status == PENDING else None
    ticket.resolved_at = (ticket.resolved_at or now) if status in DONE else None
    ticket.closed_at = now if status == CLOSED else None
    if before in DONE and status not in DONE:
        ticket.opened_at = now
    _record(session, ticket, "status", before, status, actor=actor, now=now)
    return True


def stamp_review(ticket: Ticket, *, actor: Actor, now: datetime) -> None:
    """Remember when an agent first opened the ticket or acted on it (S38)."""
    if ticket.reviewed_at is None and actor.kind == "staff":
        ticket.reviewed_at = now


def set_priority(session: Session, ticket: Ticket, priority: str, *, actor: Actor, now: datetime) -> bool:
    before = ticket.priority
    if priority == before:
        return False
    ticket.priority = priority
    _record(session, ticket, "priority", before, priority, actor=actor, now=now)
    return True


def set_record(
    session: Session,
    ticket: Ticket,
    field: Literal["account", "product", "category"],
    record: Account | Product | Category | None,
    *,
    actor: Actor,
    now: datetime,
) -> bool:
    """Point the ticket at another account, product or category; returns whether anything changed."""
    before = getattr(ticket, field)
    if before is record:
        return False
    setattr(ticket, field, record)
    session.flush()
    _record(session, ticket, field, _name(before), _name(record), actor=actor, now=now)
    return True


def set_parent(session: Session, ticket: Ticket, number: int | None, *, actor: Actor, now: datetime) -> bool:
    """Say which ticket this one follows from (S72); returns whether anything changed."""
    before = ticket.parent_number
    if number == before:
        return False
    ticket.parent_number = number
    # Not public: the other ticket may be another customer's.
    history.record(
        session,
        ticket,
        "changed",
        actor=actor,
        now=now,
        field="parent_number",
        before=_hash(before),
        after=_hash(number),
        public=False,
    )
    return True


def set_assignee(session: Session, ticket: Ticket, staff: Staff | None, *, actor: Actor, now: datetime) -> bool:
    """Give the ticket to an agent, or to nobody."""
    return _assign(session, ticket, staff, None, actor=actor, now=now)


def set_foreign_assignee(
    session: Session, ticket: Ticket, crm_id: str, name: str, *, actor: Actor, now: datetime
) -> bool:
    """Remember a CRM user who is no support agent here as the one who has the ticket (FAILURES 42)."""
    return _assign(session, ticket, None, {"crm_id": crm_id, "name": name}, actor=actor, now=now)


def assignee_name(ticket: Ticket) -> str | None:
    if ticket.assignee:
        return ticket.assignee.name
    return str(ticket.foreign_assignee["name"]) if ticket.foreign_assignee else None


def _assign(
    session: Session,
    ticket: Ticket,
    staff: Staff | None,
    foreign: dict[str, Any] | None,
    *,
    actor: Actor,
    now: datetime,
) -> bool:
    if ticket.assignee is staff and (ticket.foreign_assignee or None) == foreign:
        return False
    before = assignee_name(ticket)
    ticket.assignee = staff
    ticket.foreign_assignee = foreign
    ticket.assignment = {**ticket.assignment, "replaced_by": actor.name, "replaced_at": to_text(now)}
    session.flush()
    _record(session, ticket, "assignee", before, assignee_name(ticket), actor=actor, now=now)
    return True


def _record(
    session: Session, ticket: Ticket, field: str, before: str | None, after: str | None, *, actor: Actor, now: datetime
) -> None:
    history.record(session, ticket, "changed", actor=actor, now=now, field=field, before=before, after=after)


def _hash(number: int | None) -> str | None:
    return None if number is None else f"#{number}"


def _name(record: Account | Product | Category | None) -> str | None:
    if record is None:
        return None
    return record.name_en if isinstance(record, Category) else record.name
