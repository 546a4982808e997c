"""`casebridge backfill`: old tickets get their Cases, at a rate, to be paused and gone on with at any time."""

import os
import socket
import sys
import threading
from collections.abc import Iterator

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from crm_sync_service.backfill import Backfiller, BackfillError, pause, waiting
from crm_sync_service.models import open_database
from crm_sync_service.operations import BackfillFigures, backfill_figures
from crm_sync_service.settings import read_settings
from shared.clock import utc_now
from shared.database import Database, opened
from shared.process import stop_on_signals
from shared.ticket_source import open_source

PAUSED = 1
CANNOT_RUN = 2
DEFAULT_RATE = 300
_TICK = 1.0


def run_backfill(work: Backfiller, stop: threading.Event, *, tick: float = _TICK) -> bool:
    """Step until everything is handed over and its lanes are done; False if it was stopped or paused before."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("Looking at tickets", total=None)
        while not stop.is_set():
            step = work.step()
            figures = _figures(work.database)
            bar.update(task, completed=figures.looked_at, total=figures.total)
            if step is None:
                return figures.state == "finished"
            if step == 0:
                stop.wait(tick)
    return False


def _figures(database: Database) -> BackfillFigures:
    with database.read() as session:
        figures = backfill_figures(session, now=utc_now())
    assert figures is not None
    return figures


def status_lines(figures: BackfillFigures | None) -> Iterator[str]:
    """How far it is, for people."""
    if figures is None:
        yield "No backfill was ever started."
        return
    yield (
        f"The backfill is {figures.state}: {figures.looked_at:,} of {figures.total:,} tickets looked at, "
        f"{figures.handed_over:,} given to their lanes, {figures.waiting:,} still waiting there."
    )
    if figures.eta is not None:
        yield f"At {figures.rate:,} a minute it has looked at all of them by {figures.eta:%Y-%m-%d %H:%M} UTC."


@click.command("backfill")
@click.option(
    "--rate",
    type=click.IntRange(1, 60_000),
    default=DEFAULT_RATE,
    show_default=True,
    help="Tickets looked at per minute.",
)
@click.option("--pause", "do", flag_value="pause", help="Let the running backfill stop; it can go on later.")
@click.option("--resume", "do", flag_value="resume", help="Go on with a paused one (the same as starting it).")
@click.option("--status", "do", flag_value="status", help="Only say how far it is.")
@click.option("--again", "do", flag_value="again", help="Begin with the first ticket once more.")
@click.pass_context
def backfill_command(context: click.Context, rate: int, do: str | None) -> None:
    """Give Cases to old tickets that have none, behind all live work. No customer gets a mail.

    If the CRM has Cases of these tickets already, run `casebridge adopt` first. Stop it with Ctrl+C or --pause at any
    time; the next start goes on where it was. The sync worker does the work and must be running.

    Exit status: 0 when all tickets were handed over, 1 when it was stopped before, 2 when it could not run.
    """
    settings = read_settings()
    with opened(open_database(settings.database_url)) as database:
        database.check()
        if do == "pause":
            with database.write() as session:
                done = pause(session, now=utc_now())
            click.echo("It stops within seconds." if done else "No backfill is running.")
        elif do == "status":
            with database.read() as session:
                lines = list(status_lines(backfill_figures(session, now=utc_now())))
            click.echo("\n".join(lines))
        else:
            context.exit(_run(database, rate=rate, again=do == "again"))


def _run(database: Database, *, rate: int, again: bool) -> int:
    with open_source() as source:
        work = Backfiller(database=database, source=source, owner=f"{socket.gethostname()}:{os.getpid()}", now=utc_now)
        try:
            work.start(rate=rate, again=again)
            done = run_backfill(work, stop_on_signals())
        except BackfillError as error:
            click.echo(f"casebridge: {error}", err=True)
            return CANNOT_RUN
        finally:
            work.close()
    with database.read() as session:
        left = waiting(session)
        lines = list(status_lines(backfill_figures(session, now=utc_now())))
    click.echo("\n".join(lines))
    if done and left:
        click.echo("The sync worker goes on with what waits; ask with --status.")
    return 0 if done else PAUSED
