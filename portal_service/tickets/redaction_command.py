"""`casebridge redact-ticket`: take the words of a ticket out for good, on both sides and at the broker."""

import click

from portal_service.base import open_database
from portal_service.files.storage import FolderStorage
from portal_service.settings import read_settings
from portal_service.tickets.actor import Actor
from portal_service.tickets.errors import Refused
from portal_service.tickets.models import Ticket
from portal_service.tickets.redaction import forget_contents, redact
from shared.broker import BrokerUnavailableError, open_broker
from shared.broker_ops import open_operations
from shared.clock import utc_now
from shared.database import opened
from shared.topology import DESTINATIONS


@click.command("redact-ticket")
@click.argument("number", type=int)
@click.option("--by", required=True, help="Who does it; the ticket's history and its Case say so.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def redact_ticket_command(number: int, by: str, yes: bool) -> None:
    """Take all words of ticket NUMBER out for good: here, in its Case and Notes, and in stored events."""
    settings = read_settings()
    with opened(open_database(settings.database_url)) as database:
        database.check()
        with database.read() as session:
            ticket = session.get(Ticket, number)
            if ticket is None:
                raise click.ClickException(f"there is no ticket #{number}")
            subject, ticket_id = ticket.subject, ticket.id
        if not yes:
            click.confirm(f"#{number} {subject}: this cannot be undone. Go on?", abort=True)
        with database.write() as session:
            found = session.get_one(Ticket, number)
            try:
                contents = redact(session, found, actor=Actor(kind="staff", name=by), now=utc_now())
            except Refused as refused:
                raise click.ClickException(refused.message_key) from refused
        with database.write() as session:
            forget_contents(session, FolderStorage(settings.files_root), contents, now=utc_now())
    click.echo(f"#{number} is redacted. Its Case follows within seconds, or when the CRM can be reached.")
    try:
        operations = open_operations(open_broker(settings.common))
        dead = sum(operations.discard(destination, subject=str(ticket_id)) for destination in DESTINATIONS)
    except BrokerUnavailableError as error:
        raise click.ClickException(f"dead letters about it may be left: {error}") from error
    click.echo(f"{dead} dead letters about it were deleted.")
