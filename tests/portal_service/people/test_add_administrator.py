"""The first administrator of a portal that knows nobody, and what such a portal offers."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from portal_service import commands
from portal_service.app import create_app
from portal_service.base import open_database
from portal_service.people.administrator_command import add_administrator_command
from portal_service.people.models import Staff
from portal_service.settings import read_settings
from portal_service.tickets.models import Category, RequestType
from shared.database import opened

Command = Callable[..., Result]
SECRET = "a long and quiet evening"
ROBIN = ("robin", "--name", "Robin First", "--email", "robin@support.example")


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("CASEBRIDGE_HOME", str(tmp_path))
    commands.migrate()
    return lambda *arguments: CliRunner().invoke(add_administrator_command, arguments)


def choose_password(printed: str) -> int:
    """Follow the printed link and log in; returns the status of the page for administrators."""
    path = urlsplit(printed.rsplit(maxsplit=1)[-1]).path
    app = create_app(read_settings())
    browser = app.test_client()
    page = browser.get(path)
    assert page.status_code == 200
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    browser.post(path, data={"csrf_token": token, "password": SECRET, "password_again": SECRET})
    page = browser.get("/login")
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    browser.post("/login", data={"csrf_token": token, "username": "robin", "password": SECRET})
    status = browser.get("/staff/people").status_code
    app.extensions["portal"].database.dispose()
    return status


def test_the_printed_link_lets_the_first_administrator_in(add: Command) -> None:
    done = add(*ROBIN)
    assert done.exit_code == 0, done.output
    assert choose_password(done.output) == 200


def test_an_agent_who_is_there_gets_the_right_and_a_new_link(add: Command) -> None:
    add(*ROBIN)
    with opened(open_database(read_settings().database_url)) as database, database.write() as session:
        robin = session.scalars(select(Staff)).one()
        robin.is_admin = robin.active = False
    done = add("Robin")
    assert done.exit_code == 0, done.output
    assert choose_password(done.output) == 200


def test_what_is_wrong_is_said_and_nobody_added(add: Command) -> None:
    done = add("robin", "--email", "robin")
    assert done.exit_code == 1
    assert "name" in done.output
    assert "email" in done.output
    with opened(open_database(read_settings().database_url)) as database, database.read() as session:
        assert session.scalar(select(func.count()).select_from(Staff)) == 0


def test_a_new_portal_offers_types_and_categories_and_keeps_what_became_of_them(add: Command) -> None:
    with opened(open_database(read_settings().database_url)) as database:
        with database.write() as session:
            types = session.scalars(select(RequestType).order_by(RequestType.position)).all()
            assert [one.key for one in types][:2] == ["level-1", "level-2"]
            assert session.scalar(select(func.count()).select_from(Category)) == 3
            for one in types[1:]:
                session.delete(one)
        commands.migrate()
        with database.read() as session:
            assert session.scalar(select(func.count()).select_from(RequestType)) == 1
