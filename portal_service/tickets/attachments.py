"""Stored files becoming part of a ticket."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from portal_service.files.models import Attachment
from portal_service.files.storage import StoredFile
from portal_service.messages import message
from portal_service.tickets.models import Entry, Ticket

MAX_FILES = 20
TOO_MANY = message("Please attach at most 20 files at once.")


def too_many(files: Sequence[StoredFile]) -> str:
    """The message key when these are more files than one post may have, else an empty text."""
    return TOO_MANY if len(files) > MAX_FILES else ""


def attach(
    session: Session,
    ticket: Ticket,
    files: Sequence[StoredFile],
    *,
    entry: Entry | None,
    internal: bool,
    now: datetime,
) -> None:
    """Add files to a ticket or to one of its entries. Two files of one name both stay."""
    session.add_all(numbered(ticket, files, entry=entry, internal=internal, now=now))
    session.flush()
    session.expire(ticket, ["attachments"])


def numbered(
    ticket: Ticket, files: Sequence[StoredFile], *, entry: Entry | None, internal: bool, now: datetime
) -> list[Attachment]:
    """The rows of these files, which the ticket counts from now on; they are stored after the ticket itself."""
    first = ticket.attachment_count + 1
    ticket.attachment_count += len(files)
    return [
        Attachment(
            ticket_id=ticket.id,
            entry_id=entry.id if entry else None,
            name=file.name,
            content_type=file.content_type,
            size=file.size,
            sha256=file.sha256,
            position=position,
            internal=internal,
            created_at=now,
        )
        for position, file in enumerate(files, first)
    ]
