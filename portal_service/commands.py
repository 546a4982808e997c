"""Commands of the portal."""

import click
from sqlalchemy import select

from portal_service.app import create_app
from portal_service.base import open_database
from portal_service.demo import load_demo
from portal_service.files.storage import FolderStorage
from portal_service.knowledge.demo import load_download
from portal_service.knowledge.index import index_stale
from portal_service.people.auth import username_key
from portal_service.people.models import User
from portal_service.people.second_factor import remove_all
from portal_service.people.sessions import end_all_sessions
from portal_service.settings import read_settings
from portal_service.tickets.defaults import load_offer
from shared.clock import utc_now
from shared.database import opened
from shared.logs import configure_logs
from shared.settings import read_env
from shared.web_server import read_server_settings, serve


@click.command()
def portal() -> None:
    """Serve the support portal's pages and API."""
    configure_logs("portal")
    settings = read_settings()
    server = read_server_settings(read_env(), "PORTAL_PORT", 8000)
    with opened(open_database(settings.database_url)) as database:
        database.check()
    serve(lambda: create_app(settings), server)


@click.command("remove-second-step")
@click.argument("username")
def remove_second_step(username: str) -> None:
    """Let USERNAME, who lost phone and codes, log in with the password alone; ends all sessions and mails the owner."""
    with opened(open_database(read_settings().database_url)) as database, database.write() as session:
        user = session.scalar(select(User).where(User.username_key == username_key(username)))
        if user is None:
            raise click.ClickException(f"there is no log-in {username!r}: give the user name as it is typed to log in")
        remove_all(session, user, now=utc_now())
        end_all_sessions(session, user)
        click.echo(f"{user.username} logs in with the password alone now. All browsers are logged out.")


def migrate() -> None:
    with opened(open_database(read_settings().database_url)) as database:
        database.upgrade()
        left = 1
        while left:
            with database.write() as session:
                left = index_stale(session)
        with database.write() as session:
            load_offer(session)


def load_demo_data() -> None:
    settings = read_settings()
    with opened(open_database(settings.database_url)) as database, database.write() as session:
        load_demo(session, utc_now())
        load_download(session, FolderStorage(settings.files_root), now=utc_now())
