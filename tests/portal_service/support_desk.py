"""A small company with customers and agents, and short ways to say what happens and to read what was told."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.base import outbox
from portal_service.channels.models import OutgoingMail
from portal_service.people.models import Account, AccountGrant, Contact, ContactEmail, Staff, StaffPermission, User
from portal_service.tickets.actions import NewTicket, actor_for, submit_ticket
from portal_service.tickets.actor import Actor
from portal_service.tickets.models import Category, Product, RequestType, Ticket
from shared.database import Database
from shared.emails import email_key
from shared.events import Event, load

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@dataclass
class Clock:
    """Time that moves only when told to."""

    now: datetime = START

    def forward(self, **span: float) -> datetime:
        self.now += timedelta(**span)
        return self.now


@dataclass
class Help:
    """The support desk under test: records by name, and short ways to say what happens."""

    database: Database
    clock: Clock = field(default_factory=Clock)
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    @contextmanager
    def write(self) -> Iterator[Session]:
        with self.database.write() as session:
            yield session

    def product(self, session: Session, name: str) -> Product:
        return session.scalars(select(Product).where(Product.name == name)).one()

    def account(self, session: Session, name: str) -> Account:
        return session.scalars(select(Account).where(Account.name == name)).one()

    def contact(self, session: Session, name: str) -> Contact:
        return session.scalars(select(Contact).where(Contact.name == name)).one()

    def staff(self, session: Session, name: str) -> Staff:
        return session.scalars(select(Staff).where(Staff.name == name)).one()

    def type(self, session: Session, key: str) -> RequestType:
        return session.scalars(select(RequestType).where(RequestType.key == key)).one()

    def user(self, session: Session, username: str) -> User:
        return session.scalars(select(User).where(User.username_key == username)).one()

    def actor(self, session: Session, username: str) -> Actor:
        return actor_for(self.user(session, username))

    def new(self, session: Session, **changes: Any) -> NewTicket:
        """A ticket of Carol's as she would enter it."""
        carol = self.contact(session, "Carol")
        entered = NewTicket(
            request_type_id=self.type(session, "level-1").id,
            account_id=carol.account_id,
            contact_id=carol.id,
            product_id=self.product(session, "Portal Server").id,
            subject="It does not work",
            description="I press the button\nand nothing happens.",
            details={},
        )
        return replace(entered, **changes)

    def submit(self, session: Session, *, by: str = "carol", **changes: Any) -> Ticket:
        return submit_ticket(
            session, self.new(session, **changes), actor=self.actor(session, by), now=self.clock.now, rng=self.rng
        )

    def ticket(self, session: Session, number: int = 1001) -> Ticket:
        return session.scalars(select(Ticket).where(Ticket.number == number)).one()

    def told(self, session: Session) -> list[Event]:
        """Every event in the outbox, oldest first."""
        rows = session.execute(select(outbox.table).order_by(outbox.table.c.position))
        return [load(row.type, json.loads(row.body)) for row in rows]

    def mails(self, session: Session) -> list[tuple[str, str]]:
        """Recipient and heading of every mail, oldest first."""
        mails = session.scalars(select(OutgoingMail).order_by(OutgoingMail.created_at, OutgoingMail.event_key))
        return [(mail.recipient, mail.text.split("\n")[2]) for mail in mails]

    def mail_texts(self, session: Session, recipient: str) -> list[str]:
        """The plain texts of the mails to one person, oldest first."""
        query = select(OutgoingMail.text).where(OutgoingMail.recipient == recipient)
        return list(session.scalars(query.order_by(OutgoingMail.created_at)))


def add_people(session: Session) -> None:
    types = {key: RequestType(key=key, name_en=key.title(), name_nl=key.title()) for key in ("level-1", "billing")}
    products = {name: Product(name=name, crm_id=f"P-{name}") for name in ("Portal Server", "Sync Engine")}
    accounts = {name: Account(name=name, crm_id=f"A-{name}") for name in ("Acme", "Globex")}
    session.add_all([*types.values(), *products.values(), *accounts.values()])
    session.add(Category(name_en="Other", name_nl="Overig"))
    session.flush()
    for name, account, whole in (("Carol", "Acme", False), ("Peter", "Acme", True), ("Dave", "Globex", False)):
        address = f"{name.lower()}@{account.lower()}.example"
        contact = Contact(name=name, crm_id=f"C-{name}", account=accounts[account])
        contact.emails = [ContactEmail(position=0, address=address, key=email_key(address))]
        if whole:
            contact.grants = [AccountGrant(account=accounts[account], whole_account=True)]
        session.add(User(username=name, username_key=name.lower(), password_hash="x", contact=contact))
    for name, types_taken, available in (
        ("Sam", ("level-1", "billing"), True),
        ("Nora", ("level-1",), True),
        ("Mila", ("level-1", "billing"), False),
        ("Admin", (), True),
    ):
        staff = Staff(name=name, crm_id=f"U-{name}", email=f"{name.lower()}@support.example", available=available)
        staff.permissions = [StaffPermission(request_type_id=types[key].id) for key in types_taken]
        session.add(User(username=name, username_key=name.lower(), password_hash="x", staff=staff))
