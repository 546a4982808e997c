"""The portal's tickets as `casebridge verify` reads them (see shared.ticket_source)."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from portal_service.base import open_database, outbox
from portal_service.settings import read_settings
from portal_service.tickets.models import Entry, Ticket
from portal_service.tickets.snapshots import entry_added, ticket_changed
from shared.database import Database, opened
from shared.events import InternalNoteAdded, ReplyAdded, TicketChanged

_PAGE = 200


class PortalTickets:
    """A `TicketSource` over the portal's database; at most one page of tickets is in memory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self) -> int:
        with self._database.read() as session:
            return session.scalar(select(func.count()).select_from(Ticket)) or 0

    def tickets(self, after: int = 0) -> Iterator[TicketChanged]:
        """Every ticket by its number, removed ones too."""
        last = after
        while page := self._page(after=last):
            yield from page
            last = page[-1].number

    def entries(self, ticket_id: uuid.UUID) -> Sequence[ReplyAdded | InternalNoteAdded]:
        """The ticket's replies and internal notes by position."""
        query = select(Entry).where(Entry.ticket_id == ticket_id).order_by(Entry.position)
        with self._database.read() as session:
            entries = session.scalars(query.options(selectinload(Entry.attachments)))
            return [entry_added(entry) for entry in entries]

    def unsent(self) -> int:
        with self._database.read() as session:
            return outbox.waiting(session)[0]

    def _page(self, *, after: int) -> list[TicketChanged]:
        query = select(Ticket).where(Ticket.number > after).order_by(Ticket.number).limit(_PAGE)
        with self._database.read() as session:
            return [ticket_changed(session, ticket, changed_by="portal") for ticket in session.scalars(query)]


@contextmanager
def open_source() -> Iterator[PortalTickets]:
    """The tickets of the portal that the environment names. Raises SettingsError, DatabaseUnavailableError."""
    with opened(open_database(read_settings().database_url)) as database:
        database.check()
        yield PortalTickets(database)
