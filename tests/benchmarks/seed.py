"""As many tickets as the other portal is measured with, and like them: texts of the same length, three entries each."""

import random
import uuid
from datetime import datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from portal_service.demo import load_demo
from portal_service.people.models import Contact, Staff, StaffPermission
from portal_service.tickets.models import Product, Reply, RequestType, Ticket

PRODUCT_ID = uuid.UUID("00000000-0000-4000-8000-00000000b0b0")
"""`portal.json` names it."""
_AGENTS, _AT_ONCE, _OPEN_SHARE = 20, 1000, 0.4
_WORDS = (
    "printer", "export", "invoice", "warehouse", "login", "mailbox", "screen", "report", "license", "error", "message",
    "session", "network", "timeout", "password", "update", "module", "customer", "order", "payment", "stock", "label",
    "browser", "certificate",
)  # fmt: skip


def seed(session: Session, count: int, *, now: datetime) -> None:
    """The demo's people, 20 agents more, and `count` tickets, of which two fifths are unfinished."""
    load_demo(session, now)
    rng = random.Random(7)
    session.add(Product(id=PRODUCT_ID, name="Measured product", crm_id="bench-product"))
    kind = session.scalars(select(RequestType).where(RequestType.key == "level-1")).one()
    agents = [
        Staff(
            id=uuid.UUID(int=rng.getrandbits(128), version=4),
            name=f"Agent Number {number}",
            email=f"agent{number}@support.example",
            crm_id=f"bench-agent-{number}",
            permissions=[StaffPermission(request_type_id=kind.id)],
        )
        for number in range(_AGENTS)
    ]
    session.add_all(agents)
    session.flush()
    contacts = list(session.scalars(select(Contact)))
    for first in range(0, count, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, count))
        tickets = [_ticket(rng, now - timedelta(minutes=50 * (count - at)), kind, contacts, agents) for at in numbers]
        session.execute(insert(Ticket), tickets)
        session.execute(insert(Reply), [entry for ticket in tickets for entry in _entries(rng, ticket)])


def _ticket(
    rng: random.Random, created: datetime, kind: RequestType, contacts: list[Contact], agents: list[Staff]
) -> dict[str, object]:
    contact = rng.choice(contacts)
    unfinished = rng.random() < _OPEN_SHARE
    return {
        "id": uuid.UUID(int=rng.getrandbits(128), version=4),
        "subject": _text(rng, 7)[:200],
        "description": _text(rng, 90),
        "status": rng.choice(("open", "open", "open", "pending")) if unfinished else rng.choice(("solved", "closed")),
        "priority": rng.choice(("low", "normal", "high", "urgent")),
        "request_type_id": kind.id,
        "product_id": PRODUCT_ID,
        "account_id": contact.account_id,
        "contact_id": contact.id,
        "assignee_id": rng.choice(agents).id if rng.random() < 0.8 else None,
        "entry_count": 3,
        "version": 4,
        "created_at": created,
        "opened_at": created,
        "changed_at": created,
        "last_activity_at": created + timedelta(hours=8),
        "reviewed_at": created,
    }


def _entries(rng: random.Random, ticket: dict[str, object]) -> list[dict[str, object]]:
    created = ticket["created_at"]
    assert isinstance(created, datetime)
    return [
        {
            "id": uuid.UUID(int=rng.getrandbits(128), version=4),
            "ticket_id": ticket["id"],
            "position": place,
            "side": "staff" if place == 2 else "customer",
            "author_name": "Agent Number 1" if place == 2 else "Carol Jansen",
            "body": _text(rng, 90 if place == 1 else 45),
            "created_at": created + timedelta(hours=4 * (place - 1)),
        }
        for place in (1, 2, 3)
    ]


def _text(rng: random.Random, count: int) -> str:
    return " ".join(rng.choice(_WORDS) for _ in range(count)).capitalize() + "."
