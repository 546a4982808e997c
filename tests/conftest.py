"""Fixtures of general use: real databases, one empty schema each, and one real browser for the whole run."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from sqlalchemy import MetaData, text

import crm_sync_service.models
import portal_service.models
from shared.database import Database

POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
RABBITMQ_URL = os.environ.get("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/%2F")

CHROMIUM = os.environ.get("TEST_CHROMIUM", "/usr/bin/chromium")
_CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_SECOND_LOOKS = 1
"""A page on two busy cores may be late for a look. What is late twice is a failure; each second look is reported."""

OpenDatabase = Callable[[str, MetaData], Database]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests in a browser their second look."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=_SECOND_LOOKS))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def backend(request: pytest.FixtureRequest) -> str:
    """Run the test once on SQLite and once on PostgreSQL."""
    backend: str = request.param
    return backend


@pytest.fixture
def open_database(tmp_path: Path) -> Iterator[OpenDatabase]:
    """Opens an empty database with all tables, on the backend asked for; it is gone after the test."""
    opened: list[Database] = []

    def open_(backend: str, metadata: MetaData) -> Database:
        name = f"t{uuid.uuid4().hex[:12]}"
        url = f"sqlite:///{tmp_path}/{name}.db" if backend == "sqlite" else POSTGRES_URL
        database = Database(url, schema=name, migrations=Path(), pool_size=20)
        opened.append(database)
        with database.engine.begin() as connection:
            if backend == "postgresql":
                connection.execute(text(f'CREATE SCHEMA "{name}"'))
            metadata.create_all(connection)
        return database

    yield open_
    for database in opened:
        if database.is_postgresql:
            with database.engine.begin() as connection:
                connection.execute(text(f'DROP SCHEMA "{database.schema}" CASCADE'))
        database.dispose()


@pytest.fixture
def sync_database(open_database: OpenDatabase, backend: str) -> Database:
    """The sync service's database, on both backends in turn."""
    return open_database(backend, crm_sync_service.models.Base.metadata)


@pytest.fixture
def portal_database(open_database: OpenDatabase, backend: str) -> Database:
    """The portal's database, on both backends in turn."""
    return open_database(backend, portal_service.models.Base.metadata)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One Chromium for all tests: Playwright runs only once in a process. Each test opens contexts of its own."""
    expect.set_options(timeout=20_000)  # the other core is busy, too
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()
