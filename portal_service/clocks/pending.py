"""Tickets that wait for the customer: a reminder on day 7, closed on day 14 (S63, S64).

Days are whole days of 24 hours since the ticket became Pending. After an outage over both moments the customer is
reminded first, and the ticket is closed `ClockSettings.notice` later: nobody is closed unwarned.
"""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from portal_service.channels import notices
from portal_service.clocks.settings import ClockSettings
from portal_service.clocks.strikes import strike, struck_at, unstruck, waiting
from portal_service.tickets import handling
from portal_service.tickets.actor import CLOCK
from portal_service.tickets.lifecycle import PENDING
from portal_service.tickets.models import HistoryEntry, Ticket

REMINDER = "reminder"


def unreminded(session: Session, settings: ClockSettings, *, now: datetime) -> Iterator[int]:
    """Numbers of the tickets whose customer is to be reminded."""
    if settings.reminder is not None:
        found = unstruck(session, _pending(now - settings.reminder), REMINDER, since=Ticket.pending_since)
        yield from (number for number, _ in found)


def unanswered(session: Session, settings: ClockSettings, *, now: datetime) -> Iterator[int]:
    """Numbers of the tickets that may be closed; `close` looks whether there was notice enough."""
    if settings.close is not None:
        found = waiting(session, _pending(now - settings.close), since=Ticket.pending_since)
        yield from (number for number, _ in found)


def remind(session: Session, ticket: Ticket, settings: ClockSettings, *, now: datetime) -> bool:
    """Remind the customer of a locked ticket, once; returns whether this was the time."""
    since = ticket.pending_since
    if settings.reminder is None or since is None or ticket.status != PENDING or since + settings.reminder > now:
        return False
    if not strike(session, ticket, REMINDER, since=since, now=now):
        return False
    closes = closing(session, ticket, settings)
    notices.reminded(session, ticket, since=since, closes=closes, now=now)
    return True


def close(session: Session, ticket: Ticket, settings: ClockSettings, *, now: datetime) -> bool:
    """Close a locked ticket through the ordinary action, so that its Case follows; whether this was the time."""
    moment = closing(session, ticket, settings)
    if moment is None or moment > now:
        return False
    handling.close(session, ticket, actor=CLOCK, now=now)
    return True


def closing(session: Session, ticket: Ticket, settings: ClockSettings) -> datetime | None:
    """When a ticket that waits will be closed; None while that is not known yet or will not be."""
    since = ticket.pending_since
    if settings.close is None or since is None or ticket.status != PENDING:
        return None
    if settings.reminder is None:
        return since + settings.close
    reminded = struck_at(session, ticket, REMINDER, since=since)
    return max(since + settings.close, reminded + settings.notice) if reminded else None


def _pending(since: datetime) -> Select[Ticket]:
    """Pending for so long. An imported ticket counts once somebody here asked: before, the old help desk did."""
    asked_here = select(HistoryEntry.id).where(
        HistoryEntry.ticket_id == Ticket.id, HistoryEntry.field == "status", HistoryEntry.after == PENDING
    )
    return select(Ticket).where(
        Ticket.status == PENDING,
        Ticket.pending_since <= since,
        or_(Ticket.origin != "import", asked_here.exists()),
    )
