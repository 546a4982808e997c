"""Webhooks only say where to look: a hint marks lanes due, and what is there is read (FAILURES 70)."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from crm_sync_service.lanes import Priority, mark_due
from crm_sync_service.models import Lane, Link

MOST_AT_ONCE = 1000
"""Cases looked up for one hint; a hint that names more says nothing, the feed will."""


def apply_hint(session: Session, case_ids: Collection[str], *, now: datetime) -> int:
    """Mark the tickets of these Cases due; returns how many were. Unknown Cases, and tickets due already, cost nothing.

    Ten thousand hints about one Case are one look at it.
    """
    wanted = set(case_ids)
    if not wanted or len(wanted) > MOST_AT_ONCE:
        return 0
    waits = and_(Lane.state == "due", Lane.due_at <= now)
    due = (
        select(Link.ticket_id)
        .outerjoin(Lane, Lane.ticket_id == Link.ticket_id)
        .where(Link.case_id.in_(wanted), Link.state == "linked")
        .where(Lane.ticket_id.is_(None) | ~waits)
    )
    tickets = session.scalars(due).all()
    mark_due(session, tickets, now=now, priority=Priority.PULL)
    return len(tickets)
