"""What differs between tickets and Cases although nothing is under way: found by reading both, in constant memory."""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from crm_sync_service.compare import Difference, Entry
from crm_sync_service.connectors.base import Connector
from crm_sync_service.mapping import CaseMapping
from crm_sync_service.models import Conflict, Lane, Link, Replica, ReplyReplica
from crm_sync_service.operation_models import DriftRun
from crm_sync_service.verifier import Verifier
from shared.database import Database
from shared.events import InternalNoteAdded, ReplyAdded, TicketChanged, load

PAGE = 100
KEEP_RUNS = 30
_EXAMPLES = 100
_QUIET = ("idle", "parked")
_TOMBSTONES = ("case_deleted", "unlinked")


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What the comparison of one ticket showed."""

    ticket_id: uuid.UUID
    number: int
    cases: int = 0
    notes: int = 0
    differences: Sequence[Difference] = ()
    held: Sequence[Difference] = ()
    """What differs and is known to: parked, held back on purpose, or waiting for a person's decision."""
    busy: bool = False
    """It is being worked on, or waits for the portal: nothing can be said of it now."""
    tombstone: bool = False
    """Its Case was deleted or unlinked, which is known: a person decides, nothing is compared."""


class ReplicaTickets:
    """The tickets as the sync service knows them: a `TicketSource` over its own database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self) -> int:
        with self._database.read() as session:
            return session.scalar(select(func.count()).select_from(Replica)) or 0

    def tickets(self, after: int = 0) -> Iterator[TicketChanged]:
        last = after
        while page := self.page(after=last):
            yield from page
            last = page[-1].number

    def page(self, *, after: int, limit: int = PAGE) -> list[TicketChanged]:
        """The next tickets by number."""
        query = select(Replica).where(Replica.number > after).order_by(Replica.number).limit(limit)
        with self._database.read() as session:
            return [_ticket_of(row) for row in session.scalars(query)]

    def numbered(self, numbers: Iterable[int]) -> list[TicketChanged]:
        query = select(Replica).where(Replica.number.in_(set(numbers))).order_by(Replica.number)
        with self._database.read() as session:
            return [_ticket_of(row) for row in session.scalars(query)]

    def entries(self, ticket_id: uuid.UUID) -> Sequence[Entry]:
        query = (
            select(ReplyReplica)
            .where(ReplyReplica.ticket_id == ticket_id, ReplyReplica.skipped.is_(None))
            .order_by(ReplyReplica.position)
        )
        with self._database.read() as session:
            return [_entry_of(row) for row in session.scalars(query)]

    def unsent(self) -> int:
        return 0


def _ticket_of(row: Replica) -> TicketChanged:
    ticket = load(TicketChanged.type, row.body)
    assert isinstance(ticket, TicketChanged)
    return ticket


def _entry_of(row: ReplyReplica) -> Entry:
    entry = load(row.type, row.body)
    assert isinstance(entry, ReplyAdded | InternalNoteAdded)
    return entry


@dataclass(frozen=True)
class _Moment:
    """What a ticket's lane and link were like: equal before and after a comparison, nothing moved meanwhile."""

    state: str
    requests: int
    fence: int
    version: int | None
    pending: bool
    tombstone: bool


