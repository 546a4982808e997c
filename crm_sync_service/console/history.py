"""How a ticket and its Case came to be as they are: each step, how they were after it, and what undoing it does."""

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from crm_sync_service.console.fields import Names, ours_of, sentence_label
from crm_sync_service.mapping import DEFAULT_POLICIES, PULLABLE
from crm_sync_service.models import Activity, Link, outbox
from shared.events import TicketChanged

LENGTH = 500
_WRITES = ("updated", "pulled")
_MOST = 10_000
_MESSAGES = 50
_STEP = re.compile(r"(\w+): (.*?) → (.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One field that one entry changed."""

    field: str
    label: str
    before: str | None
    after: str | None
    before_words: str
    after_words: str

    @property
    def can_undo(self) -> bool:
        """The old value can be given to both sides again."""
        return self.field in PULLABLE


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the timeline."""

    id: int
    at: datetime
    direction: str
    action: str
    detail: str
    attempt: int
    took: timedelta | None
    """Of the Case's creation: since the ticket was filed."""
    steps: Sequence[Step]


@dataclass(frozen=True, kw_only=True)
class SentMessage:
    """One message to the portal."""

    id: uuid.UUID
    type: str
    created_at: datetime
    sent_at: datetime | None
    """When the broker had confirmed it; None while it waits."""
    body: str

    @property
    def took(self) -> timedelta | None:
        return self.sent_at - self.created_at if self.sent_at else None


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What ticket and Case had after an entry."""

    entry: Entry
    fields: Sequence[tuple[str, str, str]]
    """Label, value then, value now."""
    notes: int
    """Notes written by then."""
    earlier: int | None
    """The entry before it, and the one after it, that changed a field or made the Case."""
    later: int | None


def read_timeline(session: Session, ticket: TicketChanged, names: Names) -> list[Entry]:
    """The newest first."""
    statement = select(Activity).where(Activity.ticket_id == ticket.ticket_id)
    rows = session.scalars(statement.order_by(Activity.id.desc()).limit(LENGTH))
    return [_entry(row, ticket, names) for row in rows]


def _entry(row: Activity, ticket: TicketChanged, names: Names) -> Entry:
    return Entry(
        id=row.id,
        at=row.at,
        direction=row.direction,
        action=row.action,
        detail=row.detail,
        attempt=row.attempt,
        took=max(row.at - ticket.created_at, timedelta()) if row.action == "created" else None,
        steps=list(_steps(row, names)),
    )


def _steps(row: Activity, names: Names) -> Iterator[Step]:
    """What the words of an entry say in values; nothing where they are only words."""
    for part in row.detail.split("; ") if row.action in _WRITES else ():
        found = _STEP.fullmatch(part)
        if found and found[1] in DEFAULT_POLICIES:
            before, after = _value(found[2]), _value(found[3])
            yield Step(
                field=found[1],
                label=sentence_label(found[1]),
                before=before,
                after=after,
                before_words=names.of(found[1], before) or "empty",
                after_words=names.of(found[1], after) or "empty",
            )


def _value(words: str) -> str | None:
    return None if words == "empty" else words


def read_messages(session: Session, ticket_id: uuid.UUID) -> list[SentMessage]:
    """The newest messages about a ticket to the portal, as long as they are kept. Looks through all that are kept."""
    table = outbox.table
    rows = session.execute(
        select(table.c.event_id, table.c.type, table.c.created_at, table.c.sent_at, table.c.body)
        .where(table.c.subject == str(ticket_id))
        .order_by(table.c.position.desc())
        .limit(_MESSAGES)
    )
    return [SentMessage(id=row[0], type=row[1], created_at=row[2], sent_at=row[3], body=row[4]) for row in rows]


def find_step(session: Session, ticket_id: uuid.UUID, entry_id: int, field: str) -> tuple[Activity, Step] | None:
    """The change of one field by one entry of a ticket's timeline."""
    row = session.get(Activity, entry_id)
    if row is None or row.ticket_id != ticket_id:
        return None
    return next(((row, step) for step in _steps(row, Names(session)) if step.field == field), None)


def read_moment(session: Session, ticket: TicketChanged, entry_id: int) -> Moment | None:
    """Ticket and Case as they were after an entry: today's values with every later step taken back."""
    row = session.get(Activity, entry_id)
    if row is None or row.ticket_id != ticket.ticket_id:
        return None
    names = Names(session)
    now = _values_now(session, ticket)
    then = dict(now)
    mine = Activity.ticket_id == ticket.ticket_id
    later = session.scalars(
        select(Activity).where(mine, Activity.id > row.id).order_by(Activity.id.desc()).limit(_MOST)
    )
    for each in later:
        then |= {step.field: step.before for step in _steps(each, names)}
    notes = select(func.count()).where(mine, Activity.id <= row.id, Activity.action == "noted")
    stops = (mine, Activity.action.in_((*_WRITES, "created")))
    return Moment(
        entry=_entry(row, ticket, names),
        fields=[(sentence_label(name), names.of(name, then[name]), names.of(name, now[name])) for name in then],
        notes=session.scalar(notes) or 0,
        earlier=session.scalar(select(func.max(Activity.id)).where(*stops, Activity.id < row.id)),
        later=session.scalar(select(func.min(Activity.id)).where(*stops, Activity.id > row.id)),
    )


def _values_now(session: Session, ticket: TicketChanged) -> dict[str, str | None]:
    """What both sides last shared; of a ticket without a Case, what it has."""
    link = session.get(Link, ticket.ticket_id)
    fields = [name for name in DEFAULT_POLICIES if name != "block"]
    if link is not None and link.base:
        return {name: link.base.get(name) for name in fields}
    return {name: ours_of(name, ticket) for name in fields}
