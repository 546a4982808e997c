"""Demo data of the portal: the people and products the bundled CRM's demo knows too, log-ins, articles, tickets."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.knowledge.demo import load_knowledge
from portal_service.people.auth import username_key
from portal_service.people.models import Account, AccountGrant, Contact, ContactEmail, Staff, StaffPermission, User
from portal_service.people.passwords import hash_password
from portal_service.tickets.actions import (
    NewTicket,
    actor_for,
    add_internal_note,
    add_reply,
    close,
    find_imported,
    submit_ticket,
)
from portal_service.tickets.defaults import load_offer
from portal_service.tickets.models import Category, Product, RequestType, Ticket
from shared.emails import email_key
from shared.ids import derived_id

PASSWORD = "casebridge-demo"  # noqa: S105 (public: it is printed where the demo starts)
_TIMEZONE = "Europe/Amsterdam"

_ACCOUNTS = {"acme": "Acme Instruments", "globex": "Globex GmbH & Söhne", "initech": "Initech Nederland B.V."}
_CONTACTS = {
    "carol": ("Carol Jansen", "acme", "en"),
    "peter": ("Peter de Vries", "acme", "nl"),
    "dave": ("Dave Müller", "globex", "en"),
    "li": ("Li Wei 李伟", "globex", "en"),
    "erin": ("Erin O'Neill", "initech", "en"),
    "sofia": ("Sofía García", "initech", "nl"),
}
_WHOLE_ACCOUNT = ("peter",)
_PRODUCTS = {
    "portal": "Portal Server",
    "sync": "Sync Engine",
    "mobile": "Mobile App",
    "reports": "Report Builder",
    "sensor": "Sensor Gateway",
}


@dataclass(frozen=True, kw_only=True)
class _Agent:
    name: str
    types: tuple[str, ...] = ()
    products: tuple[str | None, ...] = (None,)
    """Keys of the products whose tickets the agent takes; None is all of them."""
    available: bool = True
    is_admin: bool = False


_STAFF = {
    "sam": _Agent(name="Sam Peters", types=("level-1", "billing")),
    "nora": _Agent(name="Nora Bakker", types=("level-1", "level-2")),
    "tariq": _Agent(name="Tariq Aziz", types=("level-2", "custom-programming"), products=("portal", "sync")),
    "mila": _Agent(name="Mila Novak", types=("sales", "billing"), available=False),
    "alex": _Agent(name="Alex Admin", is_admin=True),
}


@dataclass(frozen=True, kw_only=True)
class _Story:
    """A ticket and what became of it: replies by user name, in order."""

    contact: str
    type: str
    subject: str
    description: str
    product: str | None = None
    category: str | None = None
    priority: str = "normal"
    link_url: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    days_ago: int = 0
    answers: tuple[tuple[str, str], ...] = ()
    note: str | None = None
    question: bool = False
    """The last answer asks the customer something."""
    closed: bool = False


_STORIES = {
    "export": _Story(
        contact="carol",
        type="level-1",
        product="reports",
        subject="Monthly report shows last month's totals",
        description="Hello,\n\nsince the update on Monday the monthly report shows the totals of the month before.\n"
        "The rows are right, only the line “Total” is not.\n\nRegards,\nCarol",
        link_url="https://reports.acme.example/monthly/2026-10",
        details={"Browser": "Firefox 145 on Windows 11", "Document": "Monthly report, October"},
        days_ago=3,
        answers=(
            ("staff", "Thank you, Carol, I see the same here. Does it also happen when you choose the month by hand?"),
            ("carol", "No! When I choose October by hand the total is right. Only “this month” is wrong."),
        ),
        note="Same cause as the time zone fault of 4.1: the total is taken in UTC. Fix is in the next build.",
    ),
    "offline": _Story(
        contact="dave",
        type="level-2",
        product="sync",
        subject="Sync Engine stops every night around 02:00",
        description="The service is stopped every morning. The log ends with “no space left on device”, but there are "
        "still 40 GB free on C:.\nWe have to start it by hand every day.",
        priority="high",
        details={"Error text": "no space left on device", "Preferred call time": "2026-11-24 10:00 Europe/Berlin"},
        days_ago=1,
        answers=(
            ("staff", "Could you send us the whole log of last night? The queue may be on another drive than C:."),
        ),
        question=True,
    ),
    "invoice": _Story(
        contact="sofia",
        type="billing",
        category="Account and access",
        subject="Factuur naar een ander adres",
        description="Goedemiddag,\n\nkunt u de facturen voortaan sturen naar facturen@initech.example?\n\n"
        "Alvast dank, Sofía",
        days_ago=9,
        answers=(("staff", "Dat is aangepast: vanaf de volgende factuur gaat alles naar facturen@initech.example."),),
        closed=True,
    ),
    "phone": _Story(
        contact="li",
        type="level-1",
        product="mobile",
        subject="通知 – no notifications on my new phone",
        description="你好 👋 I changed my phone last week. Mobile App works, but it shows no notifications any more.",
        details={"Module or part": "Notifications"},
    ),
}


def load_demo(session: Session, now: datetime) -> None:
    """Add what is missing of the demo data; what is there stays as people have left it."""
    _load_choices(session)
    _load_customers(session)
    _load_staff(session)
    load_knowledge(session, now=now)
    for key, story in _STORIES.items():
        if find_imported(session, f"demo:{key}") is None:
            _tell(session, key, story, now=now - timedelta(days=story.days_ago))


def _load_choices(session: Session) -> None:
    load_offer(session)
    for key, name in _PRODUCTS.items():
        if _known(session, Product, key) is None:
            session.add(Product(crm_id=_crm_id("product", key), name=name))
    session.flush()


def _load_customers(session: Session) -> None:
    for key, name in _ACCOUNTS.items():
        if _known(session, Account, key) is None:
            session.add(Account(crm_id=_crm_id("account", key), name=name))
    session.flush()
    for key, (name, account_key, language) in _CONTACTS.items():
        if _known(session, Contact, key) is not None:
            continue
        account = _known(session, Account, account_key)
        address = f"{key}@{account_key}.example"
        contact = Contact(crm_id=_crm_id("contact", key), name=name, account=account)
        contact.emails = [ContactEmail(position=0, address=address, key=email_key(address))]
        if key in _WHOLE_ACCOUNT:
            contact.grants = [AccountGrant(account=account, whole_account=True)]
        session.add(contact)
        _add_user(session, key, contact=contact, language=language)
    session.flush()


def _load_staff(session: Session) -> None:
    for key, agent in _STAFF.items():
        crm_id = _crm_id("user", key)
        if session.scalar(select(Staff.id).where(Staff.crm_id == crm_id)) is not None:
            continue
        staff = Staff(
            crm_id=crm_id,
            name=agent.name,
            email=f"{key}@support.example",
            available=agent.available,
            is_admin=agent.is_admin,
        )
        staff.permissions = [
            StaffPermission(request_type_id=_request_type(session, type_key).id, product_id=product and product.id)
            for type_key in agent.types
            for product in (_known(session, Product, key) if key else None for key in agent.products)
        ]
        session.add(staff)
        _add_user(session, key, staff=staff)
    session.flush()


def _tell(session: Session, key: str, story: _Story, *, now: datetime) -> None:
    """File one ticket and let happen to it what its story says, an hour apart."""
    contact = _known(session, Contact, story.contact)
    assert contact is not None
    requester = actor_for(_user(session, story.contact))
    product = _known(session, Product, story.product) if story.product else None
    category = session.scalar(select(Category).where(Category.name_en == story.category))
    new = NewTicket(
        request_type_id=_request_type(session, story.type).id,
        account_id=contact.account_id,
        contact_id=contact.id,
        product_id=product.id if product else None,
        category_id=category.id if category else None,
        subject=story.subject,
        description=story.description,
        link_url=story.link_url,
        details=story.details,
        priority=story.priority,
        external_ref=f"demo:{key}",
    )
    # The same tickets for the same agents each time the demo starts over.
    ticket = submit_ticket(session, new, actor=requester, now=now, rng=random.Random(key))  # noqa: S311 (no secret)
    _answer(session, ticket, story, now=now)


def _answer(session: Session, ticket: Ticket, story: _Story, *, now: datetime) -> None:
    if ticket.assignee is None:
        return
    agent = actor_for(session.scalars(select(User).where(User.staff_id == ticket.assignee_id)).one())
    for number, (author, body) in enumerate(story.answers, start=1):
        by = agent if author == "staff" else actor_for(_user(session, author))
        asks = story.question and number == len(story.answers)
        add_reply(session, ticket, actor=by, body=body, pending=asks, now=now + timedelta(hours=number))
    later = now + timedelta(hours=len(story.answers) + 1)
    if story.note:
        add_internal_note(session, ticket, actor=agent, body=story.note, now=later)
    if story.closed:
        close(session, ticket, actor=agent, now=later)


Known = TypeVar("Known", Account, Contact, Product)


def _known(session: Session, model: type[Known], key: str) -> Known | None:
    return session.scalar(select(model).where(model.crm_id == _crm_id(model.__name__.lower(), key)))


def _crm_id(kind: str, key: str) -> str:
    return str(derived_id(f"demo-{kind}", key))


def _request_type(session: Session, key: str) -> RequestType:
    return session.scalars(select(RequestType).where(RequestType.key == key)).one()


def _user(session: Session, username: str) -> User:
    return session.scalars(select(User).where(User.username_key == username_key(username))).one()


def _add_user(
    session: Session, username: str, *, contact: Contact | None = None, staff: Staff | None = None, language: str = "en"
) -> None:
    session.add(
        User(
            username=username,
            username_key=username_key(username),
            password_hash=hash_password(PASSWORD),
            contact=contact,
            staff=staff,
            language=language,
            timezone=_TIMEZONE,
        )
    )
