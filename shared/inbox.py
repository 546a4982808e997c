"""The inbox: which events were seen, and those this version cannot read, kept whole for a person.

Correctness rests on versions and derived ids, not on this memory: it counts duplicates and skips their work.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Column, MetaData, Table, Text, Uuid, func, insert, select
from sqlalchemy.orm import Session

from shared.database import UtcDateTime
from shared.events import Message


class Inbox:
    """One service's inbox tables."""

    def __init__(self, metadata: MetaData) -> None:
        self.seen = Table(
            "inbox",
            metadata,
            Column("event_id", Uuid, primary_key=True),
            Column("type", Text, nullable=False),
            Column("received_at", UtcDateTime, nullable=False, index=True),
        )
        self.unreadable = Table(
            "unreadable_events",
            metadata,
            Column("event_id", Uuid, primary_key=True),
            Column("type", Text, nullable=False),
            Column("subject", Text, nullable=False),
            Column("body", Text, nullable=False),
            Column("error", Text, nullable=False),
            Column("received_at", UtcDateTime, nullable=False),
        )

    def new_among(self, session: Session, messages: Sequence[Message], *, now: datetime) -> list[Message]:
        """Remember these events and return those not seen before, each once, in order."""
        by_id = {message.id: message for message in messages}
        known = set(session.scalars(select(self.seen.c.event_id).where(self.seen.c.event_id.in_(by_id))))
        fresh = [message for event_id, message in by_id.items() if event_id not in known]
        if fresh:
            session.execute(insert(self.seen), [{"event_id": m.id, "type": m.type, "received_at": now} for m in fresh])
        return fresh

    def keep_unreadable(self, session: Session, message: Message, error: str, *, now: datetime) -> None:
        """Keep an event that cannot be read, with the reason, for the console to show."""
        if session.scalar(select(self.unreadable.c.event_id).where(self.unreadable.c.event_id == message.id)):
            return
        session.execute(
            insert(self.unreadable).values(
                event_id=message.id,
                type=message.type,
                subject=message.subject,
                body=message.body,
                error=error,
                received_at=now,
            )
        )

    def unreadable_count(self, session: Session) -> int:
        return session.scalar(select(func.count()).select_from(self.unreadable)) or 0

    def forget_seen(self, session: Session, *, before: datetime) -> int:
        """Delete memories older than a moment; returns how many. Later duplicates are then merely applied again."""
        result = session.execute(self.seen.delete().where(self.seen.c.received_at < before))
        return int(result.rowcount)  # type: ignore[attr-defined] # the result of a DELETE is a CursorResult
