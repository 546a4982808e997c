"""Telling somebody when something needs a person: once it lasts, once per cause, and again when it is well."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_sync_service.console.health import Sentence
from crm_sync_service.console.models import Alert

LASTS = timedelta(seconds=60)
"""What passes sooner, or comes back sooner, is not told."""
QUIET = timedelta(minutes=15)
"""Between two messages about one cause."""
_FORGET = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Message:
    """What somebody is told."""

    cause: str
    state: Literal["needs a person", "well again"]
    text: str
    since: datetime


def note_troubles(session: Session, troubles: Sequence[Sentence], *, now: datetime) -> None:
    """Remember what is wrong now, and what no longer is."""
    known = {row.cause: row for row in session.scalars(select(Alert))}
    for trouble in troubles:
        row = known.pop(trouble.cause, None)
        if row is None:
            row = Alert(cause=trouble.cause, since=now, told_size=0)
            session.add(row)
        elif row.gone_at is not None and row.told_size == 0:
            row.since = now
        row.text, row.size, row.gone_at = trouble.text, trouble.size, None
    for row in known.values():
        row.gone_at = row.gone_at or now
        if now - row.gone_at > _FORGET:
            session.delete(row)


def due_messages(session: Session, *, now: datetime) -> list[Message]:
    """What is to be told now; `note_told` says that it was."""
    rows = session.scalars(select(Alert).order_by(Alert.since, Alert.cause))
    found = [_message(row, now=now) for row in rows]
    return [message for message in found if message is not None]


def _message(row: Alert, *, now: datetime) -> Message | None:
    if row.told_at is not None and now - row.told_at < QUIET:
        return None
    if row.gone_at is None:
        news = row.size > row.told_size and now - row.since >= LASTS
        return Message(cause=row.cause, state="needs a person", text=row.text, since=row.since) if news else None
    over = row.told_size > 0 and now - row.gone_at >= LASTS
    return Message(cause=row.cause, state="well again", text=row.text, since=row.since) if over else None


def note_told(session: Session, messages: Sequence[Message], *, now: datetime) -> None:
    for message in messages:
        row = session.get(Alert, message.cause)
        if row is not None:
            row.told_at = now
            row.told_size = row.size if message.state == "needs a person" else 0
