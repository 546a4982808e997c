"""The sweep: every ticket and its Case compared once a day, slowly, by one worker at a time.

It finds what no feed tells: deletions and merges, back-dated changes (FAILURES 30), what a purge lost. Each repair is
counted, as each is a mistake to find.
"""

import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_sync_service import gate, lanes, loop_lease
from crm_sync_service.alarms import clear_alarm, raise_alarm
from crm_sync_service.budget import background_pool, urgency
from crm_sync_service.call_metrics import sweep_repairs
from crm_sync_service.compare import Difference
from crm_sync_service.connectors.base import CrmError, NotFoundError
from crm_sync_service.drift import Drift, DriftChecker, Tally, start_run
from crm_sync_service.lanes import Priority
from crm_sync_service.models import Link
from crm_sync_service.operation_models import DriftRun
from crm_sync_service.repair import repair
from shared.events import TicketChanged

LEASE = timedelta(seconds=12)
TICK = 1.0
"""Seconds between two looks at whether something is to be compared."""
_MOST_AT_ONCE = 50
_LEAST_PACE = 2.0
"""Tickets per second that a sweep may do when it is behind; more only if the whole set asks for it."""
_THREADS = 2
_ACTIVE = timedelta(days=1)
_EXISTENCE_EVERY = timedelta(minutes=10)
_EXISTENCE_AT_ONCE = 5
_SHOWN = 3
DRIFT = "drift"

log = structlog.get_logger()


