"""`casebridge reconcile`: compare every ticket with its Case, and mend what differs through the lanes."""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from crm_sync_service.budget import background_pool
from crm_sync_service.connectors.base import Connector, CrmError
from crm_sync_service.crm import open_crm
from crm_sync_service.drift import Drift, DriftChecker, Tally, start_run
from crm_sync_service.guard import guard
from crm_sync_service.mapping import CaseMapping
from crm_sync_service.models import Link, open_database
from crm_sync_service.operation_models import DriftRun
from crm_sync_service.operation_settings import read_operation_settings
from crm_sync_service.repair import DIRECTIONS, Direction, preview, repair
from crm_sync_service.runner import LaneRunner
from crm_sync_service.settings import SyncSettings, read_settings
from crm_sync_service.verifier import THREADS
from shared.clock import utc_now
from shared.database import Database, opened
from shared.events import TicketChanged

DIFFERENT = 1
CANNOT_RUN = 2
_LOOKS = 150
_LOOK_SECONDS = 0.2
"""How often, and with what pause, a repaired ticket that other workers hold is looked at again."""


@dataclass(kw_only=True)
class Reconciliation:
    """One run of the command."""

    checker: DriftChecker
    runner: LaneRunner
    mending: bool
    direction: Direction = "auto"
    say: Callable[[str], None] = click.echo
    advance: Callable[[int], None] = lambda _: None
    tally: Tally = field(default_factory=Tally)
    left: Tally = field(default_factory=Tally)
    """What differs still; the same as `tally` when nothing is mended."""
    waits: int = 0
    """Repaired tickets whose change is on its way to the portal."""

    @property
    def database(self) -> Database:
        return self.checker.database

    def run(self, numbers: Sequence[int] = ()) -> None:
        """Compare all tickets, or some by number. Raises CrmError."""
        with background_pool(THREADS, "reconcile") as pool:
            for page in [self.checker.source.numbered(numbers)] if numbers else self._pages():
                self._page(page, pool)
                self.advance(len(page))
        if not numbers:
            for difference in self.checker.strangers():
                self.say(f"{difference}\n    repair: {preview(difference, None, direction='auto', policies={})}")
                self.tally.differ([difference])
                self.left.differ([difference])

    def _pages(self) -> Iterator[list[TicketChanged]]:
        last = 0
        while page := self.checker.source.page(after=last):
            yield page
            last = page[-1].number

    def _page(self, page: Sequence[TicketChanged], pool: ThreadPoolExecutor) -> None:
        drifts = list(self.checker.check_all(page, pool))
        mended = []
        for ticket, drift in zip(page, drifts, strict=True):
            self.tally.add(drift)
            self._tell(drift)
            if drift.differences and self.mending and self._repair(drift):
                mended.append(ticket)
            else:
                self.left.add(drift)
        self.tally.repairs += len(mended)
        if mended:
            self.runner.run_until_idle()
            for drift in pool.map(self._again, mended):
                self.left.add(drift)
                self.waits += drift.busy

    def _tell(self, drift: Drift) -> None:
        with self.database.read() as session:
            link = session.get(Link, drift.ticket_id) if drift.differences else None
        policies = self.checker.mapping.policies
        for difference in drift.differences:
            would = preview(difference, link, direction=self.direction, policies=policies)
            self.say(f"{difference}\n    repair: {would}")

    def _repair(self, drift: Drift) -> bool:
        with self.database.write() as session:
            return repair(
                session,
                drift.ticket_id,
                drift.differences,
                direction=self.direction,
                policies=self.checker.mapping.policies,
                now=utc_now(),
            )

    def _again(self, ticket: TicketChanged) -> Drift:
        """How a repaired ticket is now; a worker may still hold its lane."""
        pause = threading.Event()
        for _ in range(_LOOKS):
            drift = self.checker.check(ticket)
            if not drift.busy or self._awaits_portal(ticket):
                break
            pause.wait(_LOOK_SECONDS)
        return drift

    def _awaits_portal(self, ticket: TicketChanged) -> bool:
        with self.database.read() as session:
            link = session.get(Link, ticket.ticket_id)
            return link is not None and link.pending_pull is not None

    def summary(self) -> Iterator[str]:
        """What was found and done, in lines."""
        tally = self.tally
        yield f"Compared {_n(tally.tickets, 'ticket')}, {_n(tally.cases, 'Case')}, {_n(tally.notes, 'Note')}."
        for name, number in sorted(tally.counts.items()):
            yield f"  {number:,} × {name}"
        if tally.skipped:
            yield f"{_n(tally.skipped, 'ticket')} skipped, as they are being worked on."
        if tally.held or tally.tombstones:
            yield "What is held back or has no Case any more waits for a person: see the console."
        if self.mending:
            yield f"{_n(tally.repairs, 'ticket')} repaired; {_n(self.left.differences, 'difference')} left."
        elif tally.differences:
            yield f"{_n(tally.differences, 'difference')}; nothing was written. Mend with --repair."
        else:
            yield "No difference."
        if self.waits:
            yield f"{_n(self.waits, 'ticket')} still wait for the portal's answer: run this again in a minute."

    @property
    def all_equal(self) -> bool:
        return self.left.differences == 0 and self.waits == 0


