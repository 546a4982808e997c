"""Tickets, links and replies as they are stored, read and written many at a time."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from crm_sync_service.links import Flip, Hold, LinkState, Order, PendingPull, ReplyWork, Wanted
from crm_sync_service.models import Conflict, Link, Replica, ReplyReplica, outbox
from shared.clock import from_text, to_text
from shared.events import CaseChanged, InternalNoteAdded, Receipt, ReplyAdded, TicketChanged, dump
from shared.redaction import without_words
from shared.stored_events import restore

_LINK, _REPLY, _REPLICA, _CONFLICT = (each.__table__ for each in (Link, ReplyReplica, Replica, Conflict))


@dataclass(frozen=True, kw_only=True)
class Work:
    """All that is stored about a ticket."""

    ticket: TicketChanged | None
    """None: replies came before the ticket itself."""
    link: LinkState
    replies: Sequence[ReplyWork]
    receipts: int = 0
    """How many the portal was sent."""
    compared_version: int = 0
    """The ticket's version that was compared last; 0: none was."""


def load_work(session: Session, ticket_id: uuid.UUID) -> Work:
    return load_each(session, [ticket_id])[ticket_id]


def load_each(session: Session, ticket_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Work]:
    """The work of many tickets in as few queries as that of one."""
    replicas = select(_REPLICA.c.ticket_id, _REPLICA.c.body).where(_REPLICA.c.ticket_id.in_(ticket_ids))
    bodies: dict[uuid.UUID, dict[str, Any]] = dict(session.execute(replicas).all())
    links = {row.ticket_id: row for row in session.execute(select(_LINK).where(_LINK.c.ticket_id.in_(ticket_ids)))}
    replies: dict[uuid.UUID, list[ReplyWork]] = defaultdict(list)
    by_position = select(_REPLY).where(_REPLY.c.ticket_id.in_(ticket_ids)).order_by(_REPLY.c.position)
    for row in session.execute(by_position):
        replies[row.ticket_id].append(_reply_of(row))
    return {
        ticket_id: _work(ticket_id, bodies.get(ticket_id), links.get(ticket_id), replies[ticket_id])
        for ticket_id in ticket_ids
    }


def _work(ticket_id: uuid.UUID, body: dict[str, Any] | None, link: Any, replies: Sequence[ReplyWork]) -> Work:
    ticket = restore(TicketChanged.type, body) if body else None
    assert ticket is None or isinstance(ticket, TicketChanged)
    if ticket is not None and ticket.redacted_at is not None:
        replies = [replace(work, reply=without_words(work.reply)) for work in replies]
    if link is None:
        return Work(ticket=ticket, link=LinkState(ticket_id=ticket_id), replies=replies)
    return Work(
        ticket=ticket,
        link=_state_of(link),
        replies=replies,
        receipts=link.receipt_number,
        compared_version=link.compared_version or 0,
    )


def _reply_of(row: Any) -> ReplyWork:
    reply = restore(row.type, row.body)
    assert isinstance(reply, ReplyAdded | InternalNoteAdded)
    return ReplyWork(reply=reply, note_id=row.note_id, parked=row.parked, skipped=row.skipped, pending=row.pending)


_COPIED = (
    "state",
    "case_id",
    "case_number",
    "case_url",
    "base",
    "pending_create",
    "pending_push",
    "parked",
    "pull_number",
    "seen",
    "orders_done",
    "generation",
    "extra_notes",
    "notes_read",
    "notes_seen",
)


def _state_of(row: Any) -> LinkState:
    return LinkState(
        ticket_id=row.ticket_id,
        pending_pull=_pull_of(row.pending_pull),
        wanted={name: Wanted(**{**stored, "over": _pair(stored["over"])}) for name, stored in row.wanted.items()},
        holds={name: Hold(**stored) for name, stored in row.holds.items()},
        flips={name: tuple(Flip(**stored) for stored in flips) for name, flips in row.flips.items()},
        orders=tuple(Order(**{**stored, "over": _pair(stored["over"])}) for stored in row.orders),
        notes_told=row.notes_told,
        **{name: getattr(row, name) for name in _COPIED},
    )


def _pair(stored: Sequence[str | None] | None) -> tuple[str | None, str | None] | None:
    return (stored[0], stored[1]) if stored else None


def _pull_of(stored: dict[str, Any] | None) -> PendingPull | None:
    if stored is None:
        return None
    event = restore(CaseChanged.type, stored["event"])
    assert isinstance(event, CaseChanged)
    return PendingPull(event=event, sent_at=from_text(stored["sent_at"]))


def columns_of(link: LinkState) -> dict[str, Any]:
    """What is stored of a link; the rest people and feeds write."""
    pull = link.pending_pull
    return {name: getattr(link, name) for name in _COPIED} | {
        "wanted": {name: asdict(wanted) for name, wanted in link.wanted.items()},
        "holds": {name: asdict(hold) for name, hold in link.holds.items()},
        "held": bool(link.holds),
        "echo": link.wrote,
        "flips": {name: [asdict(flip) for flip in flips] for name, flips in link.flips.items()},
        "pending_pull": {"event": dump(pull.event), "sent_at": to_text(pull.sent_at)} if pull else None,
    }


def receipt_of(
    link: LinkState,
    *,
    number: int,
    state: Any,
    version: int,
    notes: int,
    reason: str | None,
    at: datetime,
    waiting: int,
) -> Receipt:
    """`waiting`: fields that both sides changed and that nobody has decided."""
    return Receipt(
        ticket_id=link.ticket_id,
        number=number,
        state=state,
        version=version,
        case_id=link.case_id,
        case_number=link.case_number,
        case_url=link.case_url,
        notes=notes,
        reason=reason,
        compared_at=at,
        decisions=waiting,
    )


def tell(session: Session, work: Work, *, state: Any, reason: str, now: datetime) -> None:
    """Tell the portal how a ticket is that could not be compared. For whoever holds its lane."""
    number = work.receipts + 1
    row = session.get(Link, work.link.ticket_id)
    if row is None:
        row = Link(ticket_id=work.link.ticket_id, orders=[], notes_told=0, **columns_of(work.link))
        session.add(row)
    row.receipt_number, row.in_sync = number, False
    receipt = receipt_of(
        work.link,
        number=number,
        state=state,
        version=row.compared_version or 0,
        notes=sum(1 for reply in work.replies if reply.note_id),
        reason=reason,
        at=row.compared_at or now,
        waiting=waiting_decisions(session, [work.link.ticket_id]).get(work.link.ticket_id, 0),
    )
    outbox.add(session, receipt, now=now)


def waiting_decisions(session: Session, ticket_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Fields that both sides changed and that nobody has decided, of those tickets that have any."""
    query = select(_CONFLICT.c.ticket_id, func.count()).where(_CONFLICT.c.ticket_id.in_(ticket_ids))
    rows = session.execute(query.where(_CONFLICT.c.state == "waiting").group_by(_CONFLICT.c.ticket_id))
    return dict(rows.all())
