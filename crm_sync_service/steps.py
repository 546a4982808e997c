"""Steps of lanes: what each wants to be durable before it goes on, written for many lanes in one transaction.

A lane that was lost fails alone; the others go on. If the database refuses the group, each step is tried by itself, so
that a ticket which cannot be stored is the only one to fail.
"""

import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import Any, cast

from sqlalchemy import Table, bindparam, func, insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from crm_sync_service import lanes
from crm_sync_service.fibres import Commit
from crm_sync_service.lanes import TAKEN_OVER, Claim, LaneLostError
from crm_sync_service.links import Did, LinkState, Outcome
from crm_sync_service.models import Activity, Link, ReplyReplica, outbox
from crm_sync_service.stored import columns_of, receipt_of, waiting_decisions
from shared.database import Database
from shared.events import Event

_LINK, _REPLY, _ACTIVITY = (cast("Table", model.__table__) for model in (Link, ReplyReplica, Activity))
_NOTED = (
    update(_REPLY)
    .where(_REPLY.c.reply_id == bindparam("reply"))
    .values({name: bindparam(name) for name in ("note_id", "parked", "pending")})
)
_ADDED = insert(_ACTIVITY)
_COMPARED = (
    update(_LINK)
    .where(_LINK.c.ticket_id == bindparam("ticket"))
    .values(
        {name: bindparam(name) for name in ("receipt_number", "in_sync", "reason", "compared_version", "compared_at")}
    )
)


@dataclass(frozen=True, kw_only=True)
class NoteStep:
    """What is known of a reply's Note from now on."""

    reply_id: uuid.UUID
    note_id: str | None = None
    parked: str | None = None
    pending: bool = False


@dataclass(frozen=True, kw_only=True)
class End:
    """The end of a run, with the receipt for the portal."""

    outcome: Outcome
    version: int
    """Of the ticket that was compared."""
    receipt: int
    """Its number."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """All that one lane commits at once."""

    held: Claim
    link: LinkState | None = None
    note: NoteStep | None = None
    did: Sequence[Did] = ()
    events: Sequence[Event] = ()
    also: Callable[[Session], None] | None = None
    """What is too rare to be written together."""
    end: End | None = None
    """None: the lane runs on, its lease begins anew. Without `link` its link is stored already as it is at the end."""


def group_commit(database: Database, now: Callable[[], datetime]) -> Commit[Step]:
    """How the steps of many lanes are stored; what kept each from it: LaneLostError, or what the database raises."""
    return lambda steps: _commit(database, steps, now)


def _commit(database: Database, steps: Sequence[Step], now: Callable[[], datetime]) -> Sequence[Exception | None]:
    try:
        with database.write() as session:
            held = _write(session, steps, now=now())
    except Exception as error:  # noqa: BLE001 (each lane meets its own)
        if len(steps) == 1 or isinstance(error, OperationalError):
            return [error] * len(steps)
        return [error for step in steps for error in _commit(database, [step], now)]
    return [None if step.held in held else LaneLostError(TAKEN_OVER) for step in steps]


def _write(session: Session, steps: Sequence[Step], *, now: datetime) -> Collection[Claim]:
    """Returns the claims that are not lost: only their steps are written."""
    held = lanes.held_among(session, [step.held for step in steps])
    mine = [step for step in steps if step.held in held]
    lanes.extend(session, [step.held for step in mine if step.end is None], now=now)
    ends = {step.held: step.end.outcome.again_at for step in mine if step.end is not None}
    lanes.finish_each(session, ends, held, now=now)
    _write_links(session, mine, now=now)
    _write_notes(session, [step.note for step in mine if step.note is not None])
    _add_activities(session, mine, now=now)
    for step in mine:
        if step.also is not None:
            step.also(session)
    events = [event for step in mine for event in step.events]
    outbox.add_all(session, [*events, *_receipts(session, mine, now=now)], now=now)
    return held


def _write_links(session: Session, steps: Sequence[Step], *, now: datetime) -> None:
    running = [_link_row(step) for step in steps if step.link is not None and step.end is None]
    ended = [_link_row(step) | _compared(step.end, now) for step in steps if step.link is not None and step.end]
    for rows in filter(None, (running, ended)):
        _upsert(session, rows)
    unchanged = [step.end for step in steps if step.link is None and step.end is not None]
    if unchanged:
        rows = [{"ticket": end.outcome.link.ticket_id, **_compared(end, now)} for end in unchanged]
        session.execute(_COMPARED, rows)
    for step in steps:
        if step.link is not None and any(order.number <= step.link.orders_done for order in step.link.orders):
            _forget_orders(session, step.link)


def _link_row(step: Step) -> dict[str, Any]:
    assert step.link is not None
    return {"ticket_id": step.link.ticket_id, **columns_of(step.link)}


def _compared(end: End, now: datetime) -> dict[str, Any]:
    return {
        "receipt_number": end.receipt,
        "in_sync": end.outcome.state == "in_sync",
        "reason": end.outcome.reason,
        "compared_version": end.version,
        "compared_at": now,
    }


def _upsert(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    blank = {"receipt_number": 0, "in_sync": False, "orders": [], "notes_told": 0}
    statement = _upserting(session.get_bind().dialect.name, frozenset(rows[0]))
    session.execute(statement, [blank | row for row in rows])


@cache
def _upserting(dialect: str, columns: frozenset[str]) -> Any:
    """Makes links, or changes these columns of them."""
    statement = (postgresql if dialect == "postgresql" else sqlite).insert(_LINK)
    changed = {name: statement.excluded[name] for name in columns - {"ticket_id", "echo"}}
    # The stamp of our last write stays until the feed has shown it.
    changed["echo"] = func.coalesce(statement.excluded.echo, _LINK.c.echo)
    return statement.on_conflict_do_update(index_elements=["ticket_id"], set_=changed)


def _forget_orders(session: Session, link: LinkState) -> None:
    """Those that were carried out; what people ask for meanwhile stays."""
    row = session.get_one(Link, link.ticket_id, populate_existing=True)
    row.orders = [order for order in row.orders if order["number"] > link.orders_done]


def _write_notes(session: Session, notes: Sequence[NoteStep]) -> None:
    if notes:
        rows = [{"reply": n.reply_id, "note_id": n.note_id, "parked": n.parked, "pending": n.pending} for n in notes]
        session.execute(_NOTED, rows)


def _add_activities(session: Session, steps: Sequence[Step], *, now: datetime) -> None:
    rows = [
        {"ticket_id": step.held.ticket_id, "at": now, "attempt": step.held.attempts + 1, **asdict(did)}
        for step in steps
        for did in step.did
    ]
    if rows:
        session.execute(_ADDED, rows)


def _receipts(session: Session, steps: Sequence[Step], *, now: datetime) -> Sequence[Event]:
    ends = [(step.end, step.end.outcome) for step in steps if step.end is not None]
    if not ends:
        return []
    waiting = waiting_decisions(session, [outcome.link.ticket_id for _, outcome in ends])
    return [
        receipt_of(
            outcome.link,
            number=end.receipt,
            state=outcome.state,
            version=end.version,
            notes=outcome.notes,
            reason=outcome.reason,
            at=now,
            waiting=waiting.get(outcome.link.ticket_id, 0),
        )
        for end, outcome in ends
    ]
