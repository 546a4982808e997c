"""The sync worker: inbox, lanes, change feed, directory and relay, each in a loop of its own."""

import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy.orm import Session

from crm_sync_service import budget as call_budget
from crm_sync_service import gate, lanes, loop_lease
from crm_sync_service.budget import Budget, urgency
from crm_sync_service.change_feed import forget_notes, poll_cases, poll_notes
from crm_sync_service.connectors.base import Connector, CrmError
from crm_sync_service.crm import open_crm
from crm_sync_service.directory_feed import poll_directory, refresh_directory, refresh_is_due
from crm_sync_service.drift import DriftChecker
from crm_sync_service.feed_watch import FeedWatch
from crm_sync_service.guard import guard
from crm_sync_service.inbox import apply_all
from crm_sync_service.installation import OtherCrmError
from crm_sync_service.jobs import JobRunner
from crm_sync_service.lanes import Priority
from crm_sync_service.mapping_change import forget_old_notice, notice_mapping
from crm_sync_service.mapping_check import warn_about_mapping
from crm_sync_service.models import WorkerPulse, inbox, open_database, outbox
from crm_sync_service.operation_settings import read_operation_settings
from crm_sync_service.operations import operation_gauges
from crm_sync_service.restored import notice_restore
from crm_sync_service.retries import HoldError
from crm_sync_service.runner import LaneRunner
from crm_sync_service.settings import SyncSettings
from crm_sync_service.sweep import Sweeper
from shared.broker import Broker, open_broker
from shared.clock import utc_now
from shared.consumer import Consumer, handle_together
from shared.database import Database
from shared.events import PORTAL_EVENTS, Event, Message, TicketChanged
from shared.health import run_loops
from shared.metrics import Gauge, outbox_gauges
from shared.relay import Relay
from shared.settings import SettingsError

_QUICK_OVERLAP = timedelta(seconds=2)
_DEEP_EVERY = timedelta(seconds=30)
_DIRECTORY_EVERY = timedelta(seconds=2)
_FEED_LEASE = timedelta(seconds=6)
_REFRESH_LEASE = timedelta(seconds=60)
_REFRESH_SECONDS = 30.0
_PULSE_SECONDS = 5.0
_HOUSEKEEPING_SECONDS = 3600.0
_KEEP_SENT = timedelta(days=7)
_KEEP_SEEN = timedelta(days=30)

log = structlog.get_logger()

Loop = Callable[[threading.Event], None]