@dataclass(kw_only=True)
class Sweeper:
    """The sweep of one worker; does nothing while another worker has the lease."""

    checker: DriftChecker
    owner: str
    span: timedelta
    """Within which every ticket is compared once."""
    now: Callable[[], datetime]
    _round: uuid.UUID | None = None
    """Of the look for deleted Cases: the last ticket looked at; None between two."""
    _looked_at: datetime | None = None
    _pool: ThreadPoolExecutor = field(default_factory=lambda: background_pool(_THREADS, "sweep"), repr=False)

    def run(self, stop: threading.Event) -> None:
        """Until `stop`."""
        urgency.set(Priority.BACKGROUND)
        while not stop.wait(TICK):
            try:
                self.tick(stop)
            except CrmError as error:
                log.warning("sweep_waits", error=str(error))
        with self.checker.database.write() as session:
            loop_lease.give_up(session, "sweep", owner=self.owner)

    def tick(self, stop: threading.Event) -> int:
        """Compare what is due by now; returns how many tickets that were. Raises CrmError."""
        if not self._may_work():
            return 0
        self._look_for_deleted()
        run, tally = self._current()
        if run is None:
            return 0
        number = self._due(run)
        if number == 0:
            return 0
        page = self.checker.source.page(after=run.position, limit=number)
        if not page:
            self._finish(run, tally, stop)
            return 0
        for ticket, drift in zip(page, self.checker.check_all(page, self._pool), strict=True):
            tally.add(drift)
            tally.repairs += self._mend(ticket, drift)
        self._save(run, tally, position=page[-1].number)
        return len(page)

    def _may_work(self) -> bool:
        database, now = self.checker.database, self.now()
        with database.write() as session:
            mine = loop_lease.take(session, "sweep", owner=self.owner, now=now, span=LEASE)
            return mine and gate.may_call(session, self.checker.crm.name)

    def _current(self) -> tuple[DriftRun | None, Tally]:
        """The run that goes on, or a new one when the last began long enough ago."""
        now = self.now()
        with self.checker.database.write() as session:
            query = select(DriftRun).where(DriftRun.kind == "sweep").order_by(DriftRun.id.desc())
            last = session.scalars(query.limit(1)).first()
            if last is not None and last.finished_at is None:
                return last, Tally.of(last)
            if last is not None and now - last.started_at < self.span:
                return None, Tally()
            return start_run(session, "sweep", now=now), Tally()

    def _due(self, run: DriftRun) -> int:
        """How many tickets the pace asks for now: even over the whole span, faster only when behind."""
        total = max(self.checker.source.count(), 1)
        if run.tickets >= total:
            return 1
        per_second = total / self.span.total_seconds()
        elapsed = (self.now() - run.started_at).total_seconds()
        behind = int(elapsed * per_second) + 1 - run.tickets
        most = max(_LEAST_PACE, 2 * per_second) * TICK
        return max(0, min(behind, int(most), _MOST_AT_ONCE))

    def _mend(self, ticket: TicketChanged, drift: Drift) -> bool:
        if not drift.differences:
            return False
        now = self.now()
        with self.checker.database.write() as session:
            done = repair(
                session,
                ticket.ticket_id,
                drift.differences,
                direction="auto",
                policies=self.checker.mapping.policies,
                now=now,
            )
        for difference in drift.differences if done else ():
            sweep_repairs.labels(difference.tally).inc()
        words = [str(difference) for difference in drift.differences]
        log.warning("sweep_found", ticket=ticket.number, differences=words, repaired=done)
        return done

    def _save(self, run: DriftRun, tally: Tally, *, position: int) -> None:
        with self.checker.database.write() as session:
            row = session.get(DriftRun, run.id)
            if row is not None:
                tally.store(row)
                row.position = position

    def _finish(self, run: DriftRun, tally: Tally, stop: threading.Event) -> None:
        """All tickets are compared: look for Cases that belong to none, then keep the report."""
        for difference in self._strangers(stop):
            tally.differ([difference])
        if stop.is_set():
            return
        now = self.now()
        with self.checker.database.write() as session:
            row = session.get(DriftRun, run.id)
            if row is not None:
                tally.store(row)
                row.finished_at = now
            report(session, tally, now=now)
        log.info("sweep_finished", tickets=tally.tickets, differences=tally.differences, repairs=tally.repairs)

    def _strangers(self, stop: threading.Event) -> Sequence[Difference]:
        found: list[Difference] = []
        page: str | None = None
        while not stop.is_set():
            findings, page = self.checker.verifier.strangers_on(page)
            found += [difference for finding in findings for difference in finding.differences]
            if page is None or not self._may_work():
                break
        return found

    def _look_for_deleted(self) -> None:
        """Read the Cases of tickets that were active lately, a few at a time, where no feed tells of deletions."""
        now = self.now()
        if self.checker.crm.capabilities.feed_shows_deletions:
            return
        if self._round is None:
            if self._looked_at is not None and now - self._looked_at < _EXISTENCE_EVERY:
                return
            self._round, self._looked_at = uuid.UUID(int=0), now
        query = select(Link).where(
            Link.ticket_id > self._round, Link.state == "linked", Link.compared_at > now - _ACTIVE
        )
        with self.checker.database.read() as session:
            active = session.scalars(query.order_by(Link.ticket_id).limit(_EXISTENCE_AT_ONCE)).all()
        other = [link.ticket_id for link in active if self._is_other(link)]
        with self.checker.database.write() as session:
            lanes.mark_due(session, other, now=now, priority=Priority.PULL)
        self._round = active[-1].ticket_id if len(active) == _EXISTENCE_AT_ONCE else None

    def _is_other(self, link: Link) -> bool:
        """Deleted, or with another stamp than was seen: merged accounts and contacts show in no feed either."""
        try:
            return self.checker.crm.get_case(link.case_id or "").stamp != link.seen
        except NotFoundError:
            return True


def report(session: Session, tally: Tally, *, now: datetime) -> None:
    """An alarm while the newest comparison found something."""
    if tally.differences == 0:
        clear_alarm(session, DRIFT)
        return
    examples = "; ".join(tally.examples[:_SHOWN])
    text = (
        f"The last comparison of all tickets found {tally.differences:,} differences that nothing had told of, and "
        f"repaired {tally.repairs:,} tickets: {examples}. Look why: the page Drift lists them"
    )
    raise_alarm(session, DRIFT, text, now=now, level="warn")
