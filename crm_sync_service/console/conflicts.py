"""The conflict inbox (SPEC O4): both values of each conflict, who wrote them, and what a choice does."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from crm_sync_service.console.fields import Names, label_of, sentence_label
from crm_sync_service.models import Conflict, Link, Replica

PAGE = 25
State = Literal["waiting", "decided", "reversed", "all"]
Side = Literal["portal", "crm"]
STATES: Mapping[State, str] = {"waiting": "Waiting", "decided": "Decided", "reversed": "Reversed", "all": "All"}
_POLICIES = {"portal": "the ticket wins", "crm": "the Case wins", "newest": "the newest change wins"}


@dataclass(frozen=True, kw_only=True)
class SideValue:
    """One side's value."""

    side: Side
    value: str
    """In words; empty if there is none."""
    by: str
    at: datetime
    won: bool
    consequence: str
    """What choosing it does."""


@dataclass(frozen=True, kw_only=True)
class ConflictLine:
    """One field that both sides changed."""

    id: int
    ticket_id: uuid.UUID
    number: int | None
    subject: str
    case_number: str | None
    case_url: str | None
    at: datetime
    field: str
    label: str
    base: str
    sides: Sequence[SideValue]
    state: str
    outcome: str
    """What was decided, by whom, and whether it is done; empty while it waits."""
    done: bool
    """Nothing of the decision is on its way any more."""
    why: str
    undo: str
    """What reversing does; empty if it cannot be reversed."""


@dataclass(frozen=True, kw_only=True)
class Inbox:
    """A page of conflicts."""

    state: State
    counts: Mapping[State, int]
    lines: Sequence[ConflictLine]
    more: int | None
    """The id to go on below."""


def read_inbox(session: Session, state: State, *, before: int | None) -> Inbox:
    """The newest first, PAGE at a time."""
    lines = _read(session, *_in_state(state), *([Conflict.id < before] if before else []), limit=PAGE)
    more = lines[-1].id if len(lines) == PAGE else None
    return Inbox(state=state, counts=count_states(session), lines=lines, more=more)


def read_conflict(session: Session, conflict_id: int) -> ConflictLine | None:
    return next(iter(_read(session, Conflict.id == conflict_id, limit=1)), None)


def conflicts_of(session: Session, ticket_id: uuid.UUID) -> list[ConflictLine]:
    """A ticket's newest."""
    return _read(session, Conflict.ticket_id == ticket_id, limit=PAGE)


def count_states(session: Session) -> dict[State, int]:
    rows = session.execute(select(Conflict.state, func.count()).group_by(Conflict.state))
    found = dict(rows.all())
    counts: dict[State, int] = {state: found.get(state, 0) for state in STATES}
    return {**counts, "all": sum(found.values())}


def _in_state(state: State) -> list[ColumnElement[bool]]:
    return [] if state == "all" else [Conflict.state == state]


def _read(session: Session, *conditions: ColumnElement[bool], limit: int) -> list[ConflictLine]:
    rows = session.execute(
        select(Conflict, Replica.number, Replica.body["subject"].as_string(), Link)
        .outerjoin(Replica, Replica.ticket_id == Conflict.ticket_id)
        .outerjoin(Link, Link.ticket_id == Conflict.ticket_id)
        .where(*conditions)
        .order_by(Conflict.id.desc())
        .limit(limit)
    ).all()
    names = Names(session)
    return [_line(row[0], row[1], row[2] or "", row[3], names) for row in rows]


def _line(row: Conflict, number: int | None, subject: str, link: Link | None, names: Names) -> ConflictLine:
    ours, theirs = names.of(row.field, row.ours), names.of(row.field, row.theirs)
    ticket = f"ticket #{number}" if number else "the ticket"
    case = f"Case {link.case_number}" if link and link.case_number else "the Case"
    done = not _on_its_way(row, link)
    return ConflictLine(
        id=row.id,
        ticket_id=row.ticket_id,
        number=number,
        subject=subject,
        case_number=link.case_number if link else None,
        case_url=link.case_url if link else None,
        at=row.at,
        field=row.field,
        label=sentence_label(row.field),
        base=names.of(row.field, row.base),
        sides=(
            SideValue(
                side="portal",
                value=ours,
                by=row.ours_by,
                at=row.ours_at,
                won=_winner(row) == "portal",
                consequence=f"{_first_up(case)} is changed to {_quoted(ours)}; the ticket keeps it.",
            ),
            SideValue(
                side="crm",
                value=theirs,
                by=row.theirs_by,
                at=row.theirs_at,
                won=_winner(row) == "crm",
                consequence=f"{_first_up(ticket)} is changed to {_quoted(theirs)}; the Case keeps it.",
            ),
        ),
        state=row.state,
        outcome=_outcome(row, done=done),
        done=done,
        why=row.why or "",
        undo=_undo(row, ours, theirs),
    )


def _winner(row: Conflict) -> str | None:
    """Whose value holds now."""
    if row.state == "reversed" and row.winner:
        return "portal" if row.winner == "crm" else "crm"
    return row.winner


def _on_its_way(row: Conflict, link: Link | None) -> bool:
    """The decision is not yet what both sides have."""
    if link is None or row.state == "waiting":
        return False
    wanted: dict[str, Any] = link.wanted.get(row.field) or {}
    asked = (order for order in link.orders if order["number"] > link.orders_done)
    return wanted.get("conflict") == row.id or any(order.get("conflict") == row.id for order in asked)


def _outcome(row: Conflict, *, done: bool) -> str:
    if row.state == "waiting":
        return ""
    if row.how == "withdrawn":
        return "Settled by itself: both sides came to have the same value while it waited."
    words = {"portal": "the ticket's value", "crm": "the Case's value"}.get(_winner(row) or "", "neither value")
    if row.state == "reversed":
        head = f"{row.reversed_by} reversed it: {words} counts"
    elif row.how == "person":
        head = f"{row.decided_by} chose {words}"
    else:
        head = f"Decided by the field's policy ({_POLICIES.get(row.policy, row.policy)}): {words} counts"
    return f"{head}." if done else f"{head}; on its way."


def _undo(row: Conflict, ours: str, theirs: str) -> str:
    if row.state != "decided" or row.winner is None:
        return ""
    lost = theirs if row.winner == "portal" else ours
    return f"Ticket and Case both get {_quoted(lost)} as {label_of(row.field)}. What lost now stays on record here."


def _quoted(value: str) -> str:
    return f"“{value}”" if value else "empty"


def _first_up(words: str) -> str:
    return words[:1].upper() + words[1:]
