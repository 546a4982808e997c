"""What people decide about a ticket and its Case (O4, O7, O10). Each decision is logged and wakes the ticket's lane.

The lane itself writes to either side, by the way it always takes: a decision survives whatever happens to the worker,
and nothing is written past the lane. Domain functions: they change rows of a Session and never commit.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from crm_sync_service import lanes
from crm_sync_service.mapping import DEFAULT_POLICIES
from crm_sync_service.merge import UNMAPPED, Side
from crm_sync_service.models import Activity, Conflict, ContactMatch, Lane, Link, Replica, ReplyReplica
from crm_sync_service.order_book import add_order, hold_link
from shared.emails import email_key
from shared.events import TicketChanged, load

_OPTIONS = {
    "status": ("new", "open", "pending", "solved", "closed"),
    "priority": ("low", "normal", "high", "urgent"),
}


class DecisionError(Exception):
    """What was asked for makes no sense any more; the text says why, for the person who asked."""


def decide(session: Session, conflict_id: int, *, winner: Side, by: str, now: datetime, why: str = "") -> Conflict:
    """Choose a side in a conflict that waits: the value of it shown in the row goes to the other side too."""
    conflict = _conflict(session, conflict_id, now=now)
    if conflict.state != "waiting":
        raise DecisionError(f"This conflict is not open any more: {_how_it_ended(conflict)}.")
    value = conflict.ours if winner == "portal" else conflict.theirs
    _refuse_unknown(conflict.field, value)
    over = (conflict.ours, conflict.theirs)
    conflict.state, conflict.winner, conflict.how = "decided", winner, "person"
    conflict.decided_by, conflict.decided_at, conflict.why = by, now, why or None
    _want(session, conflict, value, by=by, now=now, why=why, over=over)
    _log(
        session, conflict.ticket_id, "decided", f'{conflict.field}: "{value or ""}" was chosen', by=by, why=why, now=now
    )
    return conflict


def reverse(session: Session, conflict_id: int, *, by: str, now: datetime, why: str = "") -> Conflict:
    """Undo how a conflict was decided: the value that lost goes to both sides, as a new change of both."""
    conflict = _conflict(session, conflict_id, now=now)
    if conflict.state != "decided" or conflict.winner is None:
        raise DecisionError(f"There is no decision to reverse: {_how_it_ended(conflict)}.")
    value = conflict.theirs if conflict.winner == "portal" else conflict.ours
    _refuse_unknown(conflict.field, value)
    conflict.state, conflict.reversed_by, conflict.reversed_at = "reversed", by, now
    conflict.why = why or conflict.why
    _want(session, conflict, value, by=by, now=now, why=why, over=None)
    _log(session, conflict.ticket_id, "reversed", f'{conflict.field}: back to "{value or ""}"', by=by, why=why, now=now)
    return conflict


def retry(session: Session, ticket_ids: Sequence[uuid.UUID], *, by: str, now: datetime) -> int:
    """Try again at once, whatever held these tickets up: parked lanes, refused fields and refused Notes."""
    known = session.scalars(select(Lane.ticket_id).where(Lane.ticket_id.in_(ticket_ids))).all()
    # Lanes first and all at once, in one order, so that two who hold several never wait for each other.
    lanes.mark_due(session, known, now=now)
    session.execute(
        update(ReplyReplica)
        .where(ReplyReplica.ticket_id.in_(known), ReplyReplica.parked.is_not(None))
        .values(parked=None)
    )
    held = session.scalars(select(Link.ticket_id).where(Link.ticket_id.in_(known), Link.held)).all()
    for ticket_id in held:
        add_order(session, ticket_id, do="release", by=by, now=now)
    lanes.retry(session, known, now=now)
    for ticket_id in known:
        _log(session, ticket_id, "retried", "another try", by=by, why="", now=now)
    return len(known)


def set_value(
    session: Session, ticket_id: uuid.UUID, field: str, value: str | None, *, by: str, why: str, now: datetime
) -> None:
    """Give a field this value on both sides, whatever either has now. In the portal's terms."""
    _need_reason(why)
    _need_ticket(session, ticket_id)
    _need_field(field)
    if field in _OPTIONS and value not in _OPTIONS[field]:
        raise DecisionError(f"{value!r} is no {field}: choose one of {', '.join(_OPTIONS[field])}.")
    _refuse_unknown(field, value)
    add_order(session, ticket_id, do="set", field=field, value=value, by=by, why=why, now=now)
    _log(session, ticket_id, "value set", f'{field}: "{value or ""}"', by=by, why=why, now=now)


