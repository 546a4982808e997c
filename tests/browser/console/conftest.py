"""A console on a free port over a sync service that is driven by hand, and a real Chromium to visit it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from crm_sync_service.connectors.config import ConnectorConfig
from crm_sync_service.console.app import create_app
from crm_sync_service.console.auth import add_user
from crm_sync_service.merge import Policy
from crm_sync_service.models import Base, open_database
from crm_sync_service.settings import SyncSettings
from shared.broker import Broker
from shared.clock import utc_now
from shared.health import HealthAddress
from shared.settings import CommonSettings
from tests.crm_sync_service.engine import Engine
from tests.crm_sync_service.fake_crm import FakeCrm
from tests.stack import free_ports

PASSWORD = "correct horse battery"
Visit = Callable[..., Page]


@pytest.fixture
def settings(tmp_path: Path) -> SyncSettings:
    return SyncSettings(
        common=CommonSettings(
            home=tmp_path,
            broker_url=f"embedded:///{tmp_path}/broker.db",
            secret_key="s" * 40,
            portal_url="http://127.0.0.1:1",
            console_url=f"http://127.0.0.1:{free_ports(1)[0]}",
            crm_url="http://127.0.0.1:1",
        ),
        database_url=f"sqlite:///{tmp_path}/sync.db",
        crm_kind="desk",
        crm=ConnectorConfig(url="http://127.0.0.1:1", api_key="key"),
        crm_mapping=None,
        threads=2,
        poll_interval=timedelta(seconds=1),
        health=HealthAddress(host="127.0.0.1", port=0, setting="SYNC_WORKER_PORT"),
    )


@pytest.fixture
def engine(settings: SyncSettings) -> Iterator[Engine]:
    """A worker that runs only when told to; a person decides what both sides changed of the priority."""
    database = open_database(settings.database_url)
    Base.metadata.create_all(database.engine)
    with database.write() as session:
        add_user(session, "operator", PASSWORD, name="Olga Operator", role="admin")
    Broker(settings.common.broker_url).check()
    engine = Engine(database, FakeCrm())
    engine.clock = utc_now()
    engine.crm._now = lambda: engine.clock
    mapping = engine.runner.mapping
    policies = {**mapping.policies, "priority": Policy(direction="both", winner="ask")}
    engine.runner.mapping = replace(mapping, policies=policies)
    yield engine
    database.dispose()


@pytest.fixture
def console_url(settings: SyncSettings, engine: Engine) -> Iterator[str]:
    app = create_app(settings, open_crm=lambda _: (engine.crm, engine.runner.mapping))
    url = settings.common.console_url
    server = make_server("127.0.0.1", int(url.rpartition(":")[2]), app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield url
    server.shutdown()
    thread.join()
    server.server_close()
    app.extensions["console"].database.dispose()


@pytest.fixture
def visit(chromium: Browser, console_url: str) -> Iterator[Visit]:
    """Opens a window and logs in; `options` are those of a browser context. Fails on script errors."""
    opened: list[Page] = []
    troubles: list[str] = []

    def open_(path: str, **options: object) -> Page:
        context = chromium.new_context(base_url=console_url, **options)  # type: ignore[arg-type]
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: troubles.append(said.text) if "Content Security" in said.text else None)
        opened.append(page)
        page.goto(path)
        page.get_by_label("User name").fill("operator")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"**{path}")
        return page

    yield open_
    for page in opened:
        page.context.close()
    assert not troubles
