"""Demo records, the same people and companies that the portal's demo knows."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from crm_sync_service.desk import auth, directory, stamps
from crm_sync_service.desk.models import Account, Contact, Product, Record, User
from shared.ids import derived_id

V = TypeVar("V")

PASSWORD = "casebridge-demo"  # noqa: S105 (public: it is printed where the demo starts)
_ACTOR = "Demo data"
_TIMEZONE = "Europe/Amsterdam"
_ACCOUNTS = {"acme": "Acme Instruments", "globex": "Globex GmbH & Söhne", "initech": "Initech Nederland B.V."}
_CONTACTS = {
    "carol": ("Carol Jansen", "carol@acme.example", "acme"),
    "peter": ("Peter de Vries", "peter@acme.example", "acme"),
    "dave": ("Dave Müller", "dave@globex.example", "globex"),
    "li": ("Li Wei 李伟", "li@globex.example", "globex"),
    "erin": ("Erin O'Neill", "erin@initech.example", "initech"),
    "sofia": ("Sofía García", "sofia@initech.example", "initech"),
}
_USERS = {
    "sam": "Sam Peters",
    "nora": "Nora Bakker",
    "tariq": "Tariq Aziz",
    "mila": "Mila Novak",
    "alex": "Alex Admin",
    "anna": "Anna Visser",
    "bram": "Bram Smit",
}
_LOGINS = ("anna", "bram", "alex")
"""Account managers and the administrator; support staff work in the portal."""
_PRODUCTS = {
    "portal": "Portal Server",
    "sync": "Sync Engine",
    "mobile": "Mobile App",
    "reports": "Report Builder",
    "sensor": "Sensor Gateway",
}


def load_demo(session: Session, now: datetime) -> None:
    """Add the demo records that are missing; those that are there stay as people have left them."""
    stamps.lock(session, now=now)
    for key, name in _missing(session, Account, _ACCOUNTS):
        directory.create_account(session, {"id": demo_id(Account, key), "name": name}, actor=_ACTOR, now=now)
    for key, (name, email, account) in _missing(session, Contact, _CONTACTS):
        values = {"name": name, "emails": [email], "account_id": demo_id(Account, account)}
        directory.create_contact(session, {"id": demo_id(Contact, key), **values}, actor=_ACTOR, now=now)
    for key, name in _missing(session, Product, _PRODUCTS):
        directory.create_product(session, {"id": demo_id(Product, key), "name": name}, actor=_ACTOR, now=now)
    for key, name in _missing(session, User, _USERS):
        directory.create_user(session, _user_values(key, name), actor=_ACTOR, now=now)


def demo_id(model: type[Record], key: str) -> uuid.UUID:
    return derived_id(f"demo-{model.__name__.lower()}", key)


def _missing(session: Session, model: type[Record], wanted: Mapping[str, V]) -> list[tuple[str, V]]:
    return [(key, values) for key, values in wanted.items() if session.get(model, demo_id(model, key)) is None]


def _user_values(key: str, name: str) -> dict[str, Any]:
    values = {"id": demo_id(User, key), "name": name, "email": f"{key}@support.example", "timezone": _TIMEZONE}
    if key not in _LOGINS:
        return values
    return {**values, "username_key": auth.name_key(key), "password_hash": auth.hash_password(PASSWORD)}