def skip_field(session: Session, ticket_id: uuid.UUID, field: str, *, by: str, why: str, now: datetime) -> None:
    """Leave a field alone on both sides until somebody takes that back."""
    _need_reason(why)
    _need_ticket(session, ticket_id)
    _need_field(field)
    add_order(session, ticket_id, do="skip", field=field, by=by, why=why, now=now)
    _log(session, ticket_id, "field left out", field, by=by, why=why, now=now)


def unskip_field(session: Session, ticket_id: uuid.UUID, field: str, *, by: str, now: datetime) -> None:
    """Mirror a field again that was left out."""
    _need_hold(session, ticket_id, field, {"skipped"}, now=now)
    add_order(session, ticket_id, do="unskip", field=field, by=by, now=now)
    _log(session, ticket_id, "field taken back in", field, by=by, why="", now=now)


def release_field(session: Session, ticket_id: uuid.UUID, field: str, *, by: str, now: datetime) -> None:
    """Go on with a field that was frozen because it was set back and forth, or that the CRM refused."""
    _need_hold(session, ticket_id, field, {"frozen", "refused"}, now=now)
    add_order(session, ticket_id, do="release", field=field, by=by, now=now)
    _log(session, ticket_id, "field released", field, by=by, why="", now=now)


def skip_note(session: Session, reply_id: uuid.UUID, *, by: str, why: str, now: datetime) -> None:
    """Write no Note for a reply or internal note."""
    _need_reason(why)
    row = _reply(session, reply_id, now=now)
    if row.note_id is not None:
        raise DecisionError("Its Note is in the CRM already: delete it there if it must go.")
    row.skipped = f"{by} decided so: {why}"
    _log(session, row.ticket_id, "Note left out", f"of reply {row.position}", by=by, why=why, now=now)


def unskip_note(session: Session, reply_id: uuid.UUID, *, by: str, now: datetime) -> None:
    """Write the Note after all."""
    row = _reply(session, reply_id, now=now)
    row.skipped = row.parked = None
    _log(session, row.ticket_id, "Note taken back in", f"of reply {row.position}", by=by, why="", now=now)


def choose_contact(session: Session, email: str, crm_id: str, *, by: str, now: datetime) -> int:
    """Say which contact an address belongs to; returns how many tickets waited for that and go on now."""
    match = session.get(ContactMatch, email_key(email), with_for_update=True)
    if match is None or match.crm_id is not None:
        raise DecisionError(f"Nobody has to choose a contact for {email} any more.")
    if crm_id not in match.candidates:
        raise DecisionError(f"Choose one of the contacts that have the address {email}.")
    waiting = [uuid.UUID(ticket_id) for ticket_id in match.tickets]
    match.crm_id, match.decided_at, match.decided_by, match.tickets = crm_id, now, by, []
    lanes.mark_due(session, waiting, now=now)
    for ticket_id in waiting:
        _log(session, ticket_id, "contact chosen", f"{crm_id} for {email}", by=by, why="", now=now)
    return len(waiting)


def recreate_case(session: Session, ticket_id: uuid.UUID, *, by: str, why: str, now: datetime) -> None:
    """Make a new Case, with all Notes, for a ticket whose Case was deleted or given up."""
    _need_reason(why)
    link = _link(session, ticket_id, now=now)
    if link.state not in {"case_deleted", "unlinked"}:
        raise DecisionError("This ticket has a Case: only a deleted one can be made anew.")
    add_order(session, ticket_id, do="recreate", by=by, why=why, now=now)
    _log(session, ticket_id, "new Case asked for", "in place of the one that is gone", by=by, why=why, now=now)


def relink_case(session: Session, ticket_id: uuid.UUID, case_id: str, *, by: str, why: str, now: datetime) -> None:
    """Link a ticket to a Case that is in the CRM already; where they differ the policies of the fields decide."""
    _need_reason(why)
    link = _link(session, ticket_id, now=now)
    if link.state in {"ticket_deleted", "redacted"}:
        raise DecisionError("This ticket was removed.")
    if not case_id.strip() or case_id == link.case_id:
        raise DecisionError("Name the id of another Case.")
    holder = session.scalar(
        select(Replica.number).join(Link, Link.ticket_id == Replica.ticket_id).where(Link.case_id == case_id.strip())
    )
    if holder is not None:
        raise DecisionError(f"That Case belongs to ticket #{holder}: end its mirroring first.")
    add_order(session, ticket_id, do="relink", value=case_id.strip(), by=by, why=why, now=now)
    _log(session, ticket_id, "other Case asked for", case_id.strip(), by=by, why=why, now=now)


