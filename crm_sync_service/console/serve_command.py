"""The command of the sync console."""

import click

from crm_sync_service.console.alert_settings import read_alert_settings
from crm_sync_service.console.app import create_app, start_alerts
from crm_sync_service.models import open_database
from crm_sync_service.settings import read_settings
from shared.database import opened
from shared.logs import configure_logs
from shared.settings import read_env
from shared.web_server import read_server_settings, serve


@click.command()
def console() -> None:
    """Serve the sync console: health, queues, failures, retry."""
    configure_logs("console")
    settings = read_settings()
    server = read_server_settings(read_env(), "CONSOLE_PORT", 8001)
    with opened(open_database(settings.database_url)) as database:
        database.check()
    read_alert_settings(settings.common)  # a mistake in it shows at the start
    serve(lambda: start_alerts(create_app(settings)), server)
