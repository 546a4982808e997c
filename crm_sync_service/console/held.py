"""Fields that are left alone: skipped by people, frozen by the breaker, refused by the CRM, waiting for a choice."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_sync_service.console.fields import sentence_label
from crm_sync_service.models import Link, Replica
from shared.clock import from_text

PAGE = 50


@dataclass(frozen=True, kw_only=True)
class HeldField:
    """One field of one ticket."""

    ticket_id: uuid.UUID
    number: int
    subject: str
    case_number: str | None
    field: str
    label: str
    kind: str
    """links.HoldKind."""
    words: str
    by: str
    at: str
    """A moment in words; empty if it was not kept."""


def read_held(session: Session, *, before: int | None) -> tuple[list[HeldField], int | None]:
    """Of PAGE tickets, the highest numbers first, and the number to go on below."""
    statement = select(Link, Replica.number, Replica.body["subject"].as_string())
    statement = statement.join(Replica, Replica.ticket_id == Link.ticket_id).where(Link.held)
    if before is not None:
        statement = statement.where(Replica.number < before)
    rows = session.execute(statement.order_by(Replica.number.desc()).limit(PAGE)).all()
    more = rows[-1][1] if len(rows) == PAGE else None
    return [line for row in rows for line in _lines(row[0], row[1], row[2])], more


def _lines(link: Link, number: int, subject: str) -> Iterator[HeldField]:
    for field, hold in sorted(link.holds.items()):
        yield HeldField(
            ticket_id=link.ticket_id,
            number=number,
            subject=subject,
            case_number=link.case_number,
            field=field,
            label=sentence_label(field),
            kind=str(hold.get("kind", "")),
            words=str(hold.get("words", "")),
            by=str(hold.get("by") or ""),
            at=_moment(hold.get("at")),
        )


def _moment(text: object) -> str:
    if not isinstance(text, str):
        return ""
    try:
        at = from_text(text)
    except ValueError:
        return ""
    return f"{at.day} {at:%b %Y, %H:%M} UTC"
