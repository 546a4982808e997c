"""People who browse the portal in tests: they have cookies, follow forms and read pages."""

import re
from html import unescape
from io import BytesIO
from typing import Any

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal_service.people.models import Account, Contact, Staff, User
from portal_service.people.one_time import token_hash
from portal_service.people.sessions import start_session
from portal_service.tickets.models import Category, Product, Ticket
from portal_service.web.visits import SESSION_COOKIE
from shared.clock import utc_now
from shared.database import Database

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)


class Visitor:
    """One browser."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()
        self.database: Database = app.extensions["portal"].database

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.client.get(path, buffered=True, **kwargs)

    def post(self, path: str, *, follow: bool = False, **fields: Any) -> TestResponse:
        """Send a form with a valid token. Files are given as `files=[(name, content), ...]`."""
        files = fields.pop("files", [])
        data: dict[str, Any] = {"csrf_token": self.form_token(), **fields}
        if files:
            data["files"] = [(BytesIO(content), name) for name, content in files]
        return self.client.post(path, data=data, follow_redirects=follow)

    def form_token(self) -> str:
        token = _TOKEN.search(self.get("/knowledge").text)
        assert token
        return token[1]

    def file_request(self, **changes: Any) -> int:
        """Submit a request through the form as it is offered; returns its number."""
        response = self.post("/requests/new/level-1", **self.request(**changes))
        assert response.status_code == 303, text_of(response)
        return int(response.location.split("/")[-2])

    def request(self, **changes: Any) -> dict[str, Any]:
        """What a filled-in form sends."""
        page = self.get("/requests/new/level-1").text
        return {
            "form_token": _value(page, "form_token"),
            "account_id": _value(page, "account_id"),
            "product_id": self.id_of(Product, "Portal Server"),
            "subject": "The export is empty",
            "description": "I press export\nand get an empty page.",
            "nature": "",
            **changes,
        }

    def id_of(self, kind: type[Product | Account | Staff | Contact], name: str) -> str:
        with self.database.read() as session:
            return str(session.scalars(select(kind.id).where(kind.name == name)).one())

    def category(self, name: str) -> str:
        with self.database.read() as session:
            return str(session.scalars(select(Category.id).where(Category.name_en == name)).one())

    def owner_is_here(self) -> None:
        """As if the password had been given in this browser just now."""
        cookie = self.client.get_cookie(SESSION_COOKIE)
        assert cookie is not None
        with self.client.session_transaction() as kept:
            kept["sure"] = ["2999-01-01T00:00:00Z", token_hash(cookie.value)]

    def ticket(self, number: int) -> Ticket:
        with self.database.read() as session:
            ticket = session.scalars(select(Ticket).where(Ticket.number == number)).one()
            for name in ("assignee", "account", "product", "contact", "category"):
                getattr(ticket, name)
            return ticket


class Visitors:
    """Opens browsers, with or without a log-in."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    def anonymous(self) -> Visitor:
        return Visitor(self.app)

    def log_in(self, username: str) -> Visitor:
        visitor = Visitor(self.app)
        with visitor.database.write() as session:
            user = session.scalars(select(User).where(User.username_key == username)).one()
            user.language = "en"
            token = start_session(session, user, now=utc_now())
        visitor.client.set_cookie(SESSION_COOKIE, token)
        return visitor


def text_of(response: TestResponse) -> str:
    """What a reader sees of a page, on one line."""
    return " ".join(unescape(_TAGS.sub(" ", response.text)).split())


def _value(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    return found[1] if found else ""
