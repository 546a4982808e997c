"""Backfill: old tickets of the portal that have no Case are handed to their lanes, slowly, behind all live work (O13).

What is stored is what an event would have stored, so live changes are never overwritten, repeating changes nothing, and
no mail leaves: the portal only hears receipts. The checkpoint moves in the transaction that hands a batch over.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from crm_sync_service import loop_lease
from crm_sync_service.compare import Entry
from crm_sync_service.inbox import apply
from crm_sync_service.lanes import Priority
from crm_sync_service.models import Lane, Link, Replica, ReplyReplica
from crm_sync_service.operation_models import Backfill
from shared.database import Database
from shared.events import TicketChanged
from shared.ticket_source import TicketSource

LEASE = timedelta(seconds=30)
MOST_WAITING = 500
"""Background lanes that may wait at once: so many, and no more, are handed over before a pause takes effect."""
_BATCH = 50
_ONLY = 1
_HAS_ITS_CASE = ("linked", "case_deleted", "ticket_deleted", "redacted", "unlinked")


class BackfillError(Exception):
    """It cannot be done now; the text says why, for the person who asked."""


@dataclass(kw_only=True)
class Backfiller:
    """Hands tickets over; any number of steps, in one process at a time."""

    database: Database
    source: TicketSource
    owner: str
    now: Callable[[], datetime]
    _tickets: Iterator[TicketChanged] | None = None

    def start(self, *, rate: int, again: bool = False) -> Backfill:
        """Begin, or go on where an earlier one stopped; `again`: from the first ticket. Raises BackfillError."""
        total, now = self.source.count(), self.now()
        with self.database.write() as session:
            if not loop_lease.take(session, "backfill", owner=self.owner, now=now, span=LEASE):
                raise BackfillError("a backfill is running in another process: pause it there, or wait half a minute")
            row = session.get(Backfill, _ONLY)
            if row is None or again or row.state == "finished":
                row = session.merge(_begun(rate=rate, now=now))
            row.state, row.rate, row.total, row.changed_at = "running", rate, total, now
        self._tickets = None
        return row

    def step(self) -> int | None:
        """Look at a batch as far as the rate allows; returns how many tickets that were, None at the end or if paused.

        Raises BackfillError if another process took over.
        """
        allowed = self._allowed()
        if allowed is None:
            return None
        if allowed == 0:
            return 0
        batch = list(islice(self._iterate(), allowed))
        entries = {ticket.ticket_id: self.source.entries(ticket.ticket_id) for ticket in batch}
        with self.database.write() as session:
            self._keep_lease(session)
            row = session.get_one(Backfill, _ONLY)
            for ticket in batch:
                row.handed_over += hand_over(session, ticket, entries[ticket.ticket_id], now=self.now())
            row.looked_at += len(batch)
            row.position = batch[-1].number if batch else row.position
            row.changed_at = self.now()
            if len(batch) < allowed:
                row.state, row.finished_at = "finished", self.now()
        return len(batch) if batch else None

    def close(self) -> None:
        """Let another process go on at once."""
        with self.database.write() as session:
            loop_lease.give_up(session, "backfill", owner=self.owner)

    def _allowed(self) -> int | None:
        """How many tickets may be looked at now; None when it is paused or finished."""
        with self.database.write() as session:
            self._keep_lease(session)
            row = session.get_one(Backfill, _ONLY)
            if row.state != "running":
                loop_lease.give_up(session, "backfill", owner=self.owner)
                return None
            if waiting(session) >= MOST_WAITING:
                return 0
            elapsed = (self.now() - row.changed_at).total_seconds()
            return min(int(elapsed * row.rate / 60), _BATCH)

    def _iterate(self) -> Iterator[TicketChanged]:
        if self._tickets is None:
            with self.database.read() as session:
                position = session.get_one(Backfill, _ONLY).position
            self._tickets = self.source.tickets(position)
        return self._tickets

    def _keep_lease(self, session: Session) -> None:
        if not loop_lease.take(session, "backfill", owner=self.owner, now=self.now(), span=LEASE):
            raise BackfillError("another process has taken the backfill over")


def _begun(*, rate: int, now: datetime) -> Backfill:
    return Backfill(
        id=_ONLY,
        state="running",
        rate=rate,
        position=0,
        total=0,
        looked_at=0,
        handed_over=0,
        started_at=now,
        changed_at=now,
        finished_at=None,
    )


def pause(session: Session, *, now: datetime) -> bool:
    """Let the running one stop within a second or two; False if none runs."""
    row = session.get(Backfill, _ONLY)
    if row is None or row.state != "running":
        return False
    row.state, row.changed_at = "paused", now
    return True


def set_rate(session: Session, rate: int, *, now: datetime) -> bool:
    """Tickets per minute from now on, also of the running one; False if there is none or it is finished."""
    row = session.get(Backfill, _ONLY)
    if row is None or row.state == "finished":
        return False
    row.rate, row.changed_at = rate, now
    return True


def hand_over(session: Session, ticket: TicketChanged, entries: Sequence[Entry], *, now: datetime) -> bool:
    """Give a ticket to its lane if it has no Case or the sync service does not know all of it; whether it was given."""
    if not lacks_something(session, ticket, entries):
        return False
    for event in (ticket, *entries):
        apply(session, event, now=now, priority=Priority.BACKGROUND)
    return True


def waiting(session: Session) -> int:
    """Background lanes that wait or run."""
    query = select(func.count()).where(Lane.priority >= Priority.BACKGROUND, Lane.state.in_(("due", "running")))
    return session.scalar(query) or 0


def lacks_something(session: Session, ticket: TicketChanged, entries: Sequence[Entry]) -> bool:
    link = session.get(Link, ticket.ticket_id)
    has_case = link is not None and link.state in _HAS_ITS_CASE
    if ticket.deleted_at is not None and not has_case:
        return False  # removed before it ever reached the CRM: nobody misses it there
    version = session.scalar(select(Replica.version).where(Replica.ticket_id == ticket.ticket_id))
    replies = session.scalar(select(func.count()).where(ReplyReplica.ticket_id == ticket.ticket_id)) or 0
    return not has_case or version is None or version < ticket.version or replies < len(entries)
