"""One look at all clocks: every ticket in a transaction of its own, so that one that fails keeps back no other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from portal_service.clocks import pending, review
from portal_service.clocks.settings import ClockSettings
from portal_service.tickets import fields
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.models import Ticket
from shared.database import Database

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Clock:
    """`due` gives the numbers of tickets, `act` does what is due to a locked one and says whether it was."""

    name: str
    due: Callable[..., Iterator[int]]
    act: Callable[..., bool]


_CLOCKS = (
    _Clock("review_overdue", review.overdue, review.alert),
    _Clock("reminded", pending.unreminded, pending.remind),
    _Clock("closed_unanswered", pending.unanswered, pending.close),
)


def strike_due(database: Database, settings: ClockSettings, now: datetime) -> int:
    """Do what is due; returns how many clocks struck. Any number of workers may look at the same time."""
    struck = 0
    for clock in _CLOCKS:
        with database.read() as session:
            numbers = list(clock.due(session, settings, now=now))
        struck += sum(_strike(database, clock, number, settings, now) for number in numbers)
    return struck


def _strike(database: Database, clock: _Clock, number: int, settings: ClockSettings, now: datetime) -> bool:
    try:
        with database.write() as session:
            ticket = _locked(session, number)
            struck = ticket is not None and clock.act(session, ticket, settings, now=now)
    except (DBAPIError, Invalid, Refused) as error:
        log.warning("clock_failed", clock=clock.name, number=number, error=type(error).__name__)
        return False
    if struck:
        log.info("clock_struck", clock=clock.name, number=number)
    return struck


def _locked(session: Session, number: int) -> Ticket | None:
    """The ticket as it is now, kept from others; None if another worker has it or it is gone."""
    ticket = session.scalar(select(Ticket).where(Ticket.number == number).with_for_update(of=Ticket, skip_locked=True))
    if ticket is None or ticket.deleted_at is not None:
        return None
    fields.lock(session, ticket)
    return ticket
