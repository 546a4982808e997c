"""What the portal tells: stored as replicas, and the ticket's lane marked due. No CRM call happens here."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from crm_sync_service.lanes import Priority, mark_each_due
from crm_sync_service.models import Replica, ReplyReplica
from shared.events import Event, EventError, InternalNoteAdded, ReplyAdded, TicketChanged, dump

_REPLICA, _REPLY = (model.__table__ for model in (Replica, ReplyReplica))


def apply(session: Session, event: Event, *, now: datetime, priority: Priority | None = None) -> None:
    """Store one event. Repeated, late and reordered ones change nothing. Raises EventError if it is not for us.

    `priority`: of the lane, if not what the event is about.
    """
    apply_all(session, [event], now=now, priority=priority)


def apply_all(session: Session, events: Sequence[Event], *, now: datetime, priority: Priority | None = None) -> None:
    """The same for many, in few statements: rows are written in one order by all. Raises EventError."""
    due: dict[uuid.UUID, Priority] = {}
    for event in map(_ours, events):
        level = _usual_priority(event) if priority is None else priority
        due[event.ticket_id] = min(due.get(event.ticket_id, level), level)
    _keep_states(session, [event for event in events if isinstance(event, TicketChanged)], now=now)
    _keep_replies(session, [event for event in events if isinstance(event, ReplyAdded | InternalNoteAdded)])
    mark_each_due(session, due, now=now)


def _ours(event: Event) -> TicketChanged | ReplyAdded | InternalNoteAdded:
    if isinstance(event, TicketChanged | ReplyAdded | InternalNoteAdded):
        return event
    raise EventError(f"{event.type} is not for the CRM sync service")


def _usual_priority(event: TicketChanged | ReplyAdded | InternalNoteAdded) -> Priority:
    if isinstance(event, TicketChanged):
        return Priority.CHANGE if event.version > 1 else Priority.CREATE
    return Priority.REPLY


def _keep_states(session: Session, events: Sequence[TicketChanged], *, now: datetime) -> None:
    """The newest of each ticket, where it is newer than what is kept."""
    newest = {event.ticket_id: event for event in sorted(events, key=lambda event: event.version)}
    rows = [
        {"ticket_id": key, "version": event.version, "number": event.number, "body": dump(event), "received_at": now}
        for key, event in sorted(newest.items(), key=lambda item: str(item[0]))
    ]
    if rows:
        session.execute(_keeping_newer(session.get_bind().dialect.name), rows)


@cache
def _keeping_newer(dialect: str) -> Any:
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(_REPLICA)
    changed = {name: insert.excluded[name] for name in ("version", "body", "received_at")}
    newer = _REPLICA.c.version < insert.excluded.version
    return insert.on_conflict_do_update(index_elements=["ticket_id"], set_=changed, where=newer)


def _keep_replies(session: Session, events: Sequence[ReplyAdded | InternalNoteAdded]) -> None:
    rows = [
        {
            "reply_id": event.note_id if isinstance(event, InternalNoteAdded) else event.reply_id,
            "ticket_id": event.ticket_id,
            "position": event.position,
            "type": event.type,
            "body": dump(event),
            # What came from a Note of the CRM has its Note already (S91).
            "note_id": event.crm_note_id if isinstance(event, ReplyAdded) else None,
        }
        for event in events
    ]
    if rows:
        rows.sort(key=lambda row: str(row["reply_id"]))
        session.execute(_keeping_first(session.get_bind().dialect.name), rows)


@cache
def _keeping_first(dialect: str) -> Any:
    return (postgresql if dialect == "postgresql" else sqlite).insert(_REPLY).on_conflict_do_nothing()
