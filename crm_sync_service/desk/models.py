"""What the desk keeps: Cases with their Notes, the people and companies around them, and who changed what."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text, false
from sqlalchemy.orm import Mapped, declared_attr, mapped_column, relationship

from crm_sync_service.desk.base import Base
from shared.database import BigId
from shared.ids import new_id

NAME_LIMIT = 255
TEXT_LIMIT = 65_535
URL_LIMIT = 2_000
EMAIL_LIMIT = 320

CASE_STATUSES = {
    "new": "New",
    "assigned": "Assigned",
    "pending_input": "Pending input",
    "resolved": "Resolved",
    "closed": "Closed",
}
CASE_PRIORITIES = {"low": "Low", "medium": "Medium", "high": "High", "critical": "Critical"}
NOTE_SIDES = {"customer": "Customer", "staff": "Staff", "internal": "Internal", "system": "System"}


class Stamped:
    """What every row has that a feed shows. `modified_at` strictly grows over all rows of the desk (see stamps)."""

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=0)
    """Grows by one with each change; what If-Match compares."""
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]
    modified_by: Mapped[str] = mapped_column(String(NAME_LIMIT))

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        return (Index(None, "modified_at", "id"),)


class Record(Stamped):
    """A Stamped row with a name that people open, search and, where the desk allows it, merge."""

    name: Mapped[str] = mapped_column(String(NAME_LIMIT))
    search_key: Mapped[str] = mapped_column(Text, default="")
    """Casefolded words to search and sort by: SQLite folds ASCII only."""
    deleted: Mapped[bool] = mapped_column(default=False)
    merged_into: Mapped[uuid.UUID | None]


class Account(Record, Base):
    """A customer company."""

    __tablename__ = "accounts"


class Contact(Record, Base):
    """A person of a customer."""

    __tablename__ = "contacts"

    account_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("accounts.id"), index=True)

    account: Mapped[Account | None] = relationship()
    emails: Mapped[list["ContactEmail"]] = relationship(
        cascade="all, delete-orphan", order_by="ContactEmail.position", lazy="selectin"
    )

    @property
    def addresses(self) -> list[str]:
        return [email.address for email in self.emails]


class ContactEmail(Base):
    """One address of a contact, the first being the primary one. Several contacts may share an address."""

    __tablename__ = "contact_emails"

    contact_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("contacts.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(String(EMAIL_LIMIT))
    key: Mapped[str] = mapped_column(String(EMAIL_LIMIT), index=True)
    """`email_key(address)`, for comparing."""


class Product(Record, Base):
    """What customers use."""

    __tablename__ = "products"

    active: Mapped[bool] = mapped_column(default=True)


class User(Record, Base):
    """Somebody Cases can be assigned to; with a user name and password also somebody who logs in here."""

    __tablename__ = "users"

    email: Mapped[str] = mapped_column(String(EMAIL_LIMIT))
    active: Mapped[bool] = mapped_column(default=True)
    username_key: Mapped[str | None] = mapped_column(String(150), unique=True)
    """Casefolded, so that log-in ignores case."""
    password_hash: Mapped[str | None] = mapped_column(String(255))
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")


case_contacts = Table(
    "case_contacts",
    Base.metadata,
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("contact_id", ForeignKey("contacts.id"), primary_key=True, index=True),
)
"""The Contacts subpanel. The primary contact is always in it."""


class Case(Record, Base):
    """A customer's matter. `name` is its subject."""

    __tablename__ = "cases"

    serial: Mapped[int] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[str] = mapped_column(String(20), default="new", index=True)
    priority: Mapped[str] = mapped_column(String(20), default="medium")
    account_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("accounts.id"), index=True)
    contact_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("contacts.id"), index=True)
    product_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("products.id"), index=True)
    assigned_user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"), index=True)
    ticket_number: Mapped[str | None] = mapped_column(String(64))
    ticket_url: Mapped[str | None] = mapped_column(String(URL_LIMIT))

    account: Mapped[Account | None] = relationship()
    contact: Mapped[Contact | None] = relationship()
    product: Mapped[Product | None] = relationship()
    assigned_user: Mapped[User | None] = relationship()
    contacts: Mapped[list[Contact]] = relationship(secondary=case_contacts, order_by=Contact.search_key)

    @property
    def number(self) -> str:
        return f"C-{self.serial:05}"


class Note(Stamped, Base):
    """Something said about a Case. Adding or changing one leaves the Case's own version and `modified_at` alone."""

    __tablename__ = "notes"

    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cases.id"), index=True)
    title: Mapped[str] = mapped_column(String(NAME_LIMIT), default="")
    body: Mapped[str] = mapped_column(Text)
    author: Mapped[str] = mapped_column(String(NAME_LIMIT))
    side: Mapped[str] = mapped_column(String(20))
    position: Mapped[int]
    """Notes are shown by position, then `created_at`."""
    origin: Mapped[str] = mapped_column(String(20))
    """`api`, or `desk` for a Note written here, which no customer sees unless its author said so (S91)."""
    for_customer: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Its author wants the customer to get it as a reply on the ticket."""


class Change(Base):
    """One field of one record, changed; only ever added."""

    __tablename__ = "changes"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    record_id: Mapped[uuid.UUID]
    version: Mapped[int]
    """The record's version after this change."""
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(String(NAME_LIMIT))
    field: Mapped[str] = mapped_column(String(40))
    before: Mapped[str] = mapped_column(Text)
    """As people read it: the name of a record, the label of an option."""
    after: Mapped[str] = mapped_column(Text)

    __table_args__ = (Index(None, "record_id", "id"), {"sqlite_autoincrement": True})


class Ledger(Base):
    """The one row that orders all writes: the newest stamp, the last Case serial and this CRM's identity."""

    __tablename__ = "ledger"

    id: Mapped[int] = mapped_column(primary_key=True)
    instance_id: Mapped[uuid.UUID] = mapped_column(default=new_id)
    stamp: Mapped[datetime]
    case_serial: Mapped[int] = mapped_column(default=0)


class LoginSession(Base):
    """A browser that is logged in. The cookie holds a random token; only its hash is stored."""

    __tablename__ = "login_sessions"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]

    user: Mapped[User] = relationship()


class LoginAttempt(Base):
    """A log-in that has not succeeded, counted per name and per address so that a restart forgets no guesser."""

    __tablename__ = "login_attempts"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    name_key: Mapped[str] = mapped_column(String(150), index=True)
    address: Mapped[str] = mapped_column(String(64), index=True)
    at: Mapped[datetime]
