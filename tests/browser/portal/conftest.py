"""The portal on a free port with its demo data, and a real Chromium to visit it."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from portal_service import site
from portal_service.app import create_app
from portal_service.base import open_database
from portal_service.clocks.hours import read_hours
from portal_service.demo import PASSWORD, load_demo
from portal_service.models import Base
from portal_service.office import Office
from portal_service.settings import PortalSettings
from shared.clock import utc_now
from shared.health import HealthAddress
from shared.settings import CommonSettings
from tests.stack import free_ports

Visit = Callable[..., Page]


@pytest.fixture(scope="session")
def portal_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that portal."""
    return tmp_path_factory.mktemp("portal")


@pytest.fixture(scope="session")
def portal_url(portal_home: Path) -> Iterator[str]:
    """Where a portal with the demo data answers; each test adds to it, none relies on the others."""
    port = free_ports(1)[0]
    settings = _settings(portal_home, f"http://127.0.0.1:{port}")
    site.use(settings.common)
    database = open_database(settings.database_url)
    Base.metadata.create_all(database.engine)
    with database.write() as session:
        load_demo(session, utc_now())
    database.dispose()
    app = create_app(settings)
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield settings.common.portal_url
    server.shutdown()
    thread.join()
    server.server_close()
    app.extensions["portal"].database.dispose()


@pytest.fixture
def visit(chromium: Browser, portal_url: str, portal_home: Path) -> Iterator[Visit]:
    """Opens a window of its own for a person; `options` are those of a browser context. Fails on script errors.

    Nobody has a draft yet: a test that ended in the middle of a form leaves one.
    """
    with closing(sqlite3.connect(portal_home / "portal.db", timeout=20)) as database, database:
        database.execute("DELETE FROM drafts")
    opened: list[Page] = []
    troubles: list[str] = []

    def open_(username: str | None = None, **options: object) -> Page:
        context = chromium.new_context(base_url=portal_url, locale="en-GB", **options)  # type: ignore[arg-type]
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: troubles.append(said.text) if "Content Security" in said.text else None)
        opened.append(page)
        if username is not None:
            page.goto("/login")
            page.get_by_label("User name").fill(username)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("main").get_by_role("button", name="Log in").click()
            page.wait_for_url(lambda url: "/login" not in url)
        return page

    yield open_
    for page in opened:
        page.context.close()
    assert not troubles


def _settings(home: Path, url: str) -> PortalSettings:
    return PortalSettings(
        common=CommonSettings(
            home=home,
            broker_url="embedded:///unused",
            secret_key="k" * 40,
            portal_url=url,
            console_url="http://127.0.0.1:1",
            crm_url="http://127.0.0.1:1",
        ),
        database_url=f"sqlite:///{home}/portal.db",
        smtp_url="smtp://127.0.0.1:1",
        mail_from="Support <support@support.example>",
        max_file_bytes=2_000_000,
        health=HealthAddress(host="127.0.0.1", port=1, setting="PORTAL_WORKER_HEALTH_PORT"),
        office=Office(
            emergency_line="1-866-281-8350", hours=read_hours("OFFICE_HOURS", "Mon-Fri 09:00-17:30 Europe/Amsterdam")
        ),
    )
