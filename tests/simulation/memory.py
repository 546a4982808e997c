"""The sync service's tables in memory: what its code finds in place of a database while it is simulated.

Modelled are only the statements that are SQL in the product (lanes.py, stored.py, steps.py, outbox.py, inbox.py and one
query of the change feed), under the same names and with the same arguments. `in_memory()` puts them in place;
everything above them is the product's own code.
"""

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from crm_sync_service.connectors.base import CaseStamp
from crm_sync_service.lanes import Claim
from crm_sync_service.links import ConflictFound, ContactFound, LinkState, Outcome, ReplyWork
from crm_sync_service.stored import Work
from shared.events import Event, InternalNoteAdded, ReplyAdded, TicketChanged
from tests.simulation import memory_lanes
from tests.simulation.memory_conflicts import Conflict, keep_conflict, withdraw_conflict
from tests.simulation.memory_lanes import Lane


class Replica(SimpleNamespace):
    """models.Replica, without what an ORM adds to it; so are the others."""


class ReplyReplica(SimpleNamespace):
    note_id: str | None = None
    parked: str | None = None
    skipped: str | None = None
    pending: bool = False


class Cursor(SimpleNamespace):
    pass


class CrmState(SimpleNamespace):
    until: datetime | None = None
    announced_at: datetime | None = None
    stopped_by: str | None = None
    reason: str | None = None


class Activity(SimpleNamespace):
    pass


