"""Requests that refer to an earlier ticket: another problem of its requester, or a reply that staff split off (S55)."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from portal_service.files.storage import StoredFile
from portal_service.tickets import fields, history
from portal_service.tickets.actor import Actor
from portal_service.tickets.models import Reply, Ticket
from portal_service.tickets.text import MAX_SUBJECT, clean_line

_SHORT = 120
"""Characters of a reply that make the subject of its own ticket, until somebody writes a better one."""


def number_in(text: str) -> int:
    """The number that stands in a form or an address, with or without #; 0, which no ticket has, for anything else."""
    digits = text.strip().removeprefix("#")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 15 else 0


def reply_of(session: Session, ticket: Ticket, position: int) -> Reply | None:
    """What the requester said at this place of the conversation."""
    query = select(Reply).where(Reply.ticket_id == ticket.id, Reply.position == position, Reply.side == "customer")
    return session.scalar(query.options(selectinload(Reply.attachments)))


def values_of(earlier: Ticket, reply: Reply | None = None) -> Mapping[str, str]:
    """What a form for a new ticket can take over from an earlier one, and the words of a reply that is split off."""
    known = {name: str(getattr(earlier, name) or "") for name in ("account_id", "product_id", "category_id")}
    known["parent_number"] = str(earlier.number)
    if reply is None:
        return known
    first = next((line for line in map(clean_line, reply.body.splitlines()) if line), earlier.subject)
    subject = first if len(first) <= _SHORT else f"{first[: _SHORT - 1]}…"
    return {**known, "subject": subject[:MAX_SUBJECT], "description": reply.body, "split_from": str(reply.position)}


def files_of(reply: Reply) -> list[StoredFile]:
    """The files of a reply, for the ticket that is made of it."""
    return [
        StoredFile(name=one.name, content_type=one.content_type, size=one.size, sha256=one.sha256)
        for one in reply.attachments
    ]


def refer(
    session: Session, ticket: Ticket, earlier: Ticket, *, actor: Actor, now: datetime, split: bool = False
) -> None:
    """Link a ticket that was just filed to the earlier one; with `split` the earlier one's history tells of it, too."""
    fields.set_parent(session, ticket, earlier.number, actor=actor, now=now)
    if split:
        line = {"field": "split", "after": f"#{ticket.number}"}
        history.record(session, earlier, "changed", actor=actor, now=now, public=False, **line)
