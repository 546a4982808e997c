"""Alembic's entry point for this service's migrations."""

from portal_service.models import Base
from shared.migration import run_migrations

run_migrations(Base.metadata)