_KEYS: Mapping[type, str] = {Replica: "ticket_id", ReplyReplica: "reply_id", Cursor: "feed", CrmState: "crm"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Envelope:
    """A message that carries its event as it is."""

    id: int
    destination: str
    event: Any

    @property
    def type(self) -> str:
        name: str = self.event.type
        return name


@dataclass(kw_only=True)
class OutboxRow:
    message: Envelope
    visible: bool = True
    """False: the transaction that took this position has not committed yet."""
    claimed_until: datetime | None = None


@dataclass(kw_only=True)
class LinkRow:
    """A link as stored, with the last receipt."""

    link: LinkState
    receipt_number: int = 0
    in_sync: bool = False
    reason: str | None = None
    compared_version: int | None = None


@dataclass(kw_only=True)
class MemoryDatabase:
    """A database and, as nothing ever has to be rolled back here, its only session."""

    point: Callable[[str], None]
    """Called where a process may die."""
    records: dict[tuple[type, object], Any] = field(default_factory=dict)
    lanes: dict[uuid.UUID, Lane] = field(default_factory=dict)
    links: dict[uuid.UUID, LinkRow] = field(default_factory=dict)
    replies: dict[uuid.UUID, list[ReplyReplica]] = field(default_factory=dict)
    conflicts: list[tuple[uuid.UUID, ConflictFound]] = field(default_factory=list)
    """As they were found; the rows of the table go with their values."""
    conflict_rows: list[Conflict] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    unsent: dict[int, OutboxRow] = field(default_factory=dict)
    seen: set[object] = field(default_factory=set)

    @contextmanager
    def write(self) -> Iterator["MemoryDatabase"]:
        self.point("before commit")
        yield self
        self.point("after commit")

    @contextmanager
    def read(self) -> Iterator["MemoryDatabase"]:
        yield self

    def get(self, model: Any, key: Any, **_: Any) -> Any:
        if model is Conflict:
            return self.conflict_rows[key - 1]
        find = getattr(model, "find", None)
        return find(self, key) if find else self.records.get((model, key))

    get_one = get

    def add(self, record: Any) -> None:
        if isinstance(record, Activity):
            return
        if isinstance(record, Conflict):
            self.conflict_rows.append(record)
            return
        self.records[type(record), getattr(record, _KEYS[type(record)])] = record
        if isinstance(record, ReplyReplica):
            self.replies.setdefault(record.ticket_id, []).append(record)

    def flush(self) -> None:
        pass

    def refresh(self, record: Any) -> None:
        pass


class MemoryOutbox:
    """shared.outbox.Outbox."""

    def add(self, session: MemoryDatabase, event: Event, *, now: datetime, visible: bool = True) -> OutboxRow:
        message = Envelope(id=len(session.outbox), destination=event.destination, event=event)
        row = OutboxRow(message=message, visible=visible)
        session.outbox.append(row)
        session.unsent[message.id] = row
        return row

    def claim(self, session: MemoryDatabase, *, now: datetime, lease: timedelta, limit: int) -> list[Envelope]:
        rows = [
            row
            for row in session.unsent.values()
            if row.visible and (row.claimed_until is None or row.claimed_until < now)
        ]
        for row in rows[:limit]:
            row.claimed_until = now + lease
        return [row.message for row in rows[:limit]]

    def mark_sent(self, session: MemoryDatabase, event_ids: Collection[int], *, now: datetime) -> None:
        for event_id in event_ids:
            session.unsent.pop(event_id, None)

    def release(self, session: MemoryDatabase, event_ids: Sequence[int]) -> None:
        for event_id in event_ids:
            session.outbox[event_id].claimed_until = None


class MemoryInbox:
    """shared.inbox.Inbox."""

    def new_among(self, session: MemoryDatabase, messages: Sequence[Envelope], *, now: datetime) -> list[Envelope]:
        fresh = {message.id: message for message in messages if message.id not in session.seen}
        session.seen.update(fresh)
        return list(fresh.values())


def load_each(session: MemoryDatabase, ticket_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Work]:
    """stored.load_each."""
    return {ticket_id: load_work(session, ticket_id) for ticket_id in ticket_ids}


def load_work(session: MemoryDatabase, ticket_id: uuid.UUID) -> Work:
    """stored.load_work."""
    replica = session.get(Replica, ticket_id)
    row = session.links.get(ticket_id)
    replies = sorted(session.replies.get(ticket_id, ()), key=lambda reply: reply.position)
    return Work(
        ticket=replica.body if replica else None,
        link=row.link if row else LinkState(ticket_id=ticket_id),
        replies=[
            ReplyWork(
                reply=reply.body,
                note_id=reply.note_id,
                parked=reply.parked,
                skipped=reply.skipped,
                pending=reply.pending,
            )
            for reply in replies
        ],
        receipts=row.receipt_number if row else 0,
        compared_version=(row.compared_version or 0) if row else 0,
    )


def keep_states(session: MemoryDatabase, events: Sequence[TicketChanged], *, now: datetime) -> None:
    """inbox._keep_states."""
    for event in events:
        keep_state(session, event, now=now)


def keep_state(session: MemoryDatabase, event: TicketChanged, *, now: datetime) -> None:
    replica = session.get(Replica, event.ticket_id)
    if replica is None:
        session.add(Replica(ticket_id=event.ticket_id, version=event.version, number=event.number, body=event))
    elif replica.version < event.version:
        replica.version, replica.body = event.version, event


def keep_replies(session: MemoryDatabase, events: Sequence[ReplyAdded | InternalNoteAdded]) -> None:
    """inbox._keep_replies."""
    for event in events:
        reply_id = event.note_id if isinstance(event, InternalNoteAdded) else event.reply_id
        note_id = event.crm_note_id if isinstance(event, ReplyAdded) else None
        row = ReplyReplica(
            reply_id=reply_id, ticket_id=event.ticket_id, position=event.position, body=event, note_id=note_id
        )
        if session.get(ReplyReplica, reply_id) is None:
            session.add(row)


def make_state(session: MemoryDatabase, crm: str, *, now: datetime) -> None:
    """gate._make."""
    session.add(CrmState(crm=crm, state="reachable", since=now, failures=0))


def save_link(session: MemoryDatabase, link: LinkState) -> LinkRow:
    """steps._upsert."""
    row = session.links.get(link.ticket_id)
    if row is None:
        row = session.links[link.ticket_id] = LinkRow(link=link)
    # Only people add orders.
    row.link = replace(link, orders=row.link.orders) if row.link.orders else link
    return row


def tell(session: MemoryDatabase, work: Work, *, state: str, reason: str, now: datetime) -> None:
    """stored.tell; the receipt itself stays here, as the simulated portal does not read any."""
    row = save_link(session, work.link)
    row.receipt_number, row.in_sync = work.receipts + 1, False


@dataclass(frozen=True, kw_only=True)
class MemoryStore:
    """store.LaneStore."""

    steps: None
    database: MemoryDatabase
    crm: Any
    held: Claim
    ticket: Any
    now: Callable[[], datetime]
    done: set[str] = field(default_factory=set)

    @contextmanager
    def _fenced(self) -> Iterator[MemoryDatabase]:
        with self.database.write() as session:
            memory_lanes.check_fence(session, self.held, now=self.now())
            yield session

    def save(
        self,
        link: LinkState,
        *,
        did: Sequence[Any] = (),
        conflicts: Sequence[ConflictFound] = (),
        withdrawn: Sequence[str] = (),
        event: Event | None = None,
        forget_notes: Collection[uuid.UUID] = (),
    ) -> None:
        with self._fenced() as session:
            save_link(session, link)
            for found in conflicts:
                keep_conflict(session, self.held.ticket_id, found)
            for name in withdrawn:
                withdraw_conflict(session, self.held.ticket_id, name)
            for reply_id in forget_notes:
                row = session.get(ReplyReplica, reply_id)
                row.note_id, row.parked, row.pending = None, None, False
            if event is not None:
                MemoryOutbox().add(session, event, now=self.now())

    def hold(self) -> None:
        with self._fenced():
            pass

    def note_intended(self, reply_id: uuid.UUID) -> None:
        with self._fenced() as session:
            session.get(ReplyReplica, reply_id).pending = True

    def note_created(self, reply_id: uuid.UUID, note_id: str, *, did: Any) -> None:
        with self._fenced() as session:
            row = session.get(ReplyReplica, reply_id)
            row.note_id, row.pending = note_id, False

    def note_parked(self, reply_id: uuid.UUID, reason: str) -> None:
        with self._fenced() as session:
            row = session.get(ReplyReplica, reply_id)
            row.parked, row.pending = reason, False

    def send_notes(self, link: LinkState, notes: Sequence[Event]) -> None:
        with self._fenced() as session:
            save_link(session, link)
            for note in notes:
                MemoryOutbox().add(session, note, now=self.now())

    def finish(self, outcome: Outcome, *, receipt: int) -> None:
        with self.database.write() as session:
            memory_lanes.finish(session, self.held, now=self.now(), again_at=outcome.again_at)
            row = save_link(session, outcome.link)
            row.receipt_number, row.in_sync = receipt, outcome.state == "in_sync"
            row.reason, row.compared_version = outcome.reason, self.ticket.version

    def ticket_of(self, case_id: str, *, names: str | None = None) -> str | None:
        for ticket_id, row in self.database.links.items():
            number = str(self.database.get(Replica, ticket_id).number)
            is_named = number == names and row.link.state == "new"
            if ticket_id != self.held.ticket_id and (row.link.case_id == case_id or is_named):
                return number
        return None

    def label(self, kind: str, crm_id: str | None) -> str | None:
        return None

    def contact(self, ticket: Any) -> ContactFound:
        return ContactFound(crm_id=ticket.contact.crm_id)


def mark_changed(session: MemoryDatabase, rows: Sequence[CaseStamp], *, now: datetime) -> int:
    """change_feed._mark."""
    stamps = {row.case_id: row.stamp for row in rows}
    changed = [
        ticket_id
        for ticket_id, row in session.links.items()
        if row.link.state == "linked" and row.link.case_id in stamps and stamps[row.link.case_id] != row.link.seen
    ]
    memory_lanes.mark_due(session, changed, now=now)
    return len(changed)
