"""Programs that call the API in tests."""

from typing import Any

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal_service.people import tokens
from portal_service.people.models import Staff, User
from portal_service.tickets.models import Category, Product
from shared.clock import utc_now
from shared.database import Database

BASE = "/api/v1"


class Program:
    """One program with its token."""

    def __init__(self, app: Flask, token: str | None) -> None:
        self.app = app
        self.client = app.test_client(use_cookies=False)
        self.token = token
        self.database: Database = app.extensions["portal"].database

    def call(self, method: str, path: str, *, headers: dict[str, str] | None = None, **kwargs: Any) -> TestResponse:
        own = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return self.client.open(BASE + path, method=method, headers={**own, **(headers or {})}, buffered=True, **kwargs)

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.call("GET", path, **kwargs)

    def post(self, path: str, json: Any = None, **kwargs: Any) -> TestResponse:
        return self.call("POST", path, **({"json": json} if json is not None else {}), **kwargs)

    def patch(self, path: str, json: Any, **kwargs: Any) -> TestResponse:
        return self.call("PATCH", path, json=json, **kwargs)

    def put(self, path: str, json: Any, **kwargs: Any) -> TestResponse:
        return self.call("PUT", path, json=json, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> TestResponse:
        return self.call("DELETE", path, **kwargs)

    def request(self, **changes: Any) -> dict[str, Any]:
        """What a program sends to file a ticket."""
        account = self.get("/accounts").json["items"][0]["id"]
        return {
            "type": "level-1",
            "account_id": account,
            "product_id": self.id_of(Product, "Portal Server"),
            "subject": "The export is empty",
            "description": "I press export\nand get an empty page.",
            **changes,
        }

    def file(self, **changes: Any) -> int:
        """File a ticket; returns its number."""
        answer = self.post("/tickets", self.request(**changes))
        assert answer.status_code == 201, answer.text
        return int(answer.json["number"])

    def id_of(self, kind: type[Product | Staff | Category], name: str) -> str:
        column = kind.name_en if kind is Category else kind.name  # type: ignore[union-attr]
        with self.database.read() as session:
            return str(session.scalars(select(kind.id).where(column == name)).one())


def program_of(app: Flask, username: str, *scopes: str) -> Program:
    """A program with a token of this user."""
    database: Database = app.extensions["portal"].database
    with database.write() as session:
        user = session.scalars(select(User).where(User.username_key == username)).one()
        chosen = scopes or tokens.scopes_for(user)
        _token, plain = tokens.issue(session, user, name="test", scopes=chosen, now=utc_now())
    return Program(app, plain)


def code_of(answer: TestResponse) -> tuple[int, str]:
    """Status and code of a refusal."""
    assert answer.mimetype == "application/problem+json", answer.text
    return answer.status_code, answer.json["code"]


def faults(answer: TestResponse) -> dict[str, str]:
    """What is wrong, by field."""
    return {one["field"]: one["detail"] for one in answer.json["errors"]}
