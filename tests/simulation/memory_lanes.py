"""crm_sync_service.lanes in memory: the same functions with the same arguments."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from crm_sync_service.lanes import LEASE, MAX_CRASHES, Claim, LaneLostError


@dataclass(kw_only=True)
class Lane:
    ticket_id: uuid.UUID
    due_at: datetime
    state: str = "due"
    requests: int = 1
    fence: int = 0
    attempts: int = 0
    crashes: int = 0
    lease_until: datetime | None = None
    cause: str | None = None


class Session(Protocol):
    """Where the lanes are."""

    lanes: dict[uuid.UUID, Lane]


def mark_due(session: Session, ticket_ids: Collection[uuid.UUID], *, now: datetime, priority: int = 0) -> None:
    for ticket_id in ticket_ids:
        lane = session.lanes.get(ticket_id)
        if lane is None:
            session.lanes[ticket_id] = Lane(ticket_id=ticket_id, due_at=now)
            continue
        lane.requests += 1
        if lane.state == "idle":
            lane.state, lane.due_at = "due", now
        elif lane.state == "due" and lane.attempts == 0 and lane.due_at > now:
            lane.due_at = now


def mark_each_due(session: Session, priorities: Mapping[uuid.UUID, int], *, now: datetime) -> None:
    mark_due(session, list(priorities), now=now)


def any_due(session: Session, *, now: datetime) -> bool:
    return any(_is_free(lane, now) for lane in session.lanes.values())


def claim(session: Session, *, owner: str, now: datetime, limit: int, scarce: bool = False) -> list[Claim]:
    free = sorted((lane for lane in session.lanes.values() if _is_free(lane, now)), key=lambda lane: lane.due_at)
    return [held for lane in free[:limit] if (held := _claim(lane, now))]


def renew(session: Session, claims: Sequence[Claim], *, now: datetime) -> None:
    for held in claims:
        lane = session.lanes[held.ticket_id]
        if _is_held(lane, held):
            lane.lease_until = now + LEASE


def finish(session: Session, held: Claim, *, now: datetime, again_at: datetime | None) -> None:
    lane = check_fence(session, held, now=now)
    more = lane.requests != held.requests
    lane.state = "due" if more or again_at else "idle"
    lane.due_at = now if more or again_at is None else again_at
    lane.attempts, lane.crashes, lane.cause = 0, 0, None


def give_back(session: Session, held: Claim, *, now: datetime, cause: str | None = None) -> None:
    lane = check_fence(session, held, now=now)
    lane.state, lane.due_at, lane.cause = "due", now, cause


def fail(session: Session, held: Claim, *, cause: str, retry_at: datetime, now: datetime) -> None:
    lane = check_fence(session, held, now=now)
    lane.state, lane.due_at, lane.cause = "due", retry_at, cause
    lane.attempts, lane.crashes = held.attempts + 1, 0


def park(session: Session, held: Claim, *, cause: str, now: datetime) -> None:
    lane = check_fence(session, held, now=now)
    lane.state, lane.cause = "parked", cause


def retry(session: Session, ticket_ids: Collection[uuid.UUID], *, now: datetime) -> None:
    for ticket_id in ticket_ids:
        lane = session.lanes[ticket_id]
        if lane.state == "parked" or (lane.attempts > 0 and lane.state != "running"):
            lane.state, lane.due_at, lane.attempts, lane.crashes = "due", now, 0, 0


def _is_free(lane: Lane, now: datetime) -> bool:
    if lane.state == "due":
        return lane.due_at <= now
    return lane.state == "running" and lane.lease_until is not None and lane.lease_until < now


def _claim(lane: Lane, now: datetime) -> Claim | None:
    if lane.state == "running":
        lane.crashes += 1
    if lane.crashes >= MAX_CRASHES:
        lane.state, lane.cause = "parked", f"{lane.crashes} workers died while they handled this ticket"
        return None
    lane.state, lane.lease_until, lane.fence = "running", now + LEASE, lane.fence + 1
    return Claim(
        ticket_id=lane.ticket_id,
        fence=lane.fence,
        requests=lane.requests,
        attempts=lane.attempts,
        crashes=lane.crashes,
    )


def _is_held(lane: Lane, held: Claim) -> bool:
    return lane.state == "running" and lane.fence == held.fence


def check_fence(session: Session, held: Claim, *, now: datetime) -> Lane:
    """Raises LaneLostError."""
    lane = session.lanes[held.ticket_id]
    if not _is_held(lane, held):
        raise LaneLostError("another worker took this ticket over")
    lane.lease_until = now + LEASE
    return lane
