"""The outbox: events stored in the transaction of the change they tell of, relayed afterwards.

Rows are found by "not sent yet", never by "greater than the last seen": sequences are handed out before their
transaction commits, and a high-water mark loses the late ones (FAILURES T14).
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Column, Index, MetaData, Table, Text, Uuid, func, insert, or_, select, update
from sqlalchemy.orm import Session

from shared.database import BigId, UtcDateTime
from shared.events import Event, Message, pack

NOTIFY_CHANNEL = "casebridge_outbox"


class Outbox:
    """One service's outbox table and what is done with it."""

    def __init__(self, metadata: MetaData, *, source: str) -> None:
        """`source` is the service's name in every envelope."""
        self.source = source
        self.table = Table(
            "outbox",
            metadata,
            Column("position", BigId, primary_key=True, autoincrement=True),
            Column("event_id", Uuid, nullable=False, unique=True),
            Column("type", Text, nullable=False),
            Column("destination", Text, nullable=False),
            Column("subject", Text, nullable=False),
            Column("body", Text, nullable=False),
            Column("created_at", UtcDateTime, nullable=False),
            Column("claimed_until", UtcDateTime),
            Column("sent_at", UtcDateTime),
        )
        Index(
            "ix_outbox_unsent",
            self.table.c.position,
            sqlite_where=self.table.c.sent_at.is_(None),
            postgresql_where=self.table.c.sent_at.is_(None),
        )

    def add(self, session: Session, event: Event, *, now: datetime) -> uuid.UUID:
        """Store an event with the change it tells of. Raises EventTooLargeError."""
        message = pack(event, source=self.source, now=now)
        self._insert(session, [message])
        return message.id

    def add_all(self, session: Session, events: Iterable[Event], *, now: datetime) -> None:
        """Store many events in few statements, in their order. Raises EventTooLargeError; then none is stored."""
        self._insert(session, [pack(event, source=self.source, now=now) for event in events])

    def _insert(self, session: Session, messages: Sequence[Message]) -> None:
        if not messages:
            return
        rows = [
            {
                "event_id": message.id,
                "type": message.type,
                "destination": message.destination,
                "subject": message.subject,
                "body": message.body,
                "created_at": message.time,
            }
            for message in messages
        ]
        query = insert(self.table)
        if session.get_bind().dialect.name == "postgresql":
            # The server drops equal notices of one transaction; rows are numbered in the order of the events.
            notice = func.pg_notify(NOTIFY_CHANNEL, "", type_=Text)
            session.execute(query.returning(notice, sort_by_parameter_order=True), rows)
            return
        session.execute(query, rows)

    def claim(self, session: Session, *, now: datetime, lease: timedelta, limit: int) -> list[Message]:
        """Unsent events, oldest first, that no other relay holds; held by the caller for `lease`."""
        table = self.table
        positions = session.scalars(
            select(table.c.position)
            .where(table.c.sent_at.is_(None), or_(table.c.claimed_until.is_(None), table.c.claimed_until < now))
            .order_by(table.c.position)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        if not positions:
            return []
        session.execute(update(table).where(table.c.position.in_(positions)).values(claimed_until=now + lease))
        rows = session.execute(select(table).where(table.c.position.in_(positions)).order_by(table.c.position))
        return [
            Message(
                id=row.event_id,
                type=row.type,
                destination=row.destination,
                subject=row.subject,
                source=self.source,
                time=row.created_at,
                body=row.body,
            )
            for row in rows
        ]

    def mark_sent(self, session: Session, event_ids: Iterable[uuid.UUID], *, now: datetime) -> None:
        session.execute(update(self.table).where(self.table.c.event_id.in_(list(event_ids))).values(sent_at=now))

    def release(self, session: Session, event_ids: Sequence[uuid.UUID]) -> None:
        """Give claimed events back at once instead of when their lease ends."""
        session.execute(
            update(self.table)
            .where(self.table.c.event_id.in_(event_ids), self.table.c.sent_at.is_(None))
            .values(claimed_until=None)
        )

    def waiting(self, session: Session) -> tuple[int, datetime | None]:
        """How many events are unsent, and since when the oldest waits."""
        unsent = self.table.c.sent_at.is_(None)
        count, oldest = session.execute(select(func.count(), func.min(self.table.c.created_at)).where(unsent)).one()
        return count, oldest

    def forget_sent(self, session: Session, *, before: datetime) -> int:
        """Delete events sent before a moment; returns how many."""
        result = session.execute(self.table.delete().where(self.table.c.sent_at < before))
        return int(result.rowcount)  # type: ignore[attr-defined] # the result of a DELETE is a CursorResult
