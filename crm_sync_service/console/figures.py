"""What the sync service's own database says about the synchronisation, counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, false, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from crm_sync_service.mapping_change import LAST as LAST_MAPPING
from crm_sync_service.models import (
    Activity,
    Conflict,
    ContactMatch,
    CrmState,
    Cursor,
    Lane,
    Link,
    Replica,
    WorkerPulse,
    inbox,
    outbox,
)

PERIODS: Mapping[str, timedelta] = {"1 h": timedelta(hours=1), "24 h": timedelta(hours=24), "7 d": timedelta(days=7)}

IS_IN_SYNC = and_(Lane.state == "idle", Link.in_sync, Link.compared_version == Replica.version)
"""Said by the last comparison, of the newest version, with nothing that came after it."""
CASE_DELETED = and_(Lane.state == "idle", Link.state == "case_deleted")
NOT_MIRRORED = and_(Lane.state == "idle", func.coalesce(Link.in_sync, false()).is_(False))
UNLINKED = and_(Lane.state == "idle", Link.state == "unlinked")
"""Somebody ended the mirroring on purpose."""
_LEFT_OUT = ("% is left out, as %", "reply % becomes no Note: %", "% in the CRM only, as % decided")
ON_PURPOSE = and_(~Link.reason.contains("; "), or_(*(Link.reason.like(words) for words in _LEFT_OUT)))
"""The only difference is one that a person decided on."""
STOPPED = or_(Lane.state == "parked", and_(NOT_MIRRORED, func.coalesce(Link.state, "new") != "unlinked"))
"""Nothing is under way, and ticket and Case do not agree."""
AMBIGUOUS = and_(ContactMatch.crm_id.is_(None), ContactMatch.claimed_by.is_(None))
"""A contact that is being made is claimed; only a person ends the others."""
_DECIDED = or_(Link.state.in_(("case_deleted", "unlinked")), ON_PURPOSE)
NEEDS_PERSON = or_(Lane.state == "parked", and_(NOT_MIRRORED, func.coalesce(_DECIDED, false()).is_(False)))


@dataclass(frozen=True, kw_only=True)
class WorkerLine:
    """A sync worker process that has not been silent for a day."""

    owner: str
    started_at: datetime
    seen_at: datetime


@dataclass(frozen=True, kw_only=True)
class FeedLine:
    """How far a change feed of the CRM has been read."""

    feed: str
    stamp: str
    polled_at: datetime


@dataclass(frozen=True, kw_only=True)
class CrmLine:
    """How a CRM is, as the workers found it."""

    crm: str
    state: str
    since: datetime
    until: datetime | None
    reason: str | None
    stopped_by: str | None = None
    """The person who paused it."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One moment's counts."""

    tickets: int
    in_sync: int
    waiting: int
    """Tickets with work that is due, running, or tried again later."""
    retrying: int
    """Those of them whose last try failed."""
    oldest_waiting: datetime | None
    need_person: int
    cases_deleted: int
    """Tickets whose Case is gone: nobody can do anything, but somebody should know."""
    running: int
    parked: int
    outbox_unsent: int
    outbox_oldest: datetime | None
    unreadable: int
    unreadable_oldest: datetime | None
    conflicts_day: int
    conflicts_waiting: int = 0
    contacts_waiting: int = 0
    """Addresses that several contacts share, so that a person must choose."""
    unlinked: int = 0
    """Tickets that are not mirrored, on purpose."""
    on_purpose: int = 0
    """Tickets whose only difference is one that a person decided on."""
    held: int = 0
    """Tickets of which something is left alone on purpose."""
    last_compared: datetime | None
    crms: Sequence[CrmLine]
    workers: Sequence[WorkerLine]
    feeds: Sequence[FeedLine]


def read_figures(session: Session, *, now: datetime) -> Figures:
    tickets, in_sync, need_person, cases_deleted, unlinked, on_purpose, last_compared = session.execute(
        select(
            func.count(),
            _count(IS_IN_SYNC),
            _count(NEEDS_PERSON),
            _count(CASE_DELETED),
            _count(UNLINKED),
            _count(and_(NOT_MIRRORED, ON_PURPOSE)),
            func.max(Link.compared_at),
        )
        .select_from(Replica)
        .outerjoin(Lane, Lane.ticket_id == Replica.ticket_id)
        .outerjoin(Link, Link.ticket_id == Replica.ticket_id)
    ).one()
    waits = Lane.state.in_(("due", "running"))
    waiting, retrying, oldest_waiting, running, parked = session.execute(
        select(
            _count(waits),
            _count(and_(waits, Lane.attempts > 0)),
            func.min(case((waits, Lane.due_since))),
            _count(Lane.state == "running"),
            _count(Lane.state == "parked"),
        )
    ).one()
    unsent, unsent_oldest = outbox.waiting(session)
    return Figures(
        tickets=tickets,
        in_sync=in_sync,
        need_person=need_person,
        cases_deleted=cases_deleted,
        unlinked=unlinked,
        on_purpose=on_purpose,
        waiting=waiting,
        retrying=retrying,
        oldest_waiting=oldest_waiting,
        running=running,
        parked=parked,
        outbox_unsent=unsent,
        outbox_oldest=unsent_oldest,
        unreadable=inbox.unreadable_count(session),
        unreadable_oldest=session.scalar(select(func.min(inbox.unreadable.c.received_at))),
        conflicts_day=session.scalar(
            select(func.count()).select_from(Conflict).where(Conflict.at > now - timedelta(days=1))
        )
        or 0,
        conflicts_waiting=_rows(session, Conflict.state == "waiting"),
        contacts_waiting=_rows(session, AMBIGUOUS),
        held=_rows(session, Link.held),
        last_compared=last_compared,
        crms=_crms(session),
        workers=_workers(session, now=now),
        feeds=_feeds(session),
    )


def _rows(session: Session, condition: ColumnElement[bool] | InstrumentedAttribute[bool]) -> int:
    return session.scalar(select(func.count()).where(condition)) or 0


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _crms(session: Session) -> list[CrmLine]:
    return [
        CrmLine(
            crm=row.crm,
            state=row.state,
            since=row.since,
            until=row.until,
            reason=row.reason,
            stopped_by=row.stopped_by,
        )
        for row in session.scalars(select(CrmState).order_by(CrmState.crm))
    ]


def _workers(session: Session, *, now: datetime) -> list[WorkerLine]:
    rows = session.scalars(select(WorkerPulse).order_by(WorkerPulse.seen_at.desc())).all()
    newest = rows[:1]
    recent = [row for row in rows[1:] if now - row.seen_at < timedelta(days=1)]
    return [WorkerLine(owner=r.owner, started_at=r.started_at, seen_at=r.seen_at) for r in [*newest, *recent]]


def _feeds(session: Session) -> list[FeedLine]:
    return [
        FeedLine(feed=row.feed, stamp=row.stamp, polled_at=row.polled_at)
        for row in session.scalars(select(Cursor).where(Cursor.feed != LAST_MAPPING).order_by(Cursor.feed))
    ]


def read_activity(session: Session, *, now: datetime) -> dict[str, dict[str, int]]:
    """How often each thing was done, by action and period of PERIODS."""
    starts = {name: now - span for name, span in PERIODS.items()}
    rows = session.execute(
        select(Activity.action, *(_count(Activity.at > start) for start in starts.values()))
        .where(Activity.at > min(starts.values()))
        .group_by(Activity.action)
        .order_by(Activity.action)
    )
    return {row[0]: dict(zip(starts, row[1:], strict=True)) for row in rows}