@dataclass(frozen=True)
class DriftChecker:
    """Compares tickets with their Cases."""

    database: Database
    crm: Connector
    mapping: CaseMapping

    @cached_property
    def source(self) -> ReplicaTickets:
        return ReplicaTickets(self.database)

    @cached_property
    def verifier(self) -> Verifier:
        return Verifier(source=self.source, database=self.database, crm=self.crm, mapping=self.mapping)

    def check(self, ticket: TicketChanged) -> Drift:
        """Raises CrmError."""
        plain = Drift(ticket_id=ticket.ticket_id, number=ticket.number)
        before = self._moment(ticket.ticket_id)
        if before.tombstone:
            return replace(plain, tombstone=True)
        if before.state not in _QUIET or before.pending:
            return replace(plain, busy=True)
        found = self.verifier.ticket(ticket, self.source.entries(ticket.ticket_id))
        plain = replace(plain, cases=found.counts.cases, notes=found.counts.notes)
        if not found.differences:
            return plain
        if self._moment(ticket.ticket_id) != before:
            return replace(plain, busy=True)
        known = self._known(ticket.ticket_id)
        held = [difference for difference in found.differences if known & {difference.name, difference.reply_id}]
        differences = [difference for difference in found.differences if difference not in held]
        return replace(plain, differences=tuple(differences), held=tuple(held))

    def check_all(self, tickets: Sequence[TicketChanged], pool: ThreadPoolExecutor) -> Iterator[Drift]:
        """One page, several at once. Raises CrmError."""
        yield from pool.map(self.check, tickets)

    def strangers(self) -> Iterator[Difference]:
        """Cases that name a ticket and are linked to none. Raises CrmError."""
        for found in self.verifier.strangers():
            yield from found.differences

    def _known(self, ticket_id: uuid.UUID) -> set[str | None]:
        """Fields and replies that are left alone for a reason people can read."""
        with self.database.read() as session:
            link = session.get(Link, ticket_id)
            waiting = session.scalars(
                select(Conflict.field).where(Conflict.ticket_id == ticket_id, Conflict.state == "waiting")
            ).all()
            replies = session.scalars(
                select(ReplyReplica.reply_id).where(
                    ReplyReplica.ticket_id == ticket_id, ReplyReplica.parked.is_not(None)
                )
            ).all()
        fields = {*link.parked, *link.holds, *link.wanted} if link else set()
        return {*fields, *waiting, *map(str, replies)}

    def _moment(self, ticket_id: uuid.UUID) -> _Moment:
        with self.database.read() as session:
            lane, link = session.get(Lane, ticket_id), session.get(Link, ticket_id)
            version = session.scalar(select(Replica.version).where(Replica.ticket_id == ticket_id))
        return _Moment(
            state=lane.state if lane else "idle",
            requests=lane.requests if lane else 0,
            fence=lane.fence if lane else 0,
            version=version,
            pending=link is not None and bool(link.pending_pull or link.pending_push or link.pending_create),
            tombstone=link is not None and link.state in _TOMBSTONES,
        )


@dataclass(kw_only=True)
class Tally:
    """Counts of one run; a `DriftRun` in memory."""

    tickets: int = 0
    cases: int = 0
    notes: int = 0
    skipped: int = 0
    tombstones: int = 0
    held: int = 0
    differences: int = 0
    repairs: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, drift: Drift) -> None:
        self.tickets += 1
        self.cases += drift.cases
        self.notes += drift.notes
        self.skipped += drift.busy
        self.tombstones += drift.tombstone
        if drift.tombstone:
            self.counts["tombstone"] += 1
        self.held += len(drift.held)
        if drift.held:
            self.counts["held back"] += len(drift.held)
        self.differ(drift.differences)

    def differ(self, differences: Iterable[Difference]) -> None:
        for difference in differences:
            self.differences += 1
            self.counts[difference.tally] += 1
            if len(self.examples) < _EXAMPLES:
                self.examples.append(str(difference))

    def store(self, run: DriftRun) -> None:
        """Put what was counted so far into the run's row."""
        for name in ("tickets", "cases", "notes", "skipped", "differences", "repairs"):
            setattr(run, name, getattr(self, name))
        run.counts, run.examples = dict(self.counts), list(self.examples)

    @classmethod
    def of(cls, run: DriftRun) -> "Tally":
        """Go on counting where an interrupted run was."""
        return cls(
            tickets=run.tickets,
            cases=run.cases,
            notes=run.notes,
            skipped=run.skipped,
            differences=run.differences,
            repairs=run.repairs,
            tombstones=run.counts.get("tombstone", 0),
            held=run.counts.get("held back", 0),
            counts=Counter(run.counts),
            examples=list(run.examples),
        )


def start_run(session: Session, kind: str, *, now: datetime) -> DriftRun:
    """A new run; only the newest are kept."""
    run = DriftRun(kind=kind, started_at=now, counts={}, examples=[])
    session.add(run)
    session.flush()
    for old in session.scalars(select(DriftRun).order_by(DriftRun.id.desc()).offset(KEEP_RUNS)):
        session.delete(old)
    return run
