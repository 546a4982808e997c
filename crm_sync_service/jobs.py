"""Long work that a person starts in the console: a worker does it, one job at a time, and says how far it is.

A job belongs to whichever worker holds the lease; when that one dies, another goes on. Everything a job does is safe to
do again: comparing writes nothing, repairs and backfills hand tickets to their lanes, what is adopted is adopted.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from crm_sync_service import gate, loop_lease
from crm_sync_service.adoption import Adopter, Match
from crm_sync_service.backfill import Backfiller, BackfillError, lacks_something, pause
from crm_sync_service.budget import background_pool, urgency
from crm_sync_service.compare import Difference
from crm_sync_service.connectors.base import CrmError
from crm_sync_service.decisions import DecisionError
from crm_sync_service.drift import Drift, DriftChecker, Tally, start_run
from crm_sync_service.lanes import Priority
from crm_sync_service.merge import UNMAPPED
from crm_sync_service.models import Link
from crm_sync_service.operation_models import Backfill, DriftRun, Job
from crm_sync_service.repair import preview, repair
from crm_sync_service.sweep import report
from shared.database import Database, DatabaseUnavailableError
from shared.settings import SettingsError
from shared.ticket_source import TicketSource, open_source

Kind = Literal["compare", "repair", "adopt-preview", "adopt", "backfill-preview", "backfill"]
KINDS: Mapping[str, str] = {
    "compare": "Compare all tickets",
    "repair": "Compare all tickets and repair",
    "adopt-preview": "Look for Cases that are there already",
    "adopt": "Link Cases that are there already",
    "backfill-preview": "Count the tickets without a Case",
    "backfill": "Backfill",
}
NOT_ENDED = ("waiting", "running")
LEASE = timedelta(seconds=30)
TICK = 1.0
MOST_LINES = 500
_KEEP = 50
_THREADS = 4
_PAGE = 20
_CRM_RESTS = "It waits until the CRM may be called; the overview says why"

log = structlog.get_logger()


class _StoppedError(Exception):
    """Somebody asked for it, the process ends, or another worker has the job now."""


def ask(session: Session, kind: Kind, *, asked_by: str, now: datetime, **options: Any) -> Job:
    """Have a job done; at most one waits or runs. Raises DecisionError."""
    other = job_under_way(session)
    if other is not None:
        words = f"“{KINDS[other.kind]}”, which {other.asked_by} asked for, is still under way"
        raise DecisionError(f"{words}: wait for it, or stop it.")
    for old in session.scalars(select(Job).order_by(Job.id.desc()).offset(_KEEP)):
        session.delete(old)
    job = Job(kind=kind, options=options, asked_by=asked_by, asked_at=now, state="waiting", lines=[])
    session.add(job)
    session.flush()
    return job


def ask_to_stop(session: Session, job_id: int, *, now: datetime) -> Job:
    """Let a job end within seconds. Raises DecisionError if it has ended."""
    job = session.get(Job, job_id, with_for_update=True)
    if job is None or job.state not in NOT_ENDED:
        raise DecisionError("This job has ended.")
    job.stop_asked = True
    if job.state == "waiting":
        job.state, job.words, job.finished_at = "stopped", "It was stopped before it began", now
    elif job.kind == "backfill":
        pause(session, now=now)
    return job


def job_under_way(session: Session) -> Job | None:
    return session.scalars(select(Job).where(Job.state.in_(NOT_ENDED)).limit(1)).first()


def newest(session: Session, *, limit: int = 10, kinds: tuple[str, ...] = tuple(KINDS)) -> list[Job]:
    query = select(Job).where(Job.kind.in_(kinds)).order_by(Job.id.desc()).limit(limit)
    return list(session.scalars(query))


@dataclass(kw_only=True)
class JobRunner:
    """The jobs' loop of one worker; does nothing while another worker has the lease."""

    checker: DriftChecker
    owner: str
    now: Callable[[], datetime]
    source: Callable[[], AbstractContextManager[TicketSource]] = open_source
    tick: float = TICK
    _stop: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)
    """The job under way is to end, or is another worker's by now."""

    @property
    def database(self) -> Database:
        return self.checker.database

    def run(self, stop: threading.Event) -> None:
        """Until `stop`; a job that is under way then goes on in another worker, or here after the next start."""
        self._stop = stop
        urgency.set(Priority.BACKGROUND)
        while not stop.wait(self.tick):
            self.run_next()
        with self.database.write() as session:
            loop_lease.give_up(session, "jobs", owner=self.owner)

    def run_next(self) -> Job | None:
        """Do the job that waits or was left half done, if any; returns it as it ended."""
        with self.database.read() as session:
            job = job_under_way(session)
            reachable = gate.may_call(session, self.checker.crm.name)
        if job is None or not self._take():
            return None
        if not reachable:
            if job.words != _CRM_RESTS:
                self._note(job, words=_CRM_RESTS)
            return None
        self._over.clear()
        with self._keeping(job):
            return self._do(job)

    def _do(self, job: Job) -> Job | None:
        self._note(job, state="running", words="", started_at=job.started_at or self.now())
        try:
            words = self._work(job)
        except _StoppedError:
            return self._stopped(job)
        except (CrmError, SettingsError, DatabaseUnavailableError, BackfillError) as error:
            return self._end(job, "failed", f"It could not go on: {error}")
        except SQLAlchemyError as error:
            log.warning("job_waits", kind=job.kind, error=str(error))
            return None
        except Exception as error:  # a person reads why; the other loops of the worker go on
            log.exception("job_failed", kind=job.kind)
            return self._end(job, "failed", f"It stopped by a mistake in the program: {type(error).__name__}: {error}")
        return self._end(job, "done", words)

    def _work(self, job: Job) -> str:
        match job.kind:
            case "compare" | "repair":
                return self._compare(job)
            case "adopt-preview" | "adopt":
                return self._adopt(job)
            case "backfill-preview":
                return self._count_lacking(job)
            case _:
                return self._backfill(job)

    def _compare(self, job: Job) -> str:
        run, tally = self._drift_run(job)
        self._note(job, total=self.checker.source.count())
        with background_pool(_THREADS, "compare") as pool:
            while page := self.checker.source.page(after=run.position, limit=_PAGE):
                for drift in self.checker.check_all(page, pool):
                    tally.add(drift)
                    if drift.differences:
                        self._differs(job, drift, tally)
                run.position = page[-1].number
                self._save(run, tally)
                self._note(job, looked_at=job.looked_at + len(page), found=job.found, lines=job.lines)
                self._go_on()
        for difference in self._strangers():
            tally.differ([difference])
            self._line(job, f"{difference}: repair: {preview(difference, None, direction='auto', policies={})}")
        self._save(run, tally, finished=True)
        with self.database.write() as session:
            report(session, tally, now=self.now())
        repaired = f", {_some(tally.repairs, 'ticket')} given to the lanes" if job.kind == "repair" else ""
        return f"{_some(tally.tickets, 'ticket')} compared, {_some(tally.differences, 'difference')}{repaired}"

    def _strangers(self) -> Iterator[Difference]:
        page: str | None = None
        while True:
            findings, page = self.checker.verifier.strangers_on(page)
            yield from (difference for finding in findings for difference in finding.differences)
            self._go_on()
            if page is None:
                return

    def _drift_run(self, job: Job) -> tuple[DriftRun, Tally]:
        """The run of this job; one that another worker had to leave is gone on with."""
        with self.database.write() as session:
            run = session.get(DriftRun, job.run_id) if job.run_id else None
            if run is not None:
                return run, Tally.of(run)
            run = start_run(session, "console", now=self.now())
        self._note(job, run_id=run.id)
        return run, Tally()

    def _differs(self, job: Job, drift: Drift, tally: Tally) -> None:
        job.found += 1
        direction, policies = job.options.get("direction", "auto"), self.checker.mapping.policies
        with self.database.write() as session:
            link = session.get(Link, drift.ticket_id)
            for difference in drift.differences:
                would = preview(difference, link, direction=direction, policies=policies)
                self._line(job, f"{difference}: repair: {would}")
            if job.kind == "repair":
                tally.repairs += repair(
                    session, drift.ticket_id, drift.differences, direction=direction, policies=policies, now=self.now()
                )

    def _save(self, run: DriftRun, tally: Tally, *, finished: bool = False) -> None:
        with self.database.write() as session:
            row = session.get(DriftRun, run.id)
            if row is not None:
                tally.store(row)
                row.position = run.position
                row.finished_at = self.now() if finished else None

    def _adopt(self, job: Job) -> str:
        with self.source() as source:
            self._note(job, total=source.count(), looked_at=0, found=0, lines=[])
            adopter = Adopter(
                database=self.database,
                source=_Counted(source, lambda: self._looked(job)),
                crm=self.checker.crm,
                mapping=self.checker.mapping,
                by=job.options["by"],
                now=self.now,
            )
            for match in adopter.matches(lambda words: self._line(job, words)):
                job.found += 1
                self._line(job, _words_of(match))
                if job.kind == "adopt":
                    adopter.adopt(match)
                self._note(job, found=job.found, lines=job.lines)
                self._go_on()
        found = adopter.found
        self._note(job, looked_at=job.total, lines=job.lines)
        return (
            f"{found.matched:,} matched, with {found.conflicts:,} fields to choose; {found.ambiguous:,} ambiguous; "
            f"{found.unmatched:,} without a Case"
        )

    def _looked(self, job: Job) -> None:
        job.looked_at = min(job.looked_at + 1, job.total)
        if job.looked_at % 100 == 0:
            self._note(job, looked_at=job.looked_at)
            self._go_on()

    def _count_lacking(self, job: Job) -> str:
        with self.source() as source:
            self._note(job, total=source.count(), looked_at=0, found=0, lines=[])
            for ticket in source.tickets():
                entries = source.entries(ticket.ticket_id)
                with self.database.read() as session:
                    lacks = lacks_something(session, ticket, entries)
                if lacks:
                    job.found += 1
                    self._line(job, f"#{ticket.number} {ticket.subject}: {len(entries):,} replies and notes")
                self._looked(job)
        self._note(job, looked_at=job.looked_at, found=job.found, lines=job.lines)
        return f"{job.found:,} of {job.looked_at:,} tickets would be given to their lanes"

    def _backfill(self, job: Job) -> str:
        with self.source() as source:
            work = Backfiller(database=self.database, source=source, owner=self.owner, now=self.now)
            try:
                # Asked for again after a crash, it goes on at its checkpoint instead of beginning anew.
                work.start(rate=int(job.options["rate"]), again=bool(job.options.get("again")) and job.total == 0)
                while (step := work.step()) is not None:
                    self._mirror_backfill(job)
                    self._go_on()
                    if step == 0:
                        self._stop.wait(self.tick)
            finally:
                work.close()
        row = self._mirror_backfill(job)
        if row.state == "paused":
            raise _StoppedError
        return f"{row.looked_at:,} tickets looked at, {row.handed_over:,} given to their lanes"

    def _mirror_backfill(self, job: Job) -> Backfill:
        with self.database.read() as session:
            row = session.scalars(select(Backfill)).one()
        self._note(job, total=row.total, looked_at=row.looked_at, found=row.handed_over)
        return row

    @contextmanager
    def _keeping(self, job: Job) -> Iterator[None]:
        """Keep the lease meanwhile, and notice when somebody wants the job to end."""
        done = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(job.id, done), name="job-lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()

    def _keep(self, job_id: int, done: threading.Event) -> None:
        while not done.wait(self.tick):
            try:
                with self.database.read() as session:
                    asked = session.scalar(select(Job.stop_asked).where(Job.id == job_id))
                if asked or self._stop.is_set() or not self._take():
                    self._over.set()
            except SQLAlchemyError as error:
                log.warning("job_lease_waits", error=str(error))

    def _go_on(self) -> None:
        """Raises _StoppedError."""
        if self._over.is_set():
            raise _StoppedError

    def _take(self) -> bool:
        with self.database.write() as session:
            return loop_lease.take(session, "jobs", owner=self.owner, now=self.now(), span=LEASE)

    def _line(self, job: Job, words: str) -> None:
        if len(job.lines) < MOST_LINES:
            job.lines = [*job.lines, words]

    def _note(self, job: Job, **values: Any) -> None:
        """Keep how far a job is, for the page."""
        with self.database.write() as session:
            row = session.get(Job, job.id)
            for name, value in values.items():
                setattr(job, name, value)
                if row is not None:
                    setattr(row, name, value)

    def _stopped(self, job: Job) -> Job | None:
        """By a person it has ended; otherwise it is only left, and goes on."""
        with self.database.read() as session:
            asked = session.scalar(select(Job.stop_asked).where(Job.id == job.id))
            paused = job.kind == "backfill" and session.scalar(select(Backfill.state)) == "paused"
        if not asked and not paused:
            return None
        return self._end(job, "stopped", "It was stopped by a person; what was done until then stays done")

    def _end(self, job: Job, state: str, words: str) -> Job:
        self._note(job, state=state, words=words, finished_at=self.now(), lines=job.lines, found=job.found)
        log.info("job_ended", kind=job.kind, state=state, words=words)
        return job


def _some(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


@dataclass
class _Counted:
    """A ticket source that says when a ticket was looked at."""

    _source: TicketSource
    _looked: Callable[[], None]

    def count(self) -> int:
        return self._source.count()

    def tickets(self, after: int = 0) -> Iterator[Any]:
        for ticket in self._source.tickets(after):
            yield ticket
            self._looked()

    def entries(self, ticket_id: Any) -> Any:
        return self._source.entries(ticket_id)

    def unsent(self) -> int:
        return self._source.unsent()


def _words_of(match: Match) -> str:
    case = match.case
    words = f"#{match.ticket.number} is Case {case.number or case.id}: {case.fields.get('subject')}"
    for each in match.differing:
        theirs = (each.theirs or "").removeprefix(UNMAPPED)
        words += f"; {each.field}: the ticket has “{each.ours}”, the Case has “{theirs}”"
    return words
