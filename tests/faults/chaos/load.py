"""What people do while everything fails: customers in the browser, agents at the portal, account managers in the CRM.

Customers fill in the portal's forms over HTTP and send them again until they are answered. Agents and managers call
the very functions that the pages call, each in a process of its own, so that ten thousand changes fit in two minutes.
"""

import random
import re
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from crm_sync_service.desk import cases, directory, notes
from crm_sync_service.desk.base import open_database as open_desk
from crm_sync_service.desk.errors import NotFoundError
from crm_sync_service.desk.models import Account as CrmAccount
from crm_sync_service.desk.models import Case, User
from crm_sync_service.desk.models import Product as CrmProduct
from portal_service import site
from portal_service.base import open_database as open_portal
from portal_service.people.models import Account, Contact, Staff
from portal_service.people.models import User as LogIn
from portal_service.tickets.actions import (
    Actor,
    NewTicket,
    add_internal_note,
    add_reply,
    edit,
    set_status,
    submit_ticket,
)
from portal_service.tickets.errors import Refused
from portal_service.tickets.models import Product, RequestType, Ticket
from shared.clock import utc_now
from shared.database import Database
from shared.ids import new_id
from shared.settings import CommonSettings
from tests.faults.chaos.history import Deed, Diary, new_token

PRODUCTS, ACCOUNTS = 60, 40
"""Beside those of the demo data: so many that a value mostly tells who chose it."""
_MANAGERS = ("Anna Visser", "Bram Smit")
_PRIORITIES = ("low", "normal", "high", "urgent")
_STATUSES = ("open", "pending", "solved", "closed")
_CRM_PRIORITIES = ("low", "medium", "high", "critical")
_CRM_STATUSES = ("new", "assigned", "pending_input", "resolved", "closed")
_LOOK_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one group of people has to do."""

    seconds: float
    """So long they take, or longer where the machine is slow."""
    tickets: int
    changes: int
    """Other things they do."""
    seed: int
    diary: str
    database_url: str
    url: str = ""
    """Of the portal, for customers."""
    secret_key: str = ""
    skew: float = 0.0
    """Seconds that the CRM's clock is ahead."""
    cases: int = 1
    """So many there are before account managers begin: a field that all of them change would be frozen as flapping."""


def add_choices(database_url: str) -> None:
    """Products and accounts in the CRM, for both sides to choose from."""
    database = open_desk(database_url)
    with database.write() as session:
        for kind, create, count in (
            ("Product", directory.create_product, PRODUCTS),
            ("Account", directory.create_account, ACCOUNTS),
        ):
            for number in range(count):
                create(session, {"id": new_id(), "name": f"{kind} {number:02}"}, actor="Demo data", now=utc_now())
    database.dispose()


@dataclass(kw_only=True)
class Group:
    """People who keep a diary and take their time."""

    work: Work
    rng: random.Random
    diary: Diary
    started: float = field(default_factory=time.monotonic)

    def come_in(self) -> None:
        """See what there is to choose from."""

    def go_through(self, actions: Sequence[Callable[[], None]]) -> None:
        """Each action in its turn, spread over the time there is."""
        for index, action in enumerate(actions):
            pause = self.started + self.work.seconds * index / len(actions) - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            action()

    def keep_trying(self, database: Database, change: Callable[[Session], Deed | None]) -> None:
        """Until the database answers; a commit whose answer is lost is noted as such, and not repeated."""
        while True:
            deed: Deed | None = None
            try:
                with database.write() as session:
                    deed = change(session)
            except DBAPIError as error:
                surely_not = deed is None or "locked" in str(error)
                time.sleep(0.1)
                if surely_not:
                    continue
                assert deed is not None
                deed = Deed(**{**deed.__dict__, "acknowledged": False})
            if deed is not None:
                self.diary.note(deed)
            return


def agents(**work: Any) -> None:
    """Support agents, and customers by telephone: tickets, replies, internal notes and edits."""
    Agents(work=Work(**work), rng=random.Random(work["seed"]), diary=Diary(Path(work["diary"]))).run()


