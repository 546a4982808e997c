"""The record of what happened to a ticket; only ever added to (S44)."""

from datetime import datetime

from sqlalchemy.orm import Session

from portal_service.tickets.actor import Actor
from portal_service.tickets.models import HistoryEntry, Ticket


def record(
    session: Session,
    ticket: Ticket,
    action: str,
    *,
    actor: Actor,
    now: datetime,
    field: str | None = None,
    before: str | None = None,
    after: str | None = None,
    public: bool = True,
) -> None:
    """Add one line. `before` and `after` are for people: names, not ids; statuses and priorities by key."""
    session.add(
        HistoryEntry(
            ticket_id=ticket.id,
            at=now,
            actor_kind=actor.kind,
            actor_name=actor.name,
            action=action,
            field=field,
            before=before,
            after=after,
            public=public,
        )
    )


def record_refusal(session: Session, ticket: Ticket, *, actor: Actor, field: str, now: datetime) -> None:
    """Remember that somebody tried what is not allowed, for the audit (S44). Call it in a transaction of its own."""
    record(session, ticket, "refused", actor=actor, now=now, field=field[:40], public=False)
