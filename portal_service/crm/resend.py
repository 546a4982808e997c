"""Tickets of which no receipt came are sent again: an event may be lost where no program of ours can see it.

A queue that somebody purged, a broker restored from a backup (FAILURES 62). Sending again changes nothing where the
events did arrive.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, func, or_, select
from sqlalchemy.orm import Session, selectinload

from portal_service.base import outbox
from portal_service.crm.models import CrmStatus, Mirror, Resend
from portal_service.tickets.models import Entry, Ticket
from portal_service.tickets.snapshots import entry_added, ticket_changed

SILENCE = timedelta(minutes=2)
"""So long the sync service has to say something about a change."""
ALIVE = timedelta(seconds=60)
"""It announces the CRM's state every 15 s; silent for longer, it is down and its queue waits for it."""
BATCH = 20
_LONGEST_PAUSE = timedelta(hours=6)
_LOOK_BACK = timedelta(days=7)
"""Older tickets are the business of `casebridge backfill`."""


def resend_unanswered(session: Session, *, now: datetime) -> list[int]:
    """Send the events of at most `BATCH` tickets again; returns their numbers. Twice as long a pause each time."""
    if not _sync_service_works(session, now=now):
        return []
    rows = session.execute(
        select(Ticket, Resend)
        .outerjoin(Mirror, Mirror.ticket_id == Ticket.id)
        .outerjoin(Resend, Resend.ticket_id == Ticket.id)
        .where(Ticket.changed_at > now - _LOOK_BACK, Ticket.changed_at < now - SILENCE)
        .where(_unanswered(), or_(Mirror.heard_at.is_(None), Mirror.heard_at < now - SILENCE))
        .where(or_(Resend.ticket_id.is_(None), Resend.version != Ticket.version, Resend.next_at <= now))
        .order_by(Ticket.changed_at)
        .limit(BATCH)
        .with_for_update(of=Ticket, skip_locked=True)
    ).all()
    for ticket, resend in rows:
        send_again(session, ticket, now=now)
        _note(session, ticket, resend, now=now)
    return [ticket.number for ticket, _ in rows]


def send_again(session: Session, ticket: Ticket, *, now: datetime) -> None:
    """The ticket's present state and all that was said about it, as events that the sync service may know already."""
    query = select(Entry).where(Entry.ticket_id == ticket.id).order_by(Entry.position)
    entries = session.scalars(query.options(selectinload(Entry.attachments)))
    snapshot = ticket_changed(session, ticket, changed_by="portal")
    outbox.add_all(session, [snapshot, *(entry_added(entry) for entry in entries)], now=now)


def forget_answered(session: Session, *, before: datetime) -> None:
    """Drop what was sent again long ago."""
    session.execute(delete(Resend).where(Resend.sent_at < before))


def unanswered_count(session: Session, *, now: datetime) -> int:
    """Tickets that were changed a while ago and of whose change nothing was heard."""
    query = (
        select(func.count())
        .select_from(Ticket)
        .outerjoin(Mirror, Mirror.ticket_id == Ticket.id)
        .where(Ticket.changed_at > now - _LOOK_BACK, Ticket.changed_at < now - SILENCE, _unanswered())
    )
    return session.scalar(query) or 0


def _unanswered() -> ColumnElement[bool]:
    """No receipt of this version, or one that lacks a reply."""
    lacks_reply = and_(Mirror.state == "in_sync", Mirror.notes < Ticket.entry_count)
    return or_(Mirror.ticket_id.is_(None), Mirror.version < Ticket.version, lacks_reply)


def _sync_service_works(session: Session, *, now: datetime) -> bool:
    """Whether it lives and its CRM answers: otherwise it is known why nothing comes."""
    states = session.execute(select(CrmStatus.state, CrmStatus.checked_at)).all()
    return bool(states) and all(state == "reachable" and now - checked < ALIVE for state, checked in states)


def _note(session: Session, ticket: Ticket, resend: Resend | None, *, now: datetime) -> None:
    if resend is None:
        resend = Resend(ticket_id=ticket.id, version=ticket.version, attempts=0)
        session.add(resend)
    if resend.version != ticket.version:
        resend.version, resend.attempts = ticket.version, 0
    pause: timedelta = SILENCE * 2 ** min(resend.attempts, 12)
    resend.attempts, resend.sent_at, resend.next_at = resend.attempts + 1, now, now + min(pause, _LONGEST_PAUSE)
