"""Tickets that do not come through, grouped by cause: the dead letters that people see (SPEC O7)."""

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from crm_sync_service.console.advice import advice_for, cause_key, page_for
from crm_sync_service.console.figures import ON_PURPOSE, STOPPED
from crm_sync_service.models import Lane, Link, Replica, ReplyReplica

Kind = Literal["parked", "retrying", "differs", "case_deleted", "on_purpose"]
_UNKNOWN = "The last comparison found a difference and kept no reason"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One ticket that does not come through."""

    ticket_id: uuid.UUID
    number: int | None
    subject: str
    case_id: str | None
    case_number: str | None
    case_url: str | None
    kind: Kind
    cause: str
    """In the CRM's own words where it said any."""
    attempts: int
    since: datetime | None
    next_at: datetime | None
    """When it is tried again without anybody's help."""

    @property
    def may_retry(self) -> bool:
        """A deleted Case does not come back by asking again, and what people decided stays decided."""
        return self.kind not in ("case_deleted", "on_purpose")


@dataclass(frozen=True, kw_only=True)
class FailureGroup:
    """Failures of one cause."""

    key: str
    """Short and stable, for addresses."""
    cause: str
    advice: str
    failures: Sequence[Failure]

    @property
    def since(self) -> datetime | None:
        return min((failure.since for failure in self.failures if failure.since), default=None)

    @property
    def needs_person(self) -> bool:
        return any(failure.kind not in ("retrying", "on_purpose") for failure in self.failures)

    @property
    def page(self) -> str | None:
        """The endpoint where it is settled, if there is a page for it."""
        return page_for(self.cause)

    @property
    def may_retry(self) -> bool:
        return any(failure.may_retry for failure in self.failures)


def read_failures(session: Session) -> list[Failure]:
    """All of them, those without hope of mending themselves first, then the newest."""
    retrying = and_(Lane.attempts > 0, Lane.state.in_(("due", "running")))
    refused = select(func.min(ReplyReplica.parked)).where(ReplyReplica.ticket_id == Lane.ticket_id).scalar_subquery()
    rows = session.execute(
        select(
            Lane.ticket_id,
            Lane.state,
            Lane.cause,
            Lane.attempts,
            Lane.crashes,
            Lane.failed_at,
            Lane.due_at,
            Replica.number,
            Replica.body["subject"].as_string(),
            Link.state,
            Link.reason,
            Link.case_id,
            Link.case_number,
            Link.case_url,
            Link.compared_at,
            refused,
            ON_PURPOSE,
        )
        .join(Replica, Replica.ticket_id == Lane.ticket_id)
        .outerjoin(Link, Link.ticket_id == Lane.ticket_id)
        .where(or_(STOPPED, retrying))
        .order_by(Lane.state == "due", Lane.failed_at.desc(), Replica.number.desc())
    )
    return [
        Failure(
            ticket_id=row[0],
            number=row[7],
            subject=row[8],
            case_id=row[11],
            case_number=row[12],
            case_url=row[13],
            kind=_kind(row[1], row[9], on_purpose=bool(row[16])),
            cause=row[2] or _UNKNOWN if row[1] != "idle" else _difference(row[10], refused=row[15]),
            attempts=max(row[3] + (row[1] == "parked"), row[4]),
            since=row[5] if row[1] != "idle" else row[14],
            next_at=row[6] if row[1] == "due" else None,
        )
        for row in rows
    ]


def _difference(reason: str | None, *, refused: str | None) -> str:
    """Why a comparison did not end in sync, with the CRM's words about a refused Note."""
    words = reason or _UNKNOWN
    return f"{words}: {refused}" if refused and refused not in words else words


def _kind(lane_state: str, link_state: str | None, *, on_purpose: bool) -> Kind:
    if lane_state == "parked":
        return "parked"
    if lane_state != "idle":
        return "retrying"
    if link_state == "case_deleted":
        return "case_deleted"
    return "on_purpose" if on_purpose else "differs"


def group_failures(failures: Iterable[Failure]) -> list[FailureGroup]:
    """By cause; what needs a person first, then the largest."""
    by_cause: dict[str, list[Failure]] = {}
    for failure in failures:
        by_cause.setdefault(cause_key(failure.cause), []).append(failure)
    groups = [_group(cause, members) for cause, members in by_cause.items()]
    return sorted(groups, key=lambda group: (not group.needs_person, -len(group.failures)))


def _group(cause: str, members: Sequence[Failure]) -> FailureGroup:
    words = {member.cause for member in members}
    return FailureGroup(
        key=group_key(cause),
        cause=words.pop() if len(words) == 1 else cause,
        advice=advice_for(cause),
        failures=members,
    )


def group_key(cause: str) -> str:
    return hashlib.sha256(cause.encode()).hexdigest()[:16]