class Agents(Group):
    def come_in(self) -> None:
        database = open_portal(self.work.database_url)
        site.use(_settings(self.work))
        self.database = database
        self.tickets: list[tuple[uuid.UUID, int]] = []
        with database.read() as session:
            self.contacts = session.scalars(select(Contact).join(LogIn, LogIn.contact_id == Contact.id)).all()
            self.type_id = session.scalars(select(RequestType.id)).first()
            self.products = session.execute(select(Product.id, Product.name)).all()
            self.accounts = session.execute(select(Account.id, Account.name).where(Account.name != "")).all()
            self.staff = session.scalars(select(Staff).where(Staff.active)).all()

    def run(self) -> None:
        self.come_in()
        early = self.work.tickets + self.work.changes // 2
        kinds = [self.submit] * self.work.tickets + [self.change] * (self.work.changes // 2)
        self.rng.shuffle(kinds)
        self.go_through([*kinds, *([self.change] * (self.work.tickets + self.work.changes - early))])

    def submit(self) -> None:
        contact = self.rng.choice(self.contacts)
        token = new_token()
        new = NewTicket(
            request_type_id=self.type_id,
            account_id=contact.account_id,
            contact_id=contact.id,
            product_id=self.rng.choice(self.products).id,
            subject=f"Fault <&> 🔥 {token}",
            description="Line one\n\nLine two — 火事",
            link_url="https://shop.example/page?a=1&b=2",
            details={"Browser": "Chromium 156"},
        )

        def change(session: Session) -> Deed:
            ticket = submit_ticket(
                session,
                new,
                actor=Actor(kind="customer", name=contact.name, contact_id=contact.id),
                now=utc_now(),
                rng=self.rng,
            )
            self.tickets.append((ticket.id, ticket.number))
            return Deed(side="portal", kind="ticket", ticket=str(ticket.number), acknowledged=True, token=token)

        self.keep_trying(self.database, change)

    def change(self) -> None:
        if not self.tickets:
            return
        ticket_id, _ = self.rng.choice(self.tickets)
        act = self.rng.choices((self.say, self.edit_record, self.edit_option), weights=(30, 40, 30))[0]
        staff = self.rng.choice(self.staff)
        actor = Actor(kind="staff", name=staff.name, email=staff.email, crm_id=staff.crm_id, staff_id=staff.id)

        def change(session: Session) -> Deed | None:
            ticket = session.scalars(select(Ticket).where(Ticket.id == ticket_id)).one_or_none()
            return act(session, ticket, actor) if ticket is not None else None

        self.keep_trying(self.database, change)

    def say(self, session: Session, ticket: Ticket, actor: Actor) -> Deed:
        token = new_token()
        speak = add_internal_note if self.rng.random() < 0.4 else add_reply
        speak(session, ticket, actor=actor, body=f"It says {token}\n— and more 火", now=utc_now())
        return Deed(side="portal", kind="entry", ticket=str(ticket.number), acknowledged=True, token=token, events=2)

    def edit_record(self, session: Session, ticket: Ticket, actor: Actor) -> Deed | None:
        name = self.rng.choice(("product", "product", "account"))
        chosen = self.rng.choice(self.products if name == "product" else self.accounts)
        if getattr(ticket, f"{name}_id") == chosen.id:
            return None
        edit(session, ticket, actor=actor, changes={f"{name}_id": chosen.id}, now=utc_now())
        return _edited(ticket, name, chosen.name)

    def edit_option(self, session: Session, ticket: Ticket, actor: Actor) -> Deed | None:
        roll = self.rng.random()
        if roll < 0.4:
            priority = self.rng.choice(_PRIORITIES)
            edit(session, ticket, actor=actor, changes={"priority": priority}, now=utc_now())
            return _edited(ticket, "priority", priority)
        if roll < 0.7:
            staff = self.rng.choice(self.staff)
            edit(session, ticket, actor=actor, changes={"assignee_id": staff.id}, now=utc_now())
            return _edited(ticket, "assignee", staff.name)
        status = self.rng.choice(_STATUSES)
        try:
            set_status(session, ticket, status, actor=actor, now=utc_now())
        except Refused:
            return None
        return _edited(ticket, "status", status)


def _edited(ticket: Ticket, name: str, value: str) -> Deed:
    return Deed(side="portal", kind="edit", ticket=str(ticket.number), acknowledged=True, field=name, value=value)


def managers(**work: Any) -> None:
    """Account managers: edits of Cases, and Notes of their own."""
    Managers(work=Work(**work), rng=random.Random(work["seed"]), diary=Diary(Path(work["diary"]))).run()


class Managers(Group):
    def come_in(self) -> None:
        self.database = open_desk(self.work.database_url)
        self.looked = float("-inf")
        self.cases: Sequence[Any] = ()
        self.renamed: set[uuid.UUID] = set()
        with self.database.read() as session:
            self.products = session.execute(select(CrmProduct.id, CrmProduct.name)).all()
            self.accounts = session.execute(select(CrmAccount.id, CrmAccount.name)).all()
            self.users = session.execute(select(User.id, User.name)).all()

    def run(self) -> None:
        self.come_in()
        self.go_through([self.change] * self.work.changes)

    def change(self) -> None:
        case = self.some_case()
        values = self.values()
        who = self.rng.choice(_MANAGERS)
        token = new_token()

        def change(session: Session) -> Deed | None:
            now = utc_now() + timedelta(seconds=self.work.skew)
            about: dict[str, Any] = {"side": "crm", "ticket": case.ticket_number, "acknowledged": True}
            if self.rng.random() < 0.2:
                body = f"For us only: {token}"
                notes.write_note(session, {"case_id": case.id, "body": body}, author=who, now=now)
                return Deed(kind="note", token=token, **about)
            field_name, value, words = values
            if field_name == "name":
                if case.id in self.renamed:  # the portal keeps its subject only three times
                    return None
                self.renamed.add(case.id)
            try:
                cases.change_case(session, case.id, {field_name: value}, actor=who, now=now)
            except NotFoundError:
                return None
            return Deed(kind="edit", field=field_name.removesuffix("_id"), value=words, **about)

        self.keep_trying(self.database, change)

    def some_case(self) -> Any:
        """Any Case of a ticket there is by now."""
        while len(self.cases) < self.work.cases or time.monotonic() - self.looked > _LOOK_SECONDS:
            self.looked = time.monotonic()
            with suppress(DBAPIError):
                self.cases = _cases(self.database.engine)
            if len(self.cases) < self.work.cases:
                time.sleep(0.1)
        return self.rng.choice(self.cases)

    def values(self) -> tuple[str, Any, str]:
        """A field of the Case, what it becomes, and how people read that."""
        roll = self.rng.random()
        if roll < 0.35:
            chosen = self.rng.choice(self.products)
            return "product_id", chosen.id, chosen.name
        if roll < 0.5:
            chosen = self.rng.choice(self.accounts)
            return "account_id", chosen.id, chosen.name
        if roll < 0.65:
            chosen = self.rng.choice(self.users)
            return "assigned_user_id", chosen.id, chosen.name
        if roll < 0.8:
            priority = self.rng.choice(_CRM_PRIORITIES)
            return "priority", priority, priority
        if roll < 0.97:
            status = self.rng.choice(_CRM_STATUSES)
            return "status", status, status
        name = f"A better subject {self.rng.randrange(10**6)}"
        return "name", name, name


def _cases(engine: Engine) -> Sequence[Any]:
    with engine.connect() as connection:
        return connection.execute(
            select(Case.id, Case.ticket_number).where(Case.deleted.is_(False), Case.ticket_number.is_not(None))
        ).all()


def customers(**work: Any) -> None:
    """Customers who file requests and reply in the browser."""
    Customers(work=Work(**work), rng=random.Random(work["seed"]), diary=Diary(Path(work["diary"]))).run()


class Customers(Group):
    def run(self) -> None:
        self.numbers: list[str] = []
        with httpx.Client(base_url=self.work.url, timeout=10) as self.http:
            form = self.form("/login") | {"username": "carol", "password": "casebridge-demo"}
            self.until_answered("POST", "/login", form)
            kinds = [self.submit] * self.work.tickets + [self.reply] * self.work.changes
            self.rng.shuffle(kinds)
            self.go_through([self.submit, *kinds[1:]])

    def submit(self) -> None:
        token = new_token()
        form = self.form("/requests/new/level-1")
        form |= {"subject": f"By hand {token}", "description": "In the browser", "nature": "incident"}
        form["product_id"] = self.product
        answer = self.until_answered("POST", "/requests/new/level-1", form)
        found = re.search(r"/(\d+)/received", answer.headers.get("Location", ""))
        assert found, answer.text[:2000]
        self.numbers.append(found[1])
        self.diary.note(Deed(side="portal", kind="ticket", ticket=found[1], acknowledged=True, token=token))

    def reply(self) -> None:
        if not self.numbers:
            return
        number, token = self.rng.choice(self.numbers), new_token()
        path = f"/cases/{number}/comments"
        answer = self.until_answered("POST", path, self.form(path) | {"body": f"Any news? {token}"})
        assert answer.status_code == 303, answer.text[:2000]
        self.diary.note(Deed(side="portal", kind="entry", ticket=number, acknowledged=True, token=token, events=2))

    def form(self, path: str) -> dict[str, str]:
        """The hidden fields of a page's form."""
        text = self.until_answered("GET", path).text
        products = re.search(r'id="product_id".*?value="([0-9a-f-]{36})"', text, re.DOTALL)
        self.product = products[1] if products else ""
        return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text))

    def until_answered(self, method: str, path: str, form: dict[str, str] | None = None) -> httpx.Response:
        while True:
            try:
                answer = self.http.request(method, path, data=form)
            except httpx.HTTPError:
                time.sleep(0.1)
                continue
            if answer.status_code < 500:
                return answer
            time.sleep(0.1)


def _settings(work: Work) -> CommonSettings:
    return CommonSettings(
        home=Path(work.diary).parent,
        broker_url="",
        secret_key=work.secret_key,
        portal_url=work.url,
        console_url="",
        crm_url="",
    )
