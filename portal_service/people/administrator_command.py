"""`casebridge add-administrator`: who makes all other log-ins."""

import click

from portal_service.base import open_database
from portal_service.people.staff_accounts import INVITED_FOR, NewStaff, add_administrator
from portal_service.settings import read_settings
from portal_service.tickets.errors import Invalid
from shared.clock import utc_now
from shared.database import opened
from shared.settings import LANGUAGES


@click.command("add-administrator")
@click.argument("username")
@click.option("--name", default="", help="As customers and colleagues read it.")
@click.option("--email", default="", help="The same as in the CRM, so that both know it is one person.")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", show_default=True)
def add_administrator_command(username: str, name: str, email: str, language: str) -> None:
    """Make USERNAME an administrator of the portal, and print a link that lets this person choose a password.

    An agent who is there already keeps name and address, gets the right, and is let in again if deactivated.
    """
    settings = read_settings()
    given = NewStaff(name=name, email=email, username=username, language=language)
    with opened(open_database(settings.database_url)) as database:
        database.check()
        try:
            with database.write() as session:
                token = add_administrator(session, given, now=utc_now())
        except Invalid as invalid:
            raise click.ClickException(str(invalid)) from None
    click.echo(f"{username} is an administrator. This link works once, for {INVITED_FOR.days} days:")
    click.echo(f"{settings.common.portal_url}/password/reset/{token}")
