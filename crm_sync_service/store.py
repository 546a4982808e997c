"""Links, replies and conflicts in the database: the `Store` that reconciling writes through.

Every write is a step that is committed, together with those of other lanes, only while its own lane is held.
"""

import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from crm_sync_service.connectors.base import Connector
from crm_sync_service.contacts import resolve_contact
from crm_sync_service.fibres import Fibres
from crm_sync_service.forgetting import forget_words
from crm_sync_service.lanes import Claim
from crm_sync_service.links import ConflictFound, ContactFound, Did, LinkState, Outcome
from crm_sync_service.models import Activity, Conflict, DirectoryRecord, Link, Replica, ReplyReplica, SentNote, outbox
from crm_sync_service.steps import End, NoteStep, Step
from shared.database import Database
from shared.events import CaseChanged, NoteForCustomer, TicketChanged
from shared.failpoints import failpoint

_DIGITS = 10
"""A number of as many digits is no ticket's."""


@dataclass(frozen=True, kw_only=True)
class LaneStore:
    """The `reconcile.Store` of one claimed lane."""

    steps: Fibres[Step]
    database: Database
    crm: Connector
    held: Claim
    ticket: TicketChanged
    now: Callable[[], datetime]
    done: set[str] = field(default_factory=set)
    """What this run did: to_crm, to_portal, conflict."""
    _stored: dict[uuid.UUID, LinkState] = field(default_factory=dict)
    """The link as this run stored it last."""

    def _do(self, also: Callable[[Session], None] | None = None, **what: Any) -> None:
        self.steps.do(Step(held=self.held, also=also, **what))
        if (link := what.get("link")) is not None:
            self._stored[link.ticket_id] = link
        failpoint("store.after_commit")

    def save(
        self,
        link: LinkState,
        *,
        did: Sequence[Did] = (),
        conflicts: Sequence[ConflictFound] = (),
        withdrawn: Sequence[str] = (),
        event: CaseChanged | None = None,
        forget_notes: Collection[uuid.UUID] = (),
    ) -> None:
        self.done.update(["conflict"] if conflicts else (), (each.direction for each in did))

        def also(session: Session) -> None:
            for conflict in conflicts:
                self._add_conflict(session, conflict)
            for name in withdrawn:
                self._withdraw_conflict(session, name)
            if forget_notes:
                gone = update(ReplyReplica).where(ReplyReplica.reply_id.in_(forget_notes))
                session.execute(gone.values(note_id=None, parked=None, pending=False))

        more = also if conflicts or withdrawn or forget_notes else None
        self._do(more, link=link, did=did, events=[event] if event else ())

    def hold(self) -> None:
        self._do()

    def note_intended(self, reply_id: uuid.UUID) -> None:
        self._do(note=NoteStep(reply_id=reply_id, pending=True))

    def note_created(self, reply_id: uuid.UUID, note_id: str, *, did: Did) -> None:
        self.done.add(did.direction)
        self._do(note=NoteStep(reply_id=reply_id, note_id=note_id), did=[did])

    def note_parked(self, reply_id: uuid.UUID, reason: str) -> None:
        self._do(note=NoteStep(reply_id=reply_id, parked=reason))

    def send_notes(self, link: LinkState, notes: Sequence[NoteForCustomer]) -> None:
        def also(session: Session) -> None:
            ids = [note.crm_note_id for note in notes]
            sent = set(session.scalars(select(SentNote.note_id).where(SentNote.note_id.in_(ids))))
            for note in notes:
                if note.crm_note_id not in sent:
                    self._send_note(session, note)

        self.done.update(["to_portal"] if notes else ())
        self._do(also if notes else None, link=link)

    def _send_note(self, session: Session, note: NoteForCustomer) -> None:
        session.add(SentNote(note_id=note.crm_note_id, ticket_id=note.ticket_id, at=self.now()))
        outbox.add(session, note, now=self.now())
        detail = f"a Note of {note.author} goes to the customer"
        session.add(
            Activity(
                ticket_id=self.held.ticket_id,
                at=self.now(),
                attempt=self.held.attempts + 1,
                direction="to_portal",
                action="sent note",
                detail=detail,
            )
        )

    def forget_words(self) -> None:
        self._do(lambda session: forget_words(session, self.held.ticket_id))

    def finish(self, outcome: Outcome, *, receipt: int) -> None:
        """The end of a run: what the comparison showed is stored and told to the portal, the lane rests.

        `receipt`: the number of the portal's receipt.
        """
        end = End(outcome=outcome, version=self.ticket.version, receipt=receipt)
        changed = self._stored.get(outcome.link.ticket_id) != outcome.link
        self.steps.do(Step(held=self.held, link=outcome.link if changed else None, end=end))

    def ticket_of(self, case_id: str, *, names: str | None = None) -> str | None:
        linked = Link.case_id == case_id
        if names is not None and names.isdecimal() and len(names) < _DIGITS:
            linked = or_(linked, and_(Replica.number == int(names), Link.state == "new"))
        others = select(Replica.number).join(Link, Link.ticket_id == Replica.ticket_id).where(linked)
        with self.database.read() as session:
            number = session.scalar(others.where(Replica.ticket_id != self.held.ticket_id).limit(1))
            return None if number is None else str(number)

    def label(self, kind: str, crm_id: str | None) -> str | None:
        if crm_id is None:
            return None
        with self.database.read() as session:
            record = session.get(DirectoryRecord, (kind, crm_id))
            return record.name if record else None

    def contact(self, ticket: TicketChanged) -> ContactFound:
        return resolve_contact(self.database, self.crm, ticket, now=self.now())

    def _add_conflict(self, session: Session, found: ConflictFound) -> None:
        """Keep a conflict once, however often its decision is carried out; one that waits follows the values."""
        last = self._last_conflict(session, found.field)
        if last is not None and last.state == "waiting":
            last.base, last.ours, last.theirs = found.base, found.ours, found.theirs
            last.ours_by, last.ours_at = self.ticket.changed_by, self.ticket.changed_at
            last.theirs_by, last.theirs_at = found.theirs_by, found.theirs_at
            if found.winner is not None:
                last.state, last.winner, last.how = "decided", found.winner, "policy"
            return
        values = (found.base, found.ours, found.theirs)
        if found.winner is not None and last is not None and (last.base, last.ours, last.theirs) == values:
            return
        session.add(
            Conflict(
                ticket_id=self.held.ticket_id,
                at=self.now(),
                ours_by=self.ticket.changed_by,
                ours_at=self.ticket.changed_at,
                state="decided" if found.winner else "waiting",
                how="policy" if found.winner else None,
                decided_at=self.now() if found.winner else None,
                **asdict(found),
            )
        )

    def _withdraw_conflict(self, session: Session, field: str) -> None:
        last = self._last_conflict(session, field)
        if last is not None and last.state == "waiting":
            last.state, last.how, last.decided_at = "decided", "withdrawn", self.now()

    def _last_conflict(self, session: Session, field: str) -> Conflict | None:
        statement = select(Conflict).where(Conflict.ticket_id == self.held.ticket_id, Conflict.field == field)
        return session.scalars(statement.order_by(Conflict.id.desc()).limit(1)).first()
