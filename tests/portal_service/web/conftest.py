"""The portal with its demo data, one fresh copy for each test, and visitors who browse it."""

import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from portal_service import site
from portal_service.app import create_app
from portal_service.base import open_database
from portal_service.demo import load_demo
from portal_service.models import Base
from portal_service.settings import PortalSettings
from shared.clock import utc_now
from shared.database import Database
from shared.health import HealthAddress
from shared.settings import CommonSettings
from tests.portal_service.web.browsing import Visitor, Visitors


@pytest.fixture(scope="session")
def demo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the demo data, to be copied: hashing its passwords takes a second."""
    path = tmp_path_factory.mktemp("demo") / "portal.db"
    site.use(_common(path.parent))
    database = open_database(f"sqlite:///{path}")
    Base.metadata.create_all(database.engine)
    with database.write() as session:
        load_demo(session, utc_now())
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.dispose()
    return path


@pytest.fixture
def settings(tmp_path: Path, demo_file: Path) -> PortalSettings:
    shutil.copy(demo_file, tmp_path / "portal.db")
    return PortalSettings(
        common=_common(tmp_path),
        database_url=f"sqlite:///{tmp_path}/portal.db",
        smtp_url="smtp://127.0.0.1:1",
        mail_from="Support <support@support.example>",
        max_file_bytes=200_000,
        health=HealthAddress(host="127.0.0.1", port=1, setting="PORTAL_WORKER_HEALTH_PORT"),
    )


@pytest.fixture
def app(settings: PortalSettings, portal_site: None) -> Iterator[Flask]:
    app = create_app(settings)
    yield app
    app.extensions["portal"].database.dispose()


@pytest.fixture
def database(app: Flask) -> Database:
    database: Database = app.extensions["portal"].database
    return database


@pytest.fixture
def visitors(app: Flask) -> Visitors:
    return Visitors(app)


@pytest.fixture
def carol(visitors: Visitors) -> Visitor:
    """A customer of Acme."""
    return visitors.log_in("carol")


@pytest.fixture
def peter(visitors: Visitors) -> Visitor:
    """A customer of Acme who may read all its tickets."""
    return visitors.log_in("peter")


@pytest.fixture
def dave(visitors: Visitors) -> Visitor:
    """A customer of another company."""
    return visitors.log_in("dave")


@pytest.fixture
def sam(visitors: Visitors) -> Visitor:
    """A support agent."""
    return visitors.log_in("sam")


@pytest.fixture
def nobody(visitors: Visitors) -> Visitor:
    return visitors.anonymous()


def _common(home: Path) -> CommonSettings:
    return CommonSettings(
        home=home,
        broker_url="embedded:///unused",
        secret_key="k" * 40,
        portal_url="http://localhost",
        console_url="http://localhost:8001",
        crm_url="http://localhost:8002",
    )


@pytest.fixture
def png() -> bytes:
    """A picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\x00\xff\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
