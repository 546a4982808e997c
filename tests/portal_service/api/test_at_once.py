"""Calls sent twice on both databases, one after the other and at the same moment."""

import dataclasses
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.engine import make_url

from portal_service import site
from portal_service.app import create_app
from portal_service.base import SCHEMA, open_database
from portal_service.demo import load_demo
from portal_service.models import Base
from portal_service.settings import PortalSettings
from portal_service.tickets.models import Reply, Ticket
from shared.clock import utc_now
from tests.conftest import POSTGRES_URL
from tests.portal_service.api.calling import Program, program_of

KEY = {"Idempotency-Key": "order-4711"}


@pytest.fixture
def app(backend: str, settings: PortalSettings, portal_site: None) -> Iterator[Flask]:
    """The portal, on SQLite and on PostgreSQL in turn."""
    if backend == "sqlite":
        app = create_app(settings)
        yield app
        app.extensions["portal"].database.dispose()
        return
    name = f"portal_{uuid.uuid4().hex[:12]}"
    server = create_engine(POSTGRES_URL, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    url = make_url(POSTGRES_URL).set(database=name).render_as_string(hide_password=False)
    _fill(settings, url)
    app = create_app(dataclasses.replace(settings, database_url=url))
    yield app
    app.extensions["portal"].database.dispose()
    with server.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    server.dispose()


def _fill(settings: PortalSettings, url: str) -> None:
    site.use(settings.common)
    database = open_database(url)
    with database.engine.begin() as connection:
        connection.execute(text(f'CREATE SCHEMA "{SCHEMA}"'))
        Base.metadata.create_all(connection)
    with database.write() as session:
        load_demo(session, utc_now())
    database.dispose()


def test_a_call_sent_again_gives_the_same_answer(carol: Program) -> None:
    request = carol.request(subject="Only once")
    first = carol.post("/tickets", request, headers=KEY)
    again = carol.post("/tickets", request, headers=KEY)
    assert first.status_code == again.status_code == 201
    assert (again.data, again.headers["ETag"]) == (first.data, first.headers["ETag"])
    assert again.headers["Location"] == first.headers["Location"]
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")
    assert carol.get("/tickets?q=Only once").json["items"][0]["number"] == first.json["number"]
    with carol.database.read() as session:
        assert session.scalar(select(func.count()).where(Ticket.subject == "Only once")) == 1


def test_calls_at_the_same_moment_are_one(carol: Program) -> None:
    number = carol.file()
    together = Barrier(4)

    def send(_: int) -> tuple[int, str]:
        together.wait(10)
        answer = carol.post(f"/tickets/{number}/comments", {"body": "Once, please."}, headers=KEY)
        return answer.status_code, answer.text

    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(send, range(4)))
    assert len(answers) == 1
    assert answers.pop()[0] == 201
    with carol.database.read() as session:
        assert session.scalar(select(func.count()).where(Reply.body == "Once, please.")) == 1


@pytest.fixture
def program_of_sam(app: Flask) -> Program:
    return program_of(app, "sam")


def test_changes_at_the_same_moment_with_one_version_are_one(program_of_sam: Program, carol: Program) -> None:
    number = carol.file()
    version = program_of_sam.get(f"/tickets/{number}").headers["ETag"]
    together = Barrier(3)

    def send(priority: str) -> int:
        together.wait(10)
        answer = program_of_sam.patch(f"/tickets/{number}", {"priority": priority}, headers={"If-Match": version})
        return answer.status_code

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(send, ("low", "high", "urgent"))) == [200, 412, 412]
