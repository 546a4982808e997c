"""What only a database with parallel writers shows: forms that arrive twice at the same moment."""

import dataclasses
import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.engine import make_url

from portal_service import site
from portal_service.app import create_app
from portal_service.base import SCHEMA, open_database
from portal_service.demo import load_demo
from portal_service.models import Base
from portal_service.people.models import User
from portal_service.settings import PortalSettings
from portal_service.tickets.actions import NewTicket, actor_for, submit_ticket
from portal_service.tickets.models import Category, RequestType, Ticket
from portal_service.web.visits import SESSION_COOKIE
from shared.clock import utc_now
from shared.database import Database
from tests.conftest import POSTGRES_URL
from tests.portal_service.web.browsing import Visitors, text_of

pytestmark = pytest.mark.postgres


@pytest.fixture
def app(settings: PortalSettings, portal_site: None) -> Iterator[Flask]:
    """The portal on a PostgreSQL database of its own."""
    name = f"portal_{uuid.uuid4().hex[:12]}"
    server = create_engine(POSTGRES_URL, isolation_level="AUTOCOMMIT")
    url = make_url(POSTGRES_URL).set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    site.use(settings.common)
    database = open_database(url)
    with database.engine.begin() as connection:
        connection.execute(text(f'CREATE SCHEMA "{SCHEMA}"'))
        Base.metadata.create_all(connection)
    with database.write() as session:
        load_demo(session, utc_now())
    database.dispose()
    app = create_app(dataclasses.replace(settings, database_url=url))
    yield app
    app.extensions["portal"].database.dispose()
    with server.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    server.dispose()


def test_a_form_arriving_four_times_at_once_is_one_ticket(visitors: Visitors) -> None:
    carol = visitors.log_in("carol")
    form, cookie = carol.request(), carol.client.get_cookie(SESSION_COOKIE)
    assert cookie

    def send(_: int) -> str:
        tab = visitors.anonymous()
        tab.client.set_cookie(SESSION_COOKIE, cookie.value)
        return str(tab.post("/requests/new/level-1", **form).location)

    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(send, range(4)))
    assert len(answers) == 1
    assert answers.pop().endswith("/received")
    with carol.database.read() as session:
        assert session.scalar(select(func.count()).where(Ticket.subject == form["subject"])) == 1


def test_two_hundred_requests_at_once_get_two_hundred_numbers(app: Flask) -> None:
    """S30: nobody waits for good, no number is given twice."""
    database: Database = app.extensions["portal"].database

    def submit(count: int) -> list[int]:
        return [_submit_one(database) for _ in range(count)]

    with ThreadPoolExecutor(8) as pool:
        numbers = [number for part in pool.map(submit, [25] * 8) for number in part]
    assert len(set(numbers)) == 200


def _submit_one(database: Database) -> int:
    with database.write() as session:
        user = session.scalars(select(User).where(User.username_key == "carol")).one()
        assert user.contact is not None
        new = NewTicket(
            request_type_id=session.scalars(select(RequestType.id).where(RequestType.key == "level-1")).one(),
            account_id=user.contact.account_id,
            contact_id=user.contact.id,
            category_id=session.scalars(select(Category.id).limit(1)).one(),
            subject="One of many",
            description="At the same moment",
            details={},
        )
        return submit_ticket(session, new, actor=actor_for(user), now=utc_now(), rng=random.SystemRandom()).number


def test_the_pages_work_there_too(visitors: Visitors) -> None:
    carol, sam = visitors.log_in("carol"), visitors.log_in("sam")
    number = carol.file_request()
    assert sam.get("/staff/tickets?q=carol&sort=account").status_code == 200
    assert sam.get(f"/staff/tickets/{number}").status_code == 200
    assert sam.post(f"/staff/tickets/{number}/reply", body="Which version?", pending="yes").status_code == 303
    assert "Which version?" in text_of(carol.get(f"/cases/{number}/comments"))
    for page in ("/", "/cases?q=export&sort=product", "/cases?sort=opened_at", "/knowledge?q=password"):
        assert carol.get(page).status_code == 200
    for page in ("?quiet=24", "?assignee=nobody", "/calls", "/deleted"):
        assert sam.get(f"/staff/tickets{page}").status_code == 200
    for visitor, page in ((carol, "/cases/export.csv"), (sam, "/staff/tickets/export.csv")):
        assert f'"{number}"' in visitor.get(page).text
    assert sam.post(f"/staff/tickets/{number}/edit", parent_number="1001", was_parent_number="").status_code == 303
    assert "#1001" in sam.get(f"/staff/tickets/{number}").text