@dataclass(kw_only=True)
class SyncWorker:
    """One worker process; any number of them share the lanes of a database."""

    database: Database
    crm: Connector
    runner: LaneRunner
    broker: Broker
    poll_interval: timedelta
    now: Callable[[], datetime] = utc_now
    sweeper: Sweeper | None = None
    jobs: JobRunner | None = None
    watch: FeedWatch | None = None
    budget: Budget | None = None
    _deep_at: datetime | None = None
    _directory_at: datetime | None = None
    _started_at: datetime = field(default_factory=utc_now)

    def loops(self) -> Mapping[str, Loop]:
        """What the process does, by name; each loop ends soon after its event is set."""
        return {
            "relay": Relay(self.database, outbox, self.broker).run,
            "inbox": Consumer(self.broker, PORTAL_EVENTS, self.receive).run,
            "lanes": self.runner.run,
            "leases": self.runner.renew_leases,
            "feed": self.follow_crm,
            "directory": self.keep_directory,
            **({"sweep": self.sweeper.run} if self.sweeper else {}),
            **({"jobs": self.jobs.run} if self.jobs else {}),
            "pulse": self.pulse,
            "housekeeping": self.keep_house,
        }

    def receive(self, messages: Sequence[Message]) -> None:
        """Store what the portal tells; the lanes do the rest."""
        now = self.now()
        handle_together(self.database, inbox, messages, partial(self._apply_all, now=now), now)
        self.runner.doorbell.set()

    def _apply_all(self, session: Session, events: Sequence[Event], *, now: datetime) -> None:
        for event in events:
            if self.watch is not None and isinstance(event, TicketChanged):
                notice_restore(session, self.crm.name, event, now=now)
        apply_all(session, events, now=now)

    def follow_crm(self, stop: threading.Event) -> None:
        """Look at the change feeds until `stop`, one worker at a time; while the CRM is paused, leave it alone."""
        urgency.set(Priority.PULL)
        while not stop.wait(self.poll_interval.total_seconds()):
            now = self.now()
            with self.database.read() as session:
                reachable = gate.may_call(session, self.crm.name)
            if not reachable or self._is_needless(now):
                continue
            with self.database.write() as session:
                mine = loop_lease.take(session, "feed", owner=self.runner.owner, now=now, span=_FEED_LEASE)
            if mine:
                self._look()
        with self.database.write() as session:
            loop_lease.give_up(session, "feed", owner=self.runner.owner)

    def _is_needless(self, now: datetime) -> bool:
        """A feed that gives far too much is read only when a deep look is due."""
        return bool(self.watch and self.watch.is_unbounded and self._deep_at and now < self._deep_at)

    def _look(self) -> None:
        try:
            self.look_once()
        except HoldError as error:
            log.info("crm_poll_waits", reason=str(error))
        except CrmError as error:
            log.warning("crm_poll_failed", error=str(error))
            with self.database.write() as session:
                gate.note_failure(session, self.crm.name, error, now=self.now())

    def look_once(self) -> None:
        """One quick look at Cases and, when their time has come, a deep one and one at Notes and the directory."""
        now = self.now()
        deep = self._deep_at is None or now >= self._deep_at
        overlap = self.crm.capabilities.feed_overlap if deep else _QUICK_OVERLAP
        news = 0
        if self._directory_at is None or now >= self._directory_at:
            poll_directory(self.database, self.crm, overlap=overlap, now=now)
            if not self.crm.capabilities.notes_touch_case:
                news += poll_notes(self.database, self.crm, overlap=overlap, now=now)
            self._directory_at = now + _DIRECTORY_EVERY
        if deep and self.watch is not None:
            with self.database.read() as session:
                self.watch.collect(session, now=now)
        news += poll_cases(self.database, self.crm, overlap=overlap, now=now, watch=self.watch)
        if news:
            self.runner.doorbell.set()
        if deep:
            self._deep_at = now + _DEEP_EVERY
            self._report_feed(now)

    def _report_feed(self, now: datetime) -> None:
        if self.watch is not None:
            with self.database.write() as session:
                self.watch.report(session, now=now)

    def keep_directory(self, stop: threading.Event) -> None:
        """Once a day read the whole directory, so that what vanished is found; one worker at a time."""
        urgency.set(Priority.BACKGROUND)
        while not stop.wait(_REFRESH_SECONDS):
            with self.database.read() as session:
                due = refresh_is_due(session, now=self.now()) and gate.may_call(session, self.crm.name)
            if due and self._may_refresh():
                try:
                    refresh_directory(
                        self.database,
                        self.crm,
                        now=self.now,
                        go_on=lambda _: self._may_refresh() and not stop.is_set(),
                    )
                except CrmError as error:
                    log.warning("directory_refresh_waits", error=str(error))

    def _may_refresh(self) -> bool:
        with self.database.write() as session:
            return loop_lease.take(session, "directory", owner=self.runner.owner, now=self.now(), span=_REFRESH_LEASE)

    def pulse(self, stop: threading.Event) -> None:
        """Show the console that this worker makes progress, and the portal how the CRM is."""
        while not stop.is_set():
            now = self.now()
            with self.database.write() as session:
                session.merge(WorkerPulse(owner=self.runner.owner, started_at=self._started_at, seen_at=now))
                gate.announce_if_due(session, self.crm.name, now=now)
            if self.budget is not None:
                self.budget.flush()
            stop.wait(_PULSE_SECONDS)

    def keep_house(self, stop: threading.Event) -> None:
        """Forget what was sent or seen long ago; at the start, see whether the mapping fits the CRM."""
        warn_about_mapping(self.runner.mapping)
        with self.database.write() as session:
            notice_mapping(session, self.runner.mapping, now=self.now())
        while not stop.wait(_HOUSEKEEPING_SECONDS):
            now = self.now()
            with self.database.write() as session:
                outbox.forget_sent(session, before=now - _KEEP_SENT)
                inbox.forget_seen(session, before=now - _KEEP_SEEN)
                forget_notes(session, before=now - _KEEP_SEEN)
                forget_old_notice(session, now=now)
                call_budget.forget_old(session, now=now)

    def gauges(self) -> Iterable[Gauge]:
        """What waits, read when somebody asks."""
        yield from outbox_gauges(self.database, outbox)
        with self.database.read() as session:
            depth = lanes.depth(session)
            unreadable = inbox.unreadable_count(session)
            yield from operation_gauges(session, now=self.now())
        for state in ("idle", "due", "running", "parked"):
            yield Gauge(
                name="casebridge_lanes",
                help="Tickets, by what their lane does.",
                value=depth.get(state, 0),
                labels={"state": state},
            )
        yield Gauge(name="casebridge_unreadable_events", help="Events kept because they are unknown.", value=unreadable)


def open_worker(settings: SyncSettings) -> SyncWorker:
    """A worker on the database, broker and CRM of the settings. Raises DatabaseUnavailableError, SettingsError."""
    operations = read_operation_settings()
    database = open_database(settings.database_url, pool_size=settings.threads + 8)
    database.check()
    connector, mapping = open_crm(settings)
    crm = guard(database, connector, operations)
    owner = f"{socket.gethostname()}:{os.getpid()}"
    checker = DriftChecker(database, crm, mapping)
    runner = LaneRunner(
        database=database,
        crm=crm,
        mapping=mapping,
        owner=owner,
        threads=settings.threads,
        now=utc_now,
        scarce=crm.budget.limited,
    )
    return SyncWorker(
        database=database,
        crm=crm,
        runner=runner,
        broker=open_broker(settings.common),
        poll_interval=settings.poll_interval,
        sweeper=Sweeper(checker=checker, owner=owner, span=operations.sweep_span, now=utc_now),
        jobs=JobRunner(checker=checker, owner=owner, now=utc_now),
        watch=FeedWatch(overlap=crm.capabilities.feed_overlap),
        budget=crm.budget,
    )


def refuse_other_crm(crm: Connector) -> None:
    """Raises SettingsError if the CRM that answers is not ours; one that does not answer is asked again later."""
    try:
        crm.info()
    except OtherCrmError as error:
        raise SettingsError(str(error)) from error
    except CrmError as error:
        log.warning("crm_not_reached", error=str(error))


def run_worker(settings: SyncSettings, stop: threading.Event) -> None:
    """Work until `stop` is set.

    Raises SettingsError, DatabaseUnavailableError, BrokerUnavailableError and PortTakenError at start.
    """
    worker = open_worker(settings)
    try:
        refuse_other_crm(worker.crm)
        run_loops(worker.loops(), stop=stop, health=settings.health, ready=worker.database.check, gauges=worker.gauges)
    finally:
        worker.crm.close()
        worker.database.dispose()
