"""`casebridge adopt`: link tickets to the Cases that the CRM has of them already, before a backfill creates any."""

import click

from crm_sync_service.adoption import WAYS, Adopted, Adopter, By, Match
from crm_sync_service.connectors.base import CrmError
from crm_sync_service.crm import open_crm
from crm_sync_service.guard import guard
from crm_sync_service.merge import UNMAPPED
from crm_sync_service.models import open_database
from crm_sync_service.operation_settings import read_operation_settings
from crm_sync_service.settings import read_settings
from shared.clock import utc_now
from shared.database import opened
from shared.ticket_source import open_source

UNCLEAR = 1
CANNOT_RUN = 2


def adopt(work: Adopter, *, applying: bool) -> Adopted:
    """Match all tickets that have no Case, and link them if asked. Raises CrmError."""
    for match in work.matches(click.echo):
        click.echo(_words(match))
        if applying:
            work.adopt(match)
    return work.found


def summary(found: Adopted) -> str:
    """How many tickets have which luck, in one line."""
    return (
        f"{found.matched:,} matched, with {found.conflicts:,} fields to choose; {found.ambiguous:,} ambiguous; "
        f"{found.unmatched:,} without a Case."
    )


def _words(match: Match) -> str:
    lines = [f"#{match.ticket.number} is Case {match.case.number or match.case.id}: {match.case.fields.get('subject')}"]
    for each in match.differing:
        theirs = (each.theirs or "").removeprefix(UNMAPPED)
        lines.append(f'    {each.field}: the ticket has "{each.ours}", the Case has "{theirs}"')
    return "\n".join(lines)


@click.command("adopt")
@click.option("--dry-run/--apply", "dry", default=True, help="Only say what matches (the default), or link it.")
@click.option(
    "--by",
    type=click.Choice(WAYS),
    default="ticket-number",
    show_default=True,
    help="What a ticket and its Case have in common.",
)
@click.pass_context
def adopt_command(context: click.Context, dry: bool, by: By) -> None:
    """Find Cases that the CRM already has for tickets without one. Run it before `casebridge backfill`.

    A match must be the only one on both sides. Fields in which both have a value and differ stay as they are until
    somebody has chosen in the console. Nothing is deleted, and no customer gets a mail.

    Exit status: 0 when everything was clear, 1 when something was ambiguous, 2 when it could not run.
    """
    settings = read_settings()
    crm, mapping = open_crm(settings)
    try:
        with opened(open_database(settings.database_url)) as database, open_source() as source:
            database.check()
            guarded = guard(database, crm, read_operation_settings())
            work = Adopter(database=database, source=source, crm=guarded, mapping=mapping, by=by, now=utc_now)
            found = adopt(work, applying=not dry)
            guarded.budget.flush()
    except CrmError as error:
        click.echo(f"casebridge: could not go on, as the CRM did not do its part. {error}", err=True)
        context.exit(CANNOT_RUN)
    finally:
        crm.close()
    click.echo(summary(found))
    click.echo("Nothing was written: link them with --apply." if dry else "The sync worker links them now.")
    context.exit(UNCLEAR if found.ambiguous else 0)