def unlink_case(session: Session, ticket_id: uuid.UUID, *, by: str, why: str, now: datetime) -> None:
    """End the mirroring of a ticket; its Case stays as it is."""
    _need_reason(why)
    link = _link(session, ticket_id, now=now)
    if link.state in {"unlinked", "ticket_deleted", "redacted"}:
        raise DecisionError("This ticket is not mirrored any more.")
    add_order(session, ticket_id, do="unlink", by=by, why=why, now=now)
    words = f"Case {link.case_number or link.case_id or ''}".strip()
    _log(session, ticket_id, "mirroring ended", words, by=by, why=why, now=now)


def _want(
    session: Session,
    conflict: Conflict,
    value: str | None,
    *,
    by: str,
    now: datetime,
    why: str,
    over: tuple[str | None, str | None] | None,
) -> None:
    add_order(
        session,
        conflict.ticket_id,
        do="set",
        field=conflict.field,
        value=value,
        by=by,
        why=why,
        now=now,
        over=over,
        conflict=conflict.id,
    )


def _conflict(session: Session, conflict_id: int, *, now: datetime) -> Conflict:
    """As it is now; nobody else changes it until this transaction ends. Raises DecisionError."""
    conflict = session.get(Conflict, conflict_id)
    if conflict is None:
        raise DecisionError("There is no such conflict.")
    hold_link(session, conflict.ticket_id, now=now)
    session.refresh(conflict)
    return conflict


def _how_it_ended(conflict: Conflict) -> str:
    if conflict.state == "waiting":
        return "it waits for a choice"
    if conflict.state == "reversed":
        return f"{conflict.reversed_by} reversed it"
    if conflict.how == "withdrawn":
        return "both sides have come to agree"
    who = conflict.decided_by or "the field's policy"
    return f"{who} decided for the {'portal' if conflict.winner == 'portal' else 'CRM'}"


def _link(session: Session, ticket_id: uuid.UUID, *, now: datetime) -> Link:
    _need_ticket(session, ticket_id)
    return hold_link(session, ticket_id, now=now)


def _reply(session: Session, reply_id: uuid.UUID, *, now: datetime) -> ReplyReplica:
    row = session.get(ReplyReplica, reply_id)
    if row is None:
        raise DecisionError("There is no such reply.")
    hold_link(session, row.ticket_id, now=now)
    session.refresh(row)
    return row


def _need_hold(session: Session, ticket_id: uuid.UUID, field: str, kinds: set[str], *, now: datetime) -> None:
    hold: dict[str, Any] = _link(session, ticket_id, now=now).holds.get(field, {})
    if hold.get("kind") not in kinds:
        raise DecisionError(f"{field} is not {' or '.join(sorted(kinds))}.")


def _need_reason(why: str) -> None:
    if not why.strip():
        raise DecisionError("Say why: whoever looks at this ticket later will ask.")


def _need_field(field: str) -> None:
    if field not in DEFAULT_POLICIES:
        raise DecisionError(f"{field!r} is not mirrored.")


def _need_ticket(session: Session, ticket_id: uuid.UUID) -> TicketChanged:
    replica = session.get(Replica, ticket_id)
    if replica is None:
        raise DecisionError("There is no such ticket.")
    ticket = load(TicketChanged.type, replica.body)
    assert isinstance(ticket, TicketChanged)
    if ticket.deleted_at is not None:
        raise DecisionError("This ticket was removed.")
    return ticket


def _refuse_unknown(field: str, value: str | None) -> None:
    if value is not None and value.startswith(UNMAPPED):
        shown = value.removeprefix(UNMAPPED)
        raise DecisionError(f'The portal does not know the {field} "{shown}": choose the other value, or set one.')


def _log(session: Session, ticket_id: uuid.UUID, action: str, what: str, *, by: str, why: str, now: datetime) -> None:
    detail = f"{what}, asked for by {by}{f': {why}' if why else ''}"
    session.add(Activity(ticket_id=ticket_id, at=now, direction="person", action=action, detail=detail))
