"""Writes placed tickets: a chunk in few statements, with their events and without a single mail (O13)."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from portal_service.assignment.engine import assign_all
from portal_service.base import outbox
from portal_service.files.errors import FileRefused
from portal_service.files.models import Attachment
from portal_service.files.storage import Storage, StoredFile, store_upload
from portal_service.imports.authors import Author
from portal_service.imports.errors import BadRow
from portal_service.imports.oldticket import OldComment, OldTicket
from portal_service.imports.placing import Placed
from portal_service.tickets import history, snapshots
from portal_service.tickets.actor import Actor
from portal_service.tickets.lifecycle import CLOSED, DONE, NEW, PENDING
from portal_service.tickets.models import Entry, InternalNote, Reply, Ticket
from shared.events import Event
from shared.ids import new_id


@dataclass(frozen=True, kw_only=True)
class Store:
    """Where and in whose name imported tickets are written."""

    storage: Storage
    max_file_bytes: int
    source: str
    rng: random.Random

    def add(self, session: Session, placed: Sequence[Placed], *, now: datetime) -> list[Ticket]:
        """The new tickets, with everything that belongs to them. Raises BadRow for a text no file can hold."""
        actor = Actor(kind="system", name=f"Import from {self.source}")
        session.add_all(_new_records(placed))
        tickets = [_ticket(one) for one in placed]
        session.add_all(tickets)
        session.flush()
        for ticket, one in zip(tickets, placed, strict=True):
            session.add_all(_conversation(ticket, one))
            history.record(session, ticket, "created", actor=actor, now=now)
        # Files refer to entries, which therefore have to be there first.
        session.flush()
        for ticket, one in zip(tickets, placed, strict=True):
            self._attach_wholes(session, ticket, one.old)
        session.flush()
        open_ = [ticket for ticket in tickets if ticket.status not in DONE and ticket.assignee is None]
        assign_all(session, open_, rng=self.rng, now=now)
        outbox.add_all(session, _events(session, tickets, changed_by=actor.name), now=now)
        return tickets

    def _attach_wholes(self, session: Session, ticket: Ticket, old: OldTicket) -> None:
        """Texts too long for their place, as files, in order."""
        if old.description.whole:
            session.add(self._attachment(ticket, old.description.whole, None))
        for entry, comment in zip(ticket.entries, old.comments, strict=True):
            files = [self._attachment(ticket, comment.body.whole, entry)] if comment.body.whole else []
            session.add_all(files)
            set_committed_value(entry, "attachments", files)

    def _attachment(self, ticket: Ticket, whole: str, entry: Entry | None) -> Attachment:
        ticket.attachment_count += 1
        file = self._file(f"comment-{entry.position}.txt" if entry else "description.txt", whole)
        return Attachment(
            id=new_id(),
            ticket_id=ticket.id,
            entry_id=entry.id if entry else None,
            name=file.name,
            content_type=file.content_type,
            size=file.size,
            sha256=file.sha256,
            position=ticket.attachment_count,
            internal=isinstance(entry, InternalNote),
            created_at=entry.created_at if entry else ticket.created_at,
        )

    def _file(self, name: str, whole: str) -> StoredFile:
        # The first line keeps a text that begins like a program from being taken for one.
        content = BytesIO(f"{name}, in full:\n\n{whole}\n".encode())
        try:
            return store_upload(self.storage, name, content, limit=self.max_file_bytes)
        except FileRefused as error:
            raise BadRow(
                f"a text is too long even for a file: {error}", kind="a text too long even for a file"
            ) from None


def _new_records(placed: Sequence[Placed]) -> Iterator[object]:
    for one in placed:
        if one.new_account:
            yield one.account
        if one.new_contact:
            yield one.contact


def _ticket(placed: Placed) -> Ticket:
    old = placed.old
    done = old.status in DONE
    return Ticket(
        id=new_id(),
        version=1,
        subject=old.subject,
        description=old.description.shown,
        link_url=old.link_url,
        details=dict(old.details),
        status=old.status,
        priority=old.priority,
        origin="import",
        request_type=placed.request_type,
        account=placed.account,
        contact=placed.contact,
        product=placed.product,
        category=placed.category,
        assignee=placed.agent,
        foreign_assignee=None,
        assignment={},
        entry_count=len(old.comments),
        attachment_count=0,
        pull_number=0,
        external_ref=placed.ref,
        created_at=old.created_at,
        changed_at=old.updated_at,
        last_activity_at=old.updated_at,
        reviewed_at=None if old.status == NEW else old.created_at,
        pending_since=old.updated_at if old.status == PENDING else None,
        resolved_at=old.finished_at if done else None,
        closed_at=old.finished_at if old.status == CLOSED else None,
    )


def _conversation(ticket: Ticket, placed: Placed) -> list[Entry]:
    """The entries of a ticket, which from now on knows them without asking the database."""
    entries = [
        _entry(ticket, comment, author, position=position)
        for position, (comment, author) in enumerate(zip(placed.old.comments, placed.authors, strict=True), start=1)
    ]
    set_committed_value(ticket, "entries", entries)
    return entries


def _entry(ticket: Ticket, comment: OldComment, author: Author, *, position: int) -> Entry:
    return (Reply if comment.public else InternalNote)(
        id=new_id(),
        ticket_id=ticket.id,
        position=position,
        side=author.side,
        author_name=author.name,
        author_email=author.email,
        author_crm_id=author.crm_id,
        channel="import",
        body=comment.body.shown,
        created_at=comment.created_at,
    )


def _events(session: Session, tickets: Sequence[Ticket], *, changed_by: str) -> Iterator[Event]:
    for ticket in tickets:
        yield snapshots.ticket_changed(session, ticket, changed_by=changed_by)
        yield from (snapshots.entry_added(entry) for entry in ticket.entries)
