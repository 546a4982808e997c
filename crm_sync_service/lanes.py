"""Lanes: which tickets have work, who works on them, and what happens when that fails or dies.

A claim is a lease with a fence: a worker that lost its lease can no longer write (FAILURES 3, 57, 58).
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Select, and_, case, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from crm_sync_service.models import Lane

LEASE = timedelta(seconds=10)
MAX_CRASHES = 5
_LANE: Any = Lane.__table__
TAKEN_OVER = "another worker took this ticket over"


class Priority(IntEnum):
    """What goes first when calls to the CRM are scarce; background work waits for all else at any time."""

    CREATE = 0
    REPLY = 1
    CHANGE = 2
    PULL = 3
    BACKGROUND = 9


class LaneLostError(Exception):
    """Another worker took the lane over; nothing of this transaction may stay."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to work on a ticket until the lease ends."""

    ticket_id: uuid.UUID
    fence: int
    requests: int
    attempts: int
    crashes: int
    priority: int = Priority.CHANGE


def mark_due(
    session: Session, ticket_ids: Collection[uuid.UUID], *, now: datetime, priority: Priority = Priority.CHANGE
) -> None:
    """Say that these tickets may have work. Parked lanes stay parked; a running one is looked at once more."""
    mark_each_due(session, dict.fromkeys(ticket_ids, priority), now=now)


def mark_each_due(session: Session, priorities: Mapping[uuid.UUID, Priority], *, now: datetime) -> None:
    """The same with a priority for each ticket; all who hold several lanes take them in one order."""
    if priorities:
        blank = {
            "state": "due",
            "due_at": now,
            "due_since": now,
            "requests": 1,
            "fence": 0,
            "attempts": 0,
            "crashes": 0,
        }
        rows = [{"ticket_id": i, **blank, "priority": priorities[i]} for i in sorted(priorities, key=str)]
        session.execute(_marking(session.get_bind().dialect.name), rows)


@cache
def _marking(dialect: str) -> Any:
    """Makes a lane due, or marks that there is more to do for one that is."""
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(_LANE)
    new = insert.excluded
    idle = _LANE.c.state == "idle"
    # What waits for the portal's answer need not wait longer; what failed keeps its pause.
    waits_for_answer = and_(_LANE.c.state == "due", _LANE.c.attempts == 0, _LANE.c.due_at > new.due_at)
    return insert.on_conflict_do_update(
        index_elements=["ticket_id"],
        set_={
            "requests": _LANE.c.requests + 1,
            "priority": case((or_(idle, _LANE.c.priority > new.priority), new.priority), else_=_LANE.c.priority),
            "state": case((idle, "due"), else_=_LANE.c.state),
            "due_at": case((or_(idle, waits_for_answer), new.due_at), else_=_LANE.c.due_at),
            "due_since": case((idle, new.due_since), else_=_LANE.c.due_since),
        },
    )


def any_due(session: Session, *, now: datetime) -> bool:
    """Whether a claim would find anything; asked first, as it takes no write lock."""
    return session.scalar(select(_LANE.c.ticket_id).where(_free(now)).limit(1)) is not None


def _free(now: datetime) -> ColumnElement[bool]:
    return or_(
        and_(_LANE.c.state == "due", _LANE.c.due_at <= now),
        and_(_LANE.c.state == "running", _LANE.c.lease_until < now),
    )


def claim(session: Session, *, owner: str, now: datetime, limit: int, scarce: bool = False) -> list[Claim]:
    """Due lanes, longest waiting first, and those whose worker died; background work after all else.

    `scarce`: calls to the CRM are limited, so new Cases go before replies, and those before changes.
    """
    first = _LANE.c.priority if scarce else case((_LANE.c.priority >= Priority.BACKGROUND, 1), else_=0)
    columns = (
        _LANE.c.ticket_id,
        _LANE.c.fence,
        _LANE.c.requests,
        _LANE.c.attempts,
        _LANE.c.crashes,
        _LANE.c.priority,
        _LANE.c.state,
    )
    query = select(*columns).where(_free(now)).order_by(first, _LANE.c.due_at).limit(limit)
    rows = session.execute(query.with_for_update(skip_locked=True)).all()
    found = [(row, row.crashes + (row.state == "running")) for row in rows]
    deadly = {row.ticket_id: crashes for row, crashes in found if crashes >= MAX_CRASHES}
    for ticket_id, crashes in deadly.items():
        parked = _parked(f"{crashes} workers died while they handled this ticket", now=now)
        session.execute(_lanes([ticket_id]).values(crashes=crashes, **parked))
    claims = [_claim(row, crashes) for row, crashes in found if row.ticket_id not in deadly]
    if claims:
        session.execute(
            _lanes([held.ticket_id for held in claims]).values(
                crashes=case((_LANE.c.state == "running", _LANE.c.crashes + 1), else_=_LANE.c.crashes),
                state="running",
                owner=owner,
                lease_until=now + LEASE,
                fence=_LANE.c.fence + 1,
            )
        )
    return claims


def _claim(row: Any, crashes: int) -> Claim:
    return Claim(
        ticket_id=row.ticket_id,
        fence=row.fence + 1,
        requests=row.requests,
        attempts=row.attempts,
        crashes=crashes,
        priority=row.priority,
    )


def hold(session: Session, ticket_ids: Collection[uuid.UUID]) -> None:
    """Keep everybody else from these lanes until this transaction ends; in one order, so that nobody waits for ever."""
    if ticket_ids:
        session.execute(_in_order(_LANE.c.ticket_id, ticket_ids=ticket_ids))


