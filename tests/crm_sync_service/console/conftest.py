"""A console over a sync service that is driven by hand, and a browser that is logged in."""

import re
import shutil
from datetime import timedelta

import pytest

from crm_sync_service.connectors.config import ConnectorConfig
from crm_sync_service.console.app import create_app
from crm_sync_service.console.auth import add_user
from crm_sync_service.models import open_database
from crm_sync_service.settings import SyncSettings
from shared.broker import Broker
from shared.clock import utc_now
from shared.health import HealthAddress
from shared.settings import CommonSettings
from tests.crm_sync_service.engine import Engine
from tests.crm_sync_service.fake_crm import FakeCrm

PASSWORD = "correct horse battery"


@pytest.fixture
def settings(tmp_path):
    return SyncSettings(
        common=CommonSettings(
            home=tmp_path,
            broker_url=f"embedded:///{tmp_path}/broker.db",
            secret_key="s" * 40,
            portal_url="http://127.0.0.1:8000",
            console_url="http://127.0.0.1:8001",
            crm_url="http://127.0.0.1:8002",
        ),
        database_url=f"sqlite:///{tmp_path}/sync.db",
        crm_kind="desk",
        crm=ConnectorConfig(url="http://127.0.0.1:1", api_key="key"),
        crm_mapping=None,
        threads=2,
        poll_interval=timedelta(seconds=1),
        health=HealthAddress(host="127.0.0.1", port=0, setting="SYNC_WORKER_PORT"),
    )


@pytest.fixture(scope="session")
def database_file(tmp_path_factory):
    """A migrated database with one user of each role, made once: hashing passwords takes its time."""
    file = tmp_path_factory.mktemp("console") / "sync.db"
    database = open_database(f"sqlite:///{file}")
    database.upgrade()
    with database.write() as session:
        for role in ("viewer", "operator", "admin"):
            add_user(session, role, PASSWORD, name=role.title(), role=role)
    database.dispose()
    return file


@pytest.fixture
def database(settings, database_file):
    shutil.copy(database_file, settings.common.home / "sync.db")
    Broker(settings.common.broker_url).check()
    database = open_database(settings.database_url)
    yield database
    database.dispose()


@pytest.fixture
def engine(database):
    """A sync service at this moment."""
    engine = Engine(database, FakeCrm())
    engine.clock = utc_now()
    engine.crm._now = lambda: engine.clock
    return engine


@pytest.fixture
def app(settings, engine):
    crm = engine.crm
    app = create_app(settings, open_crm=lambda _: (crm, crm.mapping()))
    yield app
    app.extensions["console"].database.dispose()


class Browser:
    """A Flask client that fills in forms as a person does."""

    def __init__(self, app):
        self.client = app.test_client()

    def get(self, path, **options):
        return self.client.get(path, **options)

    def text(self, path):
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return readable(answer.text)

    def post(self, path, *, on="/log-in", **fields):
        """Send a form with the token that the page `on` has."""
        page = self.get(on).text
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert token, f"{on} has no form"
        return self.client.post(path, data={"csrf_token": token[1], **fields})

    def log_in(self, name, password=PASSWORD):
        return self.post("/log-in", username=name, password=password)


def readable(html):
    """A page's words, as somebody reads them."""
    without_code = re.sub(r"<(script|style)\b.*?</\1>|<!--.*?-->", "", html, flags=re.DOTALL)
    words = re.sub(r"<[^>]+>", " ", without_code)
    for entity, character in {"&#34;": '"', "&#39;": "'", "&lt;": "<", "&gt;": ">", "&amp;": "&"}.items():
        words = words.replace(entity, character)
    return " ".join(words.split())


@pytest.fixture
def browser(app):
    """Nobody is logged in."""
    return Browser(app)


@pytest.fixture
def operator(app):
    browser = Browser(app)
    assert browser.log_in("operator").status_code == 302
    return browser


@pytest.fixture
def viewer(app):
    browser = Browser(app)
    assert browser.log_in("viewer").status_code == 302
    return browser
