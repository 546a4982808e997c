"""What the console and the metrics show of the running of the sync: sweeps, alarms, budget, circuits, backfill."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from crm_sync_service.alarms import alarms
from crm_sync_service.lanes import Priority
from crm_sync_service.models import Lane
from crm_sync_service.operation_models import Alarm, Backfill, CallCount, Circuit, DriftRun, Installation
from shared.metrics import Gauge, timestamp_gauge

MINUTE = "%Y-%m-%dT%H:%M"
DAY = "%Y-%m-%d"


@dataclass(frozen=True, kw_only=True)
class BudgetFigures:
    """How many calls a CRM was sent."""

    crm: str
    this_minute: int
    last_minute: int
    today: int
    yesterday: int


@dataclass(frozen=True, kw_only=True)
class BackfillFigures:
    """How far the backfill is."""

    state: str
    rate: int
    """Tickets per minute."""
    total: int
    looked_at: int
    handed_over: int
    waiting: int
    """Background lanes still to be worked on."""
    started_at: datetime
    finished_at: datetime | None
    eta: datetime | None
    """None while it rests or is done."""


@dataclass(frozen=True, kw_only=True)
class Operations:
    """All of it at one moment."""

    alarms: Sequence[Alarm]
    runs: Sequence[DriftRun]
    """The newest first; see `DriftRun` for what each says."""
    circuits: Sequence[Circuit]
    budgets: Sequence[BudgetFigures]
    backfill: BackfillFigures | None
    installations: Sequence[Installation]


def read_operations(session: Session, *, now: datetime, runs: int = 30) -> Operations:
    return Operations(
        alarms=alarms(session),
        runs=drift_runs(session, limit=runs),
        circuits=session.scalars(select(Circuit).order_by(Circuit.crm, Circuit.capability)).all(),
        budgets=budgets(session, now=now),
        backfill=backfill_figures(session, now=now),
        installations=session.scalars(select(Installation).order_by(Installation.crm)).all(),
    )


def drift_runs(session: Session, *, limit: int = 30) -> Sequence[DriftRun]:
    """The newest first."""
    return session.scalars(select(DriftRun).order_by(DriftRun.id.desc()).limit(limit)).all()


def last_finished_run(session: Session) -> DriftRun | None:
    query = select(DriftRun).where(DriftRun.finished_at.is_not(None)).order_by(DriftRun.id.desc())
    return session.scalars(query.limit(1)).first()


def budgets(session: Session, *, now: datetime) -> Sequence[BudgetFigures]:
    periods = {
        "this_minute": now.strftime(MINUTE),
        "last_minute": (now - timedelta(minutes=1)).strftime(MINUTE),
        "today": now.strftime(DAY),
        "yesterday": (now - timedelta(days=1)).strftime(DAY),
    }
    rows = session.scalars(select(CallCount).where(CallCount.period.in_(periods.values()))).all()
    calls: dict[str, dict[str, int]] = {}
    for row in rows:
        calls.setdefault(row.crm, {})[row.period] = row.calls
    return [
        BudgetFigures(crm=crm, **{name: found.get(period, 0) for name, period in periods.items()})
        for crm, found in sorted(calls.items())
    ]


def backfill_figures(session: Session, *, now: datetime) -> BackfillFigures | None:
    row = session.scalars(select(Backfill)).first()
    if row is None:
        return None
    waiting = session.scalar(
        select(func.count()).where(Lane.priority >= Priority.BACKGROUND, Lane.state.in_(("due", "running")))
    )
    left = max(row.total - row.looked_at, 0)
    running = row.state == "running"
    return BackfillFigures(
        state=row.state,
        rate=row.rate,
        total=row.total,
        looked_at=row.looked_at,
        handed_over=row.handed_over,
        waiting=waiting or 0,
        started_at=row.started_at,
        finished_at=row.finished_at,
        eta=now + timedelta(minutes=left / row.rate) if running else None,
    )


def operation_gauges(session: Session, *, now: datetime) -> Iterator[Gauge]:
    """For Prometheus."""
    found = read_operations(session, now=now)
    yield Gauge(name="casebridge_alarms", help="Things that should never be.", value=len(found.alarms))
    for alarm in found.alarms:
        yield Gauge(
            name="casebridge_alarm",
            help="1 while it is so.",
            value=1,
            labels={"name": alarm.name, "level": alarm.level},
        )
    for circuit in found.circuits:
        yield Gauge(
            name="casebridge_capability_closed",
            help="1 while the CRM forbids it and it is not asked.",
            value=1,
            labels={"crm": circuit.crm, "capability": circuit.capability},
        )
    for budget in found.budgets:
        labels = {"crm": budget.crm}
        yield Gauge(
            name="casebridge_crm_calls_last_minute", help="Calls sent.", value=budget.last_minute, labels=labels
        )
        yield Gauge(
            name="casebridge_crm_calls_today", help="Calls sent since 0:00 UTC.", value=budget.today, labels=labels
        )
    if found.backfill is not None:
        yield Gauge(
            name="casebridge_backfill_tickets_left",
            help="Tickets the backfill has not looked at.",
            value=found.backfill.total - found.backfill.looked_at,
        )
    last = last_finished_run(session)
    if last is not None and last.finished_at is not None:
        yield from _drift_gauges(last.counts, last)


def _drift_gauges(counts: Mapping[str, int], run: DriftRun) -> Iterator[Gauge]:
    finished = run.finished_at or run.started_at
    yield timestamp_gauge(
        "casebridge_drift_last_finished_timestamp_seconds", "When all tickets were last compared.", finished
    )
    yield Gauge(name="casebridge_drift_repairs", help="Repairs of the last comparison.", value=run.repairs)
    for kind, number in counts.items():
        yield Gauge(
            name="casebridge_drift_differences",
            help="Differences the last comparison found.",
            value=number,
            labels={"kind": kind},
        )