def held_among(session: Session, claims: Collection[Claim]) -> dict[Claim, bool]:
    """The claims that are not lost, bound to this transaction; True: more came in since the lane was claimed."""
    query = _in_order(
        _LANE.c.ticket_id, _LANE.c.fence, _LANE.c.requests, ticket_ids=[held.ticket_id for held in claims]
    )
    rows = session.execute(query.where(_LANE.c.state == "running"))
    requests = {(row.ticket_id, row.fence): row.requests for row in rows}
    return {
        held: requests[held.ticket_id, held.fence] != held.requests
        for held in claims
        if (held.ticket_id, held.fence) in requests
    }


def renew(session: Session, claims: Collection[Claim], *, now: datetime) -> None:
    """Hold these lanes for another lease; those already lost stay lost."""
    extend(session, held_among(session, claims), now=now)


def extend(session: Session, held: Collection[Claim], *, now: datetime) -> None:
    """Begin the lease anew of claims that `held_among` gave."""
    if held:
        session.execute(_lanes([each.ticket_id for each in held]).values(lease_until=now + LEASE))


def check_fence(session: Session, held: Claim, *, now: datetime) -> None:
    """Bind this transaction to the claim, whose lease begins anew: what it intends it has time to do.

    Raises LaneLostError.
    """
    _one_row(session.execute(_mine(held).values(lease_until=now + LEASE)))


def finish(session: Session, held: Claim, *, now: datetime, again_at: datetime | None) -> None:
    """The run went well; the lane rests until something new, `again_at`, or what came in meanwhile.

    Raises LaneLostError.
    """
    mine = held_among(session, [held])
    if not mine:
        raise LaneLostError(TAKEN_OVER)
    finish_each(session, {held: again_at}, mine, now=now)


def finish_each(
    session: Session, ends: Mapping[Claim, datetime | None], held: Mapping[Claim, bool], *, now: datetime
) -> None:
    """The same for many claims, each with its `again_at`, all of which `held_among` gave."""
    together: dict[datetime | None, list[uuid.UUID]] = defaultdict(list)
    for claim_, again_at in ends.items():
        together[now if held[claim_] else again_at].append(claim_.ticket_id)
    for due_at, ticket_ids in together.items():
        session.execute(
            _lanes(ticket_ids).values(
                state="idle" if due_at is None else "due",
                due_at=due_at or _LANE.c.due_at,
                owner=None,
                lease_until=None,
                attempts=0,
                crashes=0,
                cause=None,
                failed_at=None,
                due_since=now,
            )
        )


def give_back(session: Session, held: Claim, *, now: datetime, cause: str | None = None) -> None:
    """Nothing was done and nobody is to blame (the CRM is paused): due again at `now`. Raises LaneLostError."""
    _one_row(session.execute(_mine(held).values(state="due", due_at=now, owner=None, lease_until=None, cause=cause)))


def fail(session: Session, held: Claim, *, cause: str, retry_at: datetime, now: datetime) -> None:
    """The run failed; it is tried again at `retry_at`. Raises LaneLostError: then the new owner tells how it is."""
    _one_row(
        session.execute(
            _mine(held).values(
                state="due",
                due_at=retry_at,
                owner=None,
                lease_until=None,
                attempts=held.attempts + 1,
                crashes=0,
                cause=cause,
                failed_at=now,
            )
        )
    )


def park(session: Session, held: Claim, *, cause: str, now: datetime) -> None:
    """The run failed for good; the lane waits for a person. Raises LaneLostError."""
    _one_row(session.execute(_mine(held).values(**_parked(cause, now=now))))


def retry(session: Session, ticket_ids: Collection[uuid.UUID], *, now: datetime) -> int:
    """A person asks for another try of parked or waiting lanes; returns how many there were."""
    result = session.execute(
        update(Lane)
        .where(Lane.ticket_id.in_(ticket_ids), or_(Lane.state == "parked", Lane.attempts > 0), Lane.state != "running")
        .values(state="due", due_at=now, attempts=0, crashes=0, requests=Lane.requests + 1)
    )
    return _rows(result)


def depth(session: Session) -> dict[str, int]:
    """How many lanes are in each state."""
    rows = session.execute(select(Lane.state, func.count()).group_by(Lane.state))
    return dict(rows.all())


def _parked(cause: str, *, now: datetime) -> dict[str, Any]:
    return {"state": "parked", "cause": cause, "failed_at": now, "owner": None, "lease_until": None}


def _in_order(*columns: Any, ticket_ids: Collection[uuid.UUID]) -> Select[Any]:
    return select(*columns).where(_LANE.c.ticket_id.in_(ticket_ids)).order_by(_LANE.c.ticket_id).with_for_update()


def _lanes(ticket_ids: Collection[uuid.UUID]) -> Any:
    return update(_LANE).where(_LANE.c.ticket_id.in_(ticket_ids))


def _mine(held: Claim) -> Any:
    mine = _lanes([held.ticket_id])
    return mine.where(_LANE.c.fence == held.fence, _LANE.c.state == "running")


def _one_row(result: Any) -> None:
    if _rows(result) != 1:
        raise LaneLostError(TAKEN_OVER)


def _rows(result: Any) -> int:
    assert isinstance(result, CursorResult)
    return int(result.rowcount)
