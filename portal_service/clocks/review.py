"""The review target: an agent opens a new ticket within minutes of its receipt (S38)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from portal_service.channels import notices
from portal_service.clocks.settings import ClockSettings
from portal_service.clocks.strikes import strike, unstruck, waiting
from portal_service.tickets.lifecycle import NEW
from portal_service.tickets.models import Ticket

REVIEW = "review"


@dataclass(frozen=True)
class Review:
    """How a ticket stands to the target."""

    due: datetime
    overdue: bool
    """Nobody has opened it in time, and nobody has yet."""
    late: bool
    """Somebody opened it after that."""


def review_of(ticket: Ticket, settings: ClockSettings, *, now: datetime) -> Review | None:
    """None where no target holds: the clock is off, the ticket was imported or finished without a review."""
    if settings.review is None or ticket.origin == "import":
        return None
    due = settings.review_hours.after(ticket.created_at, settings.review)
    if ticket.reviewed_at is not None:
        return Review(due, overdue=False, late=ticket.reviewed_at > due)
    return Review(due, overdue=now > due, late=False) if ticket.status == NEW else None


def overdue(session: Session, settings: ClockSettings, *, now: datetime) -> Iterator[int]:
    """Numbers of the tickets nobody has reviewed in time and nobody was told of."""
    if settings.review is None:
        return
    for number, created_at in unstruck(session, _unreviewed(), REVIEW, since=Ticket.created_at):
        if settings.review_hours.after(created_at, settings.review) < now:
            yield number


def overdue_count(session: Session, settings: ClockSettings, *, now: datetime) -> int:
    """How many tickets wait for their first look longer than they should."""
    review, hours = settings.review, settings.review_hours
    if review is None:
        return 0
    came = waiting(session, _unreviewed(), since=Ticket.created_at)
    return sum(hours.after(created_at, review) < now for _, created_at in came)


def alert(session: Session, ticket: Ticket, settings: ClockSettings, *, now: datetime) -> bool:
    """Tell the agent and the admins of a locked ticket, once; returns whether this was the time."""
    review = review_of(ticket, settings, now=now)
    if review is None or not review.overdue or not strike(session, ticket, REVIEW, since=ticket.created_at, now=now):
        return False
    notices.review_overdue(session, ticket, due=review.due, now=now)
    return True


def _unreviewed() -> Select[Ticket]:
    return select(Ticket).where(Ticket.status == NEW, Ticket.reviewed_at.is_(None), Ticket.origin != "import")