def _n(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar for people; nothing where nobody watches."""
    bar = Progress(
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("", total=total)
        yield lambda number: bar.advance(task, number)


def new_runner(database: Database, crm: Connector, mapping: CaseMapping, settings: SyncSettings) -> LaneRunner:
    """Works lanes in a command's own process, under the same leases as the workers."""
    return LaneRunner(
        database=database,
        crm=crm,
        mapping=mapping,
        owner=f"{socket.gethostname()}:{os.getpid()}",
        threads=settings.threads,
        now=utc_now,
    )


def reconcile(work: Reconciliation, numbers: Sequence[int]) -> None:
    """Run it under a drift run that is kept. Raises CrmError; the run then has no end."""
    with work.database.write() as session:
        run_id = start_run(session, "command", now=utc_now()).id
    with _bar("Comparing tickets", len(numbers) or work.checker.source.count()) as work.advance:
        work.run(numbers)
    with work.database.write() as session:
        run = session.get_one(DriftRun, run_id)
        work.tally.store(run)
        run.finished_at = utc_now()


@click.command("reconcile")
@click.option("--dry-run/--repair", "dry", default=True, help="Only say what differs (the default), or mend it.")
@click.option(
    "--direction",
    type=click.Choice(DIRECTIONS),
    default="auto",
    show_default=True,
    help="Whose values a repair takes: what changed last and the field's policy say (auto), the ticket's, the Case's.",
)
@click.option("--ticket", "numbers", type=int, multiple=True, metavar="N", help="Only this ticket; may be repeated.")
@click.pass_context
def reconcile_command(context: click.Context, dry: bool, direction: Direction, numbers: tuple[int, ...]) -> None:
    """Compare every ticket with its Case and mend what differs.

    A repair goes the ordinary way, through each ticket's lane, so workers may run meanwhile. Notes and Cases are never
    deleted, and a Case that was deleted in the CRM is not made again by itself.

    Exit status: 0 when nothing differs (any more), 1 when something does, 2 when it could not run.
    """
    settings = read_settings()
    crm, mapping = open_crm(settings)
    try:
        with opened(open_database(settings.database_url, pool_size=THREADS + 4)) as database:
            database.check()
            guarded = guard(database, crm, read_operation_settings())
            work = Reconciliation(
                checker=DriftChecker(database, guarded, mapping),
                runner=new_runner(database, guarded, mapping, settings),
                mending=not dry,
                direction=direction,
            )
            reconcile(work, numbers)
            guarded.budget.flush()
    except CrmError as error:
        click.echo(f"casebridge: could not go on, as the CRM did not do its part. {error}", err=True)
        context.exit(CANNOT_RUN)
    finally:
        crm.close()
    for line in work.summary():
        click.echo(line)
    context.exit(0 if work.all_equal else DIFFERENT)
