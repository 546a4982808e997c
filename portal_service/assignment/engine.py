"""Who gets a new ticket (S34 - S37, O9): permission, availability, the favourite, the fewest open tickets, chance."""

import random
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from portal_service.people.models import Staff
from portal_service.tickets.lifecycle import UNFINISHED
from portal_service.tickets.models import Ticket
from shared.clock import to_text


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The agent who gets the ticket, if any can, and the rule that chose."""

    staff: Staff | None
    rule: str
    """favourite, fewest_open or nobody."""
    tied: int = 1
    """Among how many with equally few open tickets chance decided."""


def assign(
    session: Session, ticket: Ticket, *, rng: random.Random, now: datetime, favourite_id: uuid.UUID | None = None
) -> None:
    """Choose an agent for a new ticket and store why on it.

    Agents are locked before their open tickets are counted, so that tickets filed at the same moment count each other.
    Nobody eligible: the ticket stays unassigned, which its explanation says.
    """
    staff = list(_locked_staff(session))
    counts = open_counts(session, [one.id for one in staff], besides=ticket.id)
    _give(ticket, staff, counts, favourite_id=favourite_id, rng=rng, now=now)
    session.flush()


def assign_all(session: Session, tickets: Sequence[Ticket], *, rng: random.Random, now: datetime) -> None:
    """What `assign` does for one unassigned ticket after the other, with agents locked and counted only once."""
    if not tickets:
        return
    staff = list(_locked_staff(session))
    counts = open_counts(session, [one.id for one in staff], besides=tickets[0].id)
    for ticket in tickets:
        _give(ticket, staff, counts, favourite_id=None, rng=rng, now=now)
        if ticket.assignee is not None:
            counts[ticket.assignee.id] += 1
    session.flush()


def ineligible(staff: Staff, ticket: Ticket) -> str | None:
    """Why an agent cannot get this ticket: inactive, no_permission or away; None if he can."""
    if not staff.active:
        return "inactive"
    if not has_permission(staff, request_type_id=ticket.request_type_id, product_id=ticket.product_id):
        return "no_permission"
    return None if staff.available else "away"


def has_permission(staff: Staff, *, request_type_id: uuid.UUID, product_id: uuid.UUID | None) -> bool:
    """Whether one of the agent's permissions covers type and product; one for a certain product needs that product."""
    return any(
        permission.request_type_id in {None, request_type_id} and permission.product_id in {None, product_id}
        for permission in staff.permissions
    )


def open_counts(session: Session, staff_ids: Sequence[uuid.UUID], *, besides: uuid.UUID) -> dict[uuid.UUID, int]:
    """Unfinished tickets by agent; solved, closed and deleted ones do not count, nor the ticket that is being given."""
    rows = session.execute(
        select(Ticket.assignee_id, func.count().label("open"))
        .where(
            Ticket.assignee_id.in_(staff_ids),
            Ticket.status.in_(UNFINISHED),
            Ticket.deleted_at.is_(None),
            Ticket.id != besides,
        )
        .group_by(Ticket.assignee_id)
    )
    found = {row.assignee_id: row.open for row in rows}
    return {staff_id: found.get(staff_id, 0) for staff_id in staff_ids}


def choose(
    eligible: Sequence[Staff],
    counts: dict[uuid.UUID, int],
    *,
    favourite_id: uuid.UUID | None,
    rng: random.Random,
) -> Choice:
    """The favourite if he is eligible, else one of those with the fewest open tickets."""
    if not eligible:
        return Choice(staff=None, rule="nobody")
    for staff in eligible:
        if staff.id == favourite_id:
            return Choice(staff=staff, rule="favourite")
    fewest = min(counts[staff.id] for staff in eligible)
    tied = [staff for staff in eligible if counts[staff.id] == fewest]
    return Choice(staff=rng.choice(tied), rule="fewest_open", tied=len(tied))


def _give(
    ticket: Ticket,
    staff: Sequence[Staff],
    counts: dict[uuid.UUID, int],
    *,
    favourite_id: uuid.UUID | None,
    rng: random.Random,
    now: datetime,
) -> None:
    reasons = [(one, ineligible(one, ticket)) for one in staff]
    eligible = [one for one, reason in reasons if reason is None]
    left_out = [(one, reason) for one, reason in reasons if reason is not None]
    choice = choose(eligible, counts, favourite_id=favourite_id, rng=rng)
    ticket.assignee = choice.staff
    ticket.assignment = _explanation(choice, eligible, counts, left_out, favourite_id=favourite_id, now=now)


def _locked_staff(session: Session) -> Iterable[Staff]:
    # SQLite holds the whole database since BEGIN IMMEDIATE. Elsewhere the rows are locked in one order, so that two
    # submissions cannot wait for each other; NO KEY, because every ticket refers to its agent.
    return session.scalars(
        select(Staff)
        .order_by(Staff.id)
        .options(joinedload(Staff.permissions), joinedload(Staff.user))
        .with_for_update(key_share=True, of=Staff)
        .execution_options(populate_existing=True)
    ).unique()


def _explanation(
    choice: Choice,
    eligible: Sequence[Staff],
    counts: dict[uuid.UUID, int],
    left_out: Sequence[tuple[Staff, str]],
    *,
    favourite_id: uuid.UUID | None,
    now: datetime,
) -> dict[str, Any]:
    """What a reader of the ticket needs to check the choice; names as they were then."""
    explanation: dict[str, Any] = {
        "rule": choice.rule,
        "chosen": choice.staff.name if choice.staff else None,
        "tied": choice.tied,
        "candidates": [{"name": staff.name, "open": counts[staff.id]} for staff in eligible],
        "left_out": [{"name": staff.name, "reason": reason} for staff, reason in left_out],
        "at": to_text(now),
    }
    if favourite_id is not None:
        reasons = {staff.id: (staff.name, reason) for staff, reason in left_out}
        chosen = choice.rule == "favourite" and choice.staff is not None
        name, outcome = reasons.get(favourite_id, (choice.staff.name if chosen and choice.staff else "", "unknown"))
        explanation["favourite"] = {"name": name, "outcome": "chosen" if chosen else outcome}
    return explanation
