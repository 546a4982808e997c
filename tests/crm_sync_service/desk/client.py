"""A client of the desk's API, and small helpers that several tests of the desk share."""

import html
import os
import re
import uuid
from contextlib import contextmanager

import sqlalchemy

from crm_sync_service.desk.app import create_app
from crm_sync_service.desk.base import SCHEMA, Base, open_database
from crm_sync_service.desk.demo import PASSWORD, load_demo
from crm_sync_service.desk.settings import DeskSettings
from shared.clock import utc_now
from shared.database import opened
from shared.ids import derived_id
from shared.settings import CommonSettings

KEY = "a-key-that-only-the-tests-know"
POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")


class Api:
    """A client that shows the right key, unless told otherwise."""

    def __init__(self, client, key=KEY):
        self._client = client
        self._key = key

    def __call__(self, method, path, *, headers=(), **options):
        headers = {"Authorization": f"Bearer {self._key}", **dict(headers)}
        return self._client.open(f"/api/v1{path}", method=method, headers=headers, **options)

    def get(self, path, **query):
        return self("GET", path, query_string=query)

    def post(self, path, json):
        return self("POST", path, json=json)

    def delete(self, path):
        return self("DELETE", path)

    def patch(self, path, json, *, version=None):
        return self("PATCH", path, json=json, headers={} if version is None else {"If-Match": f'"{version}"'})

    def case(self, **values):
        """A new Case, created."""
        answer = self.post("/cases", {"name": "Printer on fire", **values})
        assert answer.status_code == 201, answer.text
        return answer.json

    def note(self, case_id, **values):
        """A new Note, created."""
        note = {"case_id": case_id, "title": "Reply 1", "body": "Hello", "author": "Carol Jansen", "side": "customer"}
        answer = self.post("/notes", {**note, "position": 1, **values})
        assert answer.status_code == 201, answer.text
        return answer.json

    def rows(self, path, **query):
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json["rows"]


def demo(kind, key):
    """The id of a demo record, as the API shows it."""
    return str(derived_id(f"demo-{kind}", key))


UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
"""Of no record; fixed, so that tests named after it have the same name in every run."""


def fresh_id():
    return str(uuid.uuid4())


def desk_settings(database_url, home, **more):
    common = CommonSettings(
        home=home,
        broker_url=f"embedded:///{home}/broker.db",
        secret_key="s" * 40,
        portal_url="http://127.0.0.1:8000",
        console_url="http://127.0.0.1:8001",
        crm_url="http://127.0.0.1:8002",
    )
    return DeskSettings(common=common, database_url=database_url, api_key=KEY, **more)


@contextmanager
def served(settings):
    """The application, closed properly afterwards."""
    app = create_app(settings)
    yield app
    app.extensions["desk"].database.dispose()


def fill(database_url):
    """Start over with empty tables and the demo's accounts, contacts, products and users."""
    with opened(open_database(database_url)) as database:
        if database.is_postgresql:
            with database.engine.begin() as connection:
                connection.execute(sqlalchemy.text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
                connection.execute(sqlalchemy.text(f"CREATE SCHEMA {SCHEMA}"))
        Base.metadata.create_all(database.engine)
        with database.write() as session:
            load_demo(session, utc_now())


@contextmanager
def postgresql_database():
    """The URL of a new PostgreSQL database, which is gone afterwards."""
    server = sqlalchemy.create_engine(POSTGRES_URL, isolation_level="AUTOCOMMIT")
    name = f"desk_{uuid.uuid4().hex[:12]}"
    with server.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
        try:
            yield sqlalchemy.make_url(POSTGRES_URL).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


class Visitor:
    """Somebody at the pages with a browser that has no JavaScript."""

    def __init__(self, app):
        self._client = app.test_client()

    def get(self, path, **query):
        return self._client.get(path, query_string=query or None)

    def post(self, path, /, **form):
        """Send a form with the token that the pages give out."""
        page = self._client.get("/login", follow_redirects=True)
        form.setdefault("csrf_token", re.search(r'name="csrf_token" value="([^"]+)"', page.text)[1])
        return self._client.post(path, data=form)

    def log_in(self, username="anna", password=PASSWORD, **form):
        return self.post("/login", username=username, password=password, **form)

    def case_form(self, case_id, field, value, *, version):
        return self.post(f"/cases/{case_id}/fields/{field}", value=value, version=version)


def words_of(answer):
    """What a person reads on a page."""
    text = re.sub(r"<(script|style|svg|head).*?</\1>|<!--.*?-->", " ", answer.text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())
