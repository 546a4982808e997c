"""The command of the portal's worker."""

import click

from portal_service.settings import read_settings
from portal_service.worker import run_worker
from shared.logs import configure_logs
from shared.process import stop_on_signals


@click.command("portal-worker")
def portal_worker() -> None:
    """Publish the portal's events, apply those of the CRM, send mails."""
    configure_logs("portal-worker")
    run_worker(read_settings(), stop_on_signals())
