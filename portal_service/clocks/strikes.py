"""The claims that make each clock strike once, whatever restarts and however many workers look."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal_service.clocks.models import ClockStrike
from portal_service.tickets.models import Ticket

_CHUNK = 200

Moment = InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]


def strike(session: Session, ticket: Ticket, clock: str, *, since: datetime, now: datetime) -> bool:
    """Claim it; False if it was claimed before. The caller holds the ticket's lock, so two workers never both ask."""
    if session.get(ClockStrike, (ticket.id, clock, since)) is not None:
        return False
    session.add(ClockStrike(ticket_id=ticket.id, clock=clock, since=since, struck_at=now))
    session.flush()
    return True


def struck_at(session: Session, ticket: Ticket, clock: str, *, since: datetime) -> datetime | None:
    """When it struck."""
    found = session.get(ClockStrike, (ticket.id, clock, since))
    return found.struck_at if found is not None else None


def unstruck(session: Session, query: Select[Ticket], clock: str, *, since: Moment) -> Iterator[tuple[int, datetime]]:
    """Numbers of the tickets of `query` whose clock has not struck, and the moments it counts from."""
    yield from waiting(session, query.where(~_struck(clock, since)), since=since)


def waiting(session: Session, query: Select[Ticket], *, since: Moment) -> Iterator[tuple[int, datetime]]:
    """Read in small portions; no ticket is left out because others before it fail again and again."""
    wanted = query.where(Ticket.deleted_at.is_(None)).with_only_columns(Ticket.number, since).order_by(Ticket.number)
    last = 0
    while found := session.execute(wanted.where(Ticket.number > last).limit(_CHUNK)).all():
        yield from ((number, moment) for number, moment in found if moment is not None)
        last = found[-1].number


def _struck(clock: str, since: Moment) -> ColumnElement[bool]:
    same = and_(ClockStrike.ticket_id == Ticket.id, ClockStrike.clock == clock, ClockStrike.since == since)
    return select(ClockStrike.ticket_id).where(same).exists()
