"""What people can do in the console. Each action is logged with who did it."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

from crm_sync_service import decisions
from crm_sync_service.console.models import ConsoleAction
from crm_sync_service.models import Lane, inbox

_CHUNK = 500


def log_action(
    session: Session, action: str, detail: str, *, who: str, now: datetime, ticket_ids: Sequence[uuid.UUID] = ()
) -> ConsoleAction:
    row = ConsoleAction(at=now, who=who, action=action, detail=detail, ticket_ids=[str(i) for i in ticket_ids])
    session.add(row)
    session.flush()
    return row


def retry_tickets(
    session: Session, ticket_ids: Sequence[uuid.UUID], *, reason: str, who: str, now: datetime, per_minute: int = 0
) -> ConsoleAction:
    """Compare these tickets with their Cases again, whatever held them up; what was refused is tried again.

    `reason`: what was chosen, in words, for the log. `per_minute`: how many of them at most; 0: all at once. Tickets
    without a lane are left out.
    """
    known: list[uuid.UUID] = []
    for chunk in _chunks(list(dict.fromkeys(ticket_ids))):
        here = session.scalars(select(Lane.ticket_id).where(Lane.ticket_id.in_(chunk))).all()
        decisions.retry(session, here, by=who, now=now)
        known += here
    if per_minute:
        _spread(session, known, per_minute=per_minute, now=now)
        reason = f"{reason}; {per_minute:,} per minute"
    return log_action(session, "retry", reason, who=who, now=now, ticket_ids=known)


def _spread(session: Session, ticket_ids: Sequence[uuid.UUID], *, per_minute: int, now: datetime) -> None:
    """Let the lanes become due one after the other. What happens to a ticket meanwhile still makes it due at once."""
    waits = [
        {"id": ticket_id, "at": now + timedelta(minutes=place / per_minute)}
        for place, ticket_id in enumerate(ticket_ids)
    ]
    if waits:
        due = update(Lane).where(Lane.ticket_id == bindparam("id"), Lane.state == "due").values(due_at=bindparam("at"))
        session.connection().execute(due, waits)


def forget_unreadable(session: Session, event_id: uuid.UUID, *, who: str, now: datetime) -> ConsoleAction | None:
    """Take an event nobody can read off the list; its text goes into the log, so that nothing is lost."""
    table = inbox.unreadable
    row = session.execute(select(table).where(table.c.event_id == event_id)).first()
    if row is None:
        return None
    session.execute(delete(table).where(table.c.event_id == event_id))
    detail = f"{row.type} about {row.subject} ({event_id}), {row.error}: {row.body}"
    return log_action(session, "set aside event", detail, who=who, now=now)


def _chunks(ids: Sequence[uuid.UUID]) -> Iterator[Sequence[uuid.UUID]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))
