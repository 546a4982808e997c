"""Alembic's entry point for this service's migrations."""

from crm_sync_service.desk.models import Case
from shared.migration import run_migrations

run_migrations(Case.metadata)
