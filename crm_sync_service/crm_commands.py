"""Small commands about the CRM: read its whole directory, and say that it is the same one under a new name."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from crm_sync_service.connectors.base import Connector, CrmError
from crm_sync_service.crm import open_crm
from crm_sync_service.directory_feed import refresh_directory
from crm_sync_service.installation import accept_crm, end_read_only
from crm_sync_service.models import open_database
from crm_sync_service.restored import Accepted, accept_portal
from crm_sync_service.settings import read_settings
from shared.clock import utc_now
from shared.database import Database, opened
from shared.ticket_source import open_source

CANNOT_RUN = 2


@contextmanager
def _crm(context: click.Context) -> Iterator[tuple[Database, Connector]]:
    """The database and the CRM of the settings; a CRM that does not do its part ends the command with status 2."""
    settings = read_settings()
    crm, _ = open_crm(settings)
    try:
        with opened(open_database(settings.database_url)) as database:
            database.check()
            yield database, crm
    except CrmError as error:
        click.echo(f"casebridge: could not go on, as the CRM did not do its part. {error}", err=True)
        context.exit(CANNOT_RUN)
    finally:
        crm.close()


@contextmanager
def _counter() -> Iterator[Callable[[int], bool]]:
    bar = Progress(
        TextColumn("Reading the directory: {task.completed:,.0f} records"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("", total=None)

        def count(number: int) -> bool:
            bar.advance(task, number)
            return True

        yield count


@click.command("sync-directory")
@click.pass_context
def sync_directory_command(context: click.Context) -> None:
    """Read all accounts, contacts, users and products of the CRM now and tell the portal of them.

    The sync worker does this by itself once a day, and follows changes all the time. Safe to repeat.
    """
    with _crm(context) as (database, crm), _counter() as count:
        for found in refresh_directory(database, crm, now=utc_now, go_on=count):
            line = f"{found.kind}s: {found.records:,} read, {found.changed:,} new or changed, {found.vanished:,} gone"
            click.echo(line + (f", {found.doubtful:,} missing and kept: see the console" if found.doubtful else ""))


@click.command("accept-crm")
@click.confirmation_option(prompt="Is the CRM that answers now the one whose Cases this database knows?")
@click.pass_context
def accept_crm_command(context: click.Context) -> None:
    """Say that the CRM is the same one, although it gives another name for itself.

    Never do this for another CRM, such as a copy for tests: the links of this database name Cases of the first one.
    """
    with _crm(context) as (database, crm):
        info = crm.info()
        with database.write() as session:
            accept_crm(session, crm.name, info, now=utc_now())
    click.echo(f"From now on this database belongs to the {info.name} that calls itself {info.instance!r}.")


@click.command("accept-portal")
@click.confirmation_option(prompt="Was the portal's database restored from a backup?")
@click.pass_context
def accept_portal_command(context: click.Context) -> None:
    """Take the portal's tickets as they are after a restore, and write again.

    Where a ticket is older than what was known and its Case differs, the Case's values are taken over. What the Case
    has more of, such as Notes of replies that were lost, stays there.
    """
    settings = read_settings()
    crm, mapping = open_crm(settings)
    counts = Accepted()
    try:
        with opened(open_database(settings.database_url)) as database, open_source() as source:
            database.check()
            for counts in accept_portal(database, source, mapping, now=utc_now()):  # noqa: B007 (the last one is all)
                pass
            with database.write() as session:
                end_read_only(session, crm.name)
    finally:
        crm.close()
    click.echo(f"{counts.tickets:,} tickets read, {counts.older:,} of them older than what was known. Writing goes on.")
    click.echo("When the lanes are done, `casebridge reconcile` says what differs still.")
    context.exit(0)
