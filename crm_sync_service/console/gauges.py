"""What Prometheus reads of the sync service: counted in the database when it asks."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Text, and_, case, cast, func, or_, select
from sqlalchemy.orm import Session

from crm_sync_service.console.broker_watch import BrokerView
from crm_sync_service.console.figures import Figures, read_figures
from crm_sync_service.console.health import WORKER_SILENT
from crm_sync_service.console.speed import Speed, read_speed
from crm_sync_service.models import Conflict, Lane, Link, Replica, outbox
from crm_sync_service.operation_settings import OperationSettings
from crm_sync_service.operations import budgets, operation_gauges
from shared.clock import from_text, utc_now
from shared.database import Database
from shared.metrics import Gauge, outbox_gauges, timestamp_gauge


def read_gauges(database: Database, broker: BrokerView, limits: OperationSettings) -> Iterator[Gauge]:
    """All gauges; those of the broker only while it answers."""
    yield from outbox_gauges(database, outbox)
    now = utc_now()
    with database.read() as session:
        figures = read_figures(session, now=now)
        links = _links(session)
        speed = read_speed(session, now=now)
        conflicts = _conflicts(session)
        operations = list(operation_gauges(session, now=now))
        quotas = list(_quotas(session, limits, now=now))
    for state, number in links.items():
        yield Gauge(
            name="casebridge_links", help="Tickets by the state of their link.", value=number, labels={"state": state}
        )
    yield from conflicts
    yield from operations
    yield from quotas
    yield from _speed(speed, figures)
    yield from _lanes(figures)
    yield from _feeds(figures)
    yield from _circuits(figures, broker)
    yield from _queues(broker)


def _links(session: Session) -> dict[str, int]:
    state = case(
        (Lane.state == "parked", "parked"),
        (or_(Link.state.in_(("case_deleted", "ticket_deleted", "redacted", "unlinked"))), "tombstone"),
        (or_(Lane.state != "idle", Link.ticket_id.is_(None)), "pending"),
        (Link.in_sync, "ok"),
        (and_(Link.held, cast(Link.holds, Text).contains('"frozen"')), "frozen"),
        else_="parked",
    )
    rows = session.execute(
        select(state, func.count())
        .select_from(Replica)
        .outerjoin(Lane, Lane.ticket_id == Replica.ticket_id)
        .outerjoin(Link, Link.ticket_id == Replica.ticket_id)
        .group_by(state)
    )
    return dict.fromkeys(("ok", "pending", "parked", "tombstone", "frozen"), 0) | dict(rows.all())


def _conflicts(session: Session) -> list[Gauge]:
    rows = session.execute(
        select(Conflict.field, func.coalesce(Conflict.winner, "none"), func.count())
        .group_by(Conflict.field, Conflict.winner)
        .order_by(Conflict.field, Conflict.winner)
    )
    return [
        Gauge(
            name="casebridge_conflicts_total",
            help="Fields changed on both sides, by the side that won; none: it waits, or settled by itself.",
            value=row[2],
            labels={"field": row[0], "winner": row[1]},
        )
        for row in rows
    ]


def _quotas(session: Session, limits: OperationSettings, *, now: datetime) -> Iterator[Gauge]:
    """What is left of the request budget, where there is one."""
    for budget in budgets(session, now=now):
        for period, limit, used in (
            ("minute", limits.requests_per_minute, budget.this_minute),
            ("day", limits.requests_per_day, budget.today),
        ):
            if limit:
                yield Gauge(
                    name="casebridge_crm_quota_remaining",
                    help="Calls that may still be sent.",
                    value=max(limit - used, 0),
                    labels={"crm": budget.crm, "period": period},
                )


def _speed(speed: Speed, figures: Figures) -> Iterator[Gauge]:
    for quantile, span in (("0.5", speed.p50), ("0.95", speed.p95), ("0.99", speed.to_crm[0].p99)):
        if span is not None:
            yield Gauge(
                name="casebridge_ticket_to_case_seconds",
                help="From a ticket's commit to its Case, of the tickets filed in the last hour.",
                value=span.total_seconds(),
                labels={"quantile": quantile},
            )
    yield Gauge(
        name="casebridge_echo_suppressed_total",
        help="Changes in the feed that were our own writes and went no further.",
        value=speed.echoes,
    )
    for what, number in (
        ("ticket", figures.need_person),
        ("conflict", figures.conflicts_waiting),
        ("contact", figures.contacts_waiting),
    ):
        yield Gauge(
            name="casebridge_needs_person",
            help="What waits until a person decides.",
            value=number,
            labels={"what": what},
        )


def _lanes(figures: Figures) -> Iterator[Gauge]:
    if figures.oldest_waiting is not None:
        yield timestamp_gauge(
            "casebridge_lanes_oldest_waiting_timestamp_seconds",
            "Since when the ticket that waits longest has waited.",
            figures.oldest_waiting,
        )
    yield Gauge(
        name="casebridge_parked_events", help="Events kept because nobody could read them.", value=figures.unreadable
    )
    if figures.workers:
        yield timestamp_gauge(
            "casebridge_worker_last_progress_timestamp_seconds",
            "When a sync worker last showed progress.",
            figures.workers[0].seen_at,
        )
    now = utc_now()
    alive = sum(1 for worker in figures.workers if now - worker.seen_at <= WORKER_SILENT)
    yield Gauge(name="casebridge_workers", help="Sync workers that show progress.", value=alive)


def _feeds(figures: Figures) -> Iterator[Gauge]:
    for line in figures.feeds:
        labels = {"feed": line.feed}
        yield Gauge(
            name="casebridge_last_successful_poll_timestamp_seconds",
            help="When a change feed of the CRM was last read to its end.",
            value=line.polled_at.timestamp(),
            labels=labels,
        )
        try:
            stamp = from_text(line.stamp)
        except ValueError:  # not every CRM's stamps are moments
            continue
        yield Gauge(
            name="casebridge_crm_cursor_timestamp_seconds",
            help="The newest change seen in a feed of the CRM.",
            value=stamp.timestamp(),
            labels=labels,
        )


def _circuits(figures: Figures, broker: BrokerView) -> Iterator[Gauge]:
    targets = {crm.crm: crm.state != "reachable" for crm in figures.crms} | {"broker": not broker.works}
    for target, is_open in targets.items():
        yield Gauge(
            name="casebridge_circuit_open", help="1 while it is not called.", value=is_open, labels={"target": target}
        )


def _queues(broker: BrokerView) -> Iterator[Gauge]:
    for queue in broker.queues if broker.works else ():
        labels = {"queue": queue.queue}
        yield Gauge(name="casebridge_queue_messages", help="Messages ready.", value=queue.waiting, labels=labels)
        yield Gauge(
            name="casebridge_queue_dead_letters", help="Messages given up.", value=queue.dead_letters, labels=labels
        )
