"""The command of the bundled CRM."""

from dataclasses import replace

import click

from crm_sync_service.desk.app import create_app
from crm_sync_service.desk.base import open_database
from crm_sync_service.desk.settings import read_settings
from shared.database import opened
from shared.logs import configure_logs
from shared.settings import read_env
from shared.web_server import read_server_settings, serve


@click.command()
def crm() -> None:
    """Serve the bundled CRM: pages for account managers, and its API."""
    configure_logs("crm")
    settings = read_settings()
    server = read_server_settings(read_env(), "CRM_PORT", 8002)
    with opened(open_database(settings.database_url)) as database:
        database.check()
    # Fault plans live in the memory of one process; threads serve its few users.
    serve(lambda: create_app(settings), replace(server, workers=1))
