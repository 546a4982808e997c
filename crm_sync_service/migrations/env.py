"""Alembic's entry point for this service's migrations."""

import crm_sync_service.console.models
import crm_sync_service.operation_models  # noqa: F401 (both declare tables)
from crm_sync_service.models import Base
from shared.migration import run_migrations

run_migrations(Base.metadata)
