"""The command of the sync worker."""

import click

from crm_sync_service.settings import read_settings
from crm_sync_service.worker import run_worker
from shared.logs import configure_logs
from shared.process import stop_on_signals


@click.command("sync-worker")
def sync_worker() -> None:
    """Carry tickets to the CRM and its changes back."""
    configure_logs("sync-worker")
    run_worker(read_settings(), stop_on_signals())
