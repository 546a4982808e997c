"""How fast it goes, each way and over three periods, and how much in the last hour."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from crm_sync_service.console.figures import PERIODS
from crm_sync_service.models import Activity, Link, Replica, inbox, outbox
from shared.clock import from_text

WINDOW = timedelta(hours=1)
_MOST = 5000


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How long one way took in one period; None where nothing went."""

    period: str
    """A key of PERIODS."""
    number: int
    p50: timedelta | None
    p95: timedelta | None
    p99: timedelta | None


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Events per minute, over the last hour."""

    portal_in: float
    """Events of the portal stored here."""
    crm_writes: float
    portal_out: float
    """Events to the portal that the broker confirmed."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Of the tickets filed in the last hour that have their Case. A backfill's are older, so they do not count."""

    cases: int
    p50: timedelta | None
    """Half of them had their Case within this time; None without any."""
    p95: timedelta | None
    writes: int
    """Creates, updates and Notes written to the CRM in the last hour."""
    told: int
    """Changes told to the portal."""
    echoes: int
    """Changes in the feed that were our own writes and went no further, ever."""
    to_crm: Sequence[Latency]
    """From a ticket's commit in the portal to its Case."""
    to_portal: Sequence[Latency]
    """From what was found in the CRM to the broker's confirmation."""
    rates: Rates


def read_speed(session: Session, *, now: datetime) -> Speed:
    spans = _spans(session, now=now)
    writes = _count(session, ("created", "updated", "noted"), now=now)
    return Speed(
        cases=len(spans),
        p50=percentile(spans, 50),
        p95=percentile(spans, 95),
        writes=writes,
        to_crm=[_latency(period, _spans(session, now=now, span=span)) for period, span in PERIODS.items()],
        to_portal=[_latency(period, _sent(session, now=now, span=span)) for period, span in PERIODS.items()],
        rates=_rates(session, writes, now=now),
        told=_count(session, ("pulled",), now=now),
        echoes=session.scalar(select(func.coalesce(func.sum(Link.echoes), 0))) or 0,
    )


def _latency(period: str, spans: Sequence[timedelta]) -> Latency:
    p50, p95, p99 = (percentile(spans, percent) for percent in (50, 95, 99))
    return Latency(period=period, number=len(spans), p50=p50, p95=p95, p99=p99)


def _sent(session: Session, *, now: datetime, span: timedelta) -> list[timedelta]:
    """From an event's commit here to its confirmation, sorted; of the newest."""
    table = outbox.table
    rows = session.execute(
        select(table.c.created_at, table.c.sent_at)
        .where(table.c.sent_at > now - span)
        .order_by(table.c.position.desc())
        .limit(_MOST)
    )
    return sorted(max(sent - created, timedelta()) for created, sent in rows)


def _rates(session: Session, writes: int, *, now: datetime) -> Rates:
    minutes = WINDOW.total_seconds() / 60
    seen, sent = inbox.seen.c.received_at, outbox.table.c.sent_at
    received = session.scalar(select(func.count()).where(seen > now - WINDOW)) or 0
    told = session.scalar(select(func.count()).where(sent > now - WINDOW)) or 0
    return Rates(portal_in=received / minutes, crm_writes=writes / minutes, portal_out=told / minutes)


def _spans(session: Session, *, now: datetime, span: timedelta = WINDOW) -> list[timedelta]:
    """From commit in the portal to the Case, sorted. The clocks of two machines may disagree a little."""
    rows = session.execute(
        select(Activity.at, Replica.body["created_at"].as_string())
        .join(Replica, Replica.ticket_id == Activity.ticket_id)
        .where(Activity.at > now - span, Activity.action == "created")
        .order_by(Activity.at.desc())
        .limit(_MOST)
    )
    filed = [(at, from_text(text)) for at, text in rows]
    return sorted(max(at - created, timedelta()) for at, created in filed if created > now - span)


def percentile(spans: Sequence[timedelta], percent: int) -> timedelta | None:
    """The smallest value that `percent` of them do not exceed; None of none."""
    return spans[-(-len(spans) * percent // 100) - 1] if spans else None


def _count(session: Session, actions: Sequence[str], *, now: datetime) -> int:
    statement = select(func.count()).where(Activity.at > now - WINDOW, Activity.action.in_(actions))
    return session.scalar(statement) or 0
