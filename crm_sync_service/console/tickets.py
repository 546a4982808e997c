"""Lists of tickets, how each is, and how to find one."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, case, func, or_, select
from sqlalchemy.orm import Session

from crm_sync_service.console.figures import IS_IN_SYNC, STOPPED, UNLINKED
from crm_sync_service.console.words import age, clock
from crm_sync_service.models import Lane, Link, Replica

PAGE = 50
_CHUNK = 500

State = Literal["all", "waiting", "failed", "in_sync", "unlinked"]
TicketState = Literal["in_sync", "waiting", "failed", "unlinked"]
STATES: dict[State, str] = {
    "all": "All",
    "failed": "Not in sync",
    "waiting": "Waiting",
    "in_sync": "In sync",
    "unlinked": "Not mirrored",
}


@dataclass(frozen=True, kw_only=True)
class TicketLine:
    """A ticket in a list."""

    ticket_id: uuid.UUID
    number: int
    subject: str
    case_number: str | None
    state: TicketState
    words: str


def find_tickets(session: Session, wanted: str) -> list[uuid.UUID]:
    """Tickets by their number or id, or by their Case's number or id."""
    text = wanted.strip().removeprefix("#")
    matches: list[ColumnElement[bool]] = [
        Link.case_id == text,
        Link.case_number == text,
        Link.case_number == text.upper(),
    ]
    if text.isdecimal() and len(text) < 10:
        matches.append(Replica.number == int(text))
    try:
        ticket_id = uuid.UUID(text)
    except ValueError:
        pass
    else:
        matches += [Replica.ticket_id == ticket_id, Link.case_id == str(ticket_id)]
    statement = select(Replica.ticket_id).outerjoin(Link, Link.ticket_id == Replica.ticket_id).where(or_(*matches))
    return list(session.scalars(statement.limit(PAGE)))


def list_tickets(session: Session, state: State, *, before: int | None, now: datetime) -> list[TicketLine]:
    """By number, newest first; up to PAGE with numbers below `before`."""
    statement = lines().order_by(Replica.number.desc()).limit(PAGE)
    wanted = {
        "all": None,
        "failed": STOPPED,
        "waiting": Lane.state.in_(("due", "running")),
        "in_sync": IS_IN_SYNC,
        "unlinked": UNLINKED,
    }[state]
    if wanted is not None:
        statement = statement.where(wanted)
    if before is not None:
        statement = statement.where(Replica.number < before)
    return [line_of(*row, now=now) for row in session.execute(statement)]


def list_chosen(session: Session, ticket_ids: Iterable[uuid.UUID], *, now: datetime) -> list[TicketLine]:
    """These tickets, by number."""
    statement = lines().where(Replica.ticket_id.in_(list(ticket_ids)[:PAGE])).order_by(Replica.number)
    return [line_of(*row, now=now) for row in session.execute(statement)]


def lines() -> Any:  # the type of a Select differs between SQLAlchemy 2.0 and 2.1
    return (
        select(Replica, Lane, Link)
        .outerjoin(Lane, Lane.ticket_id == Replica.ticket_id)
        .outerjoin(Link, Link.ticket_id == Replica.ticket_id)
    )


def line_of(replica: Replica, lane: Lane | None, link: Link | None, *, now: datetime) -> TicketLine:
    state, words = describe(replica, lane, link, now=now)
    return TicketLine(
        ticket_id=replica.ticket_id,
        number=replica.number,
        subject=replica.body["subject"],
        case_number=link.case_number if link else None,
        state=state,
        words=words,
    )


def describe(replica: Replica, lane: Lane | None, link: Link | None, *, now: datetime) -> tuple[TicketState, str]:
    """How a ticket is, in words; "in sync" only if a comparison of this very version said so."""
    if lane is not None and lane.state == "parked":
        return "failed", f"stopped {_ago(lane.failed_at, now)}: {lane.cause}"
    if lane is not None and lane.state != "idle":
        return "waiting", _waiting_words(lane, link.reason if link else None, now=now)
    if link is None or lane is None:
        return "waiting", "not looked at yet"
    return _compared(replica, link, now=now)


def _compared(replica: Replica, link: Link, *, now: datetime) -> tuple[TicketState, str]:
    if link.state == "unlinked":
        return "unlinked", link.reason or "somebody ended its mirroring"
    if not link.in_sync or link.compared_version != replica.version:
        return "failed", link.reason or "the last comparison found a difference"
    if link.state == "ticket_deleted":
        return "in_sync", "removed from the portal; its Case stays"
    if link.state == "redacted":
        return "in_sync", "redacted: its words are gone, its Case stays"
    return "in_sync", f"compared {_ago(link.compared_at, now)}"


def _waiting_words(lane: Lane, reason: str | None, *, now: datetime) -> str:
    if lane.state == "running":
        return "being compared now"
    waits = f"waits for {age(now - lane.due_since)}"
    if lane.attempts == 0:
        return f"{waits}: {reason}" if reason else waits
    return f"{waits}; try {lane.attempts} failed ({lane.cause}), next at {clock(lane.due_at, now=now)}"


def _ago(moment: datetime | None, now: datetime) -> str:
    return f"{age(now - moment)} ago" if moment else "before"


def count_states(session: Session, ticket_ids: Sequence[uuid.UUID]) -> dict[TicketState, int]:
    """How many of these tickets are in each state."""
    counts: dict[TicketState, int] = {"in_sync": 0, "waiting": 0, "failed": 0, "unlinked": 0}
    for start in range(0, len(ticket_ids), _CHUNK):
        chunk = Replica.ticket_id.in_(ticket_ids[start : start + _CHUNK])
        state = case((IS_IN_SYNC, "in_sync"), (UNLINKED, "unlinked"), (STOPPED, "failed"), else_="waiting")
        rows = session.execute(
            select(state, func.count())
            .select_from(Replica)
            .outerjoin(Lane, Lane.ticket_id == Replica.ticket_id)
            .outerjoin(Link, Link.ticket_id == Replica.ticket_id)
            .where(chunk)
            .group_by(state)
        )
        for name, number in rows:
            counts[name] += number
    return counts
