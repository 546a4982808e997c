"""What was said about a ticket, as pages read it: the newest part, with a way to what was said before."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from portal_service.files.models import Attachment
from portal_service.tickets.models import Entry, Reply, Ticket

E = TypeVar("E", bound=Entry)

MOST_ENTRIES = 40
MOST_CHARACTERS = 60_000
"""Of all bodies on a page together; one longer than that stands alone."""


@dataclass(frozen=True, kw_only=True)
class Thread(Generic[E]):
    """A stretch of a conversation, oldest first."""

    entries: Sequence[E]
    count: int
    """Of the whole conversation, as far as its reader may see it."""
    earlier: int | None
    """`before` of the stretch that came earlier; None at the beginning."""
    is_newest: bool


def read_thread(
    session: Session, ticket: Ticket, kind: type[E], files: Iterable[Attachment], *, before: int | None = None
) -> Thread[E]:
    """The newest entries of a kind, or those before a position.

    `Reply` is what customers may read, `Entry` everything. `files` are the ticket's, as far as the reader may see them.
    """
    count = select(func.count()).select_from(kind).where(kind.ticket_id == ticket.id).scalar_subquery()
    query = select(kind, count).where(kind.ticket_id == ticket.id).order_by(kind.position.desc())
    if before is not None:
        query = query.where(kind.position < before)
    rows = session.execute(query.limit(MOST_ENTRIES + 1)).all()
    chosen = _as_many_as_fit([row[0] for row in rows])
    _give_files(chosen, files)
    return Thread(
        entries=chosen,
        count=rows[0][1] if rows else 0,
        earlier=chosen[0].position if len(chosen) < len(rows) else None,
        is_newest=before is None,
    )


def count_replies(session: Session, ticket: Ticket) -> int:
    """How many replies the customer can read."""
    return session.scalar(select(func.count()).select_from(Reply).where(Reply.ticket_id == ticket.id)) or 0


def last_question(session: Session, ticket: Ticket) -> Reply | None:
    """What support said last, which a pending ticket waits for an answer to."""
    query = select(Reply).where(Reply.ticket_id == ticket.id, Reply.side == "staff")
    return session.scalar(query.order_by(Reply.position.desc()).limit(1))


def last_entry(session: Session, ticket: Ticket) -> Entry | None:
    """The newest reply or internal note."""
    query = select(Entry).where(Entry.ticket_id == ticket.id)
    return session.scalar(query.order_by(Entry.position.desc()).limit(1))


def _as_many_as_fit(newest_first: Sequence[E]) -> list[E]:
    chosen: list[E] = []
    room = MOST_CHARACTERS
    for entry in newest_first[:MOST_ENTRIES]:
        room -= len(entry.body)
        if chosen and room < 0:
            break
        chosen.append(entry)
    return chosen[::-1]


def _give_files(entries: Iterable[E], files: Iterable[Attachment]) -> None:
    held = list(files)
    for entry in entries:
        set_committed_value(entry, "attachments", [file for file in held if file.entry_id == entry.id])
