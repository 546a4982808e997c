"""Migrations: from nothing to just the tables the code declares, on both databases."""

import alembic.autogenerate
import pytest
from alembic.migration import MigrationContext
from sqlalchemy import text

import crm_sync_service.desk.base
import crm_sync_service.desk.models
import crm_sync_service.models
import portal_service.base
import portal_service.models
from shared.database import Database, DatabaseUnavailableError
from tests.conftest import POSTGRES_URL

SERVICES = {
    "portal": (portal_service.base.open_database, portal_service.models.Base.metadata),
    "sync": (crm_sync_service.models.open_database, crm_sync_service.models.Base.metadata),
    "crm": (crm_sync_service.desk.base.open_database, crm_sync_service.desk.models.Base.metadata),
}


@pytest.fixture
def empty_database(backend, tmp_path):
    """A database without any schema, of the chosen kind, thrown away afterwards."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path}/service.db"
        return
    server = Database(POSTGRES_URL, schema="public", migrations=tmp_path)
    name = f"migrations_{tmp_path.name[-20:].replace('-', '_').lower()}"
    autocommit = server.engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    yield str(server.url.set(database=name).render_as_string(hide_password=False))
    with autocommit.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    server.dispose()


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_make_what_the_code_declares(service, empty_database):
    open_database, metadata = SERVICES[service]
    database = open_database(empty_database)
    with pytest.raises(DatabaseUnavailableError, match="casebridge migrate"):
        database.check()
    database.upgrade()
    database.upgrade()
    database.check()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert alembic.autogenerate.compare_metadata(context, metadata) == []
    database.dispose()


def test_ticket_numbers_begin_at_1001(empty_database):
    database = portal_service.base.open_database(empty_database)
    database.upgrade()
    with database.engine.connect() as connection:
        if database.is_postgresql:
            number = connection.execute(text("SELECT nextval('tickets_number_seq')")).scalar()
        else:
            number = 1 + connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name='tickets'")).scalar_one()
    assert number == 1001
    database.dispose()
