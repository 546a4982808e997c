"""Accounts, contacts, support staff and those who log in."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal_service.base import Base
from shared.database import BigId
from shared.ids import new_id


class Account(Base):
    """A customer company, as the CRM knows it."""

    __tablename__ = "accounts"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    crm_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    crm_revision: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(String(255), index=True)
    active: Mapped[bool] = mapped_column(default=True)


class Contact(Base):
    """A person of a customer. The account is where new tickets go unless another granted one is chosen."""

    __tablename__ = "contacts"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    crm_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    crm_revision: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(String(255), index=True)
    active: Mapped[bool] = mapped_column(default=True)
    guest: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Named himself in the guest form; nobody has proved yet who he is."""
    account_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("accounts.id"), index=True)

    account: Mapped[Account | None] = relationship()
    emails: Mapped[list["ContactEmail"]] = relationship(
        back_populates="contact", cascade="all, delete-orphan", order_by="ContactEmail.position"
    )
    grants: Mapped[list["AccountGrant"]] = relationship(back_populates="contact", cascade="all, delete-orphan")
    user: Mapped["User | None"] = relationship(viewonly=True)
    """Who logs in as this contact."""

    @property
    def email(self) -> str | None:
        """The primary address."""
        return self.emails[0].address if self.emails else None


class ContactEmail(Base):
    """One address of a contact; several contacts may share one, which makes a match ambiguous."""

    __tablename__ = "contact_emails"

    contact_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("contacts.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(String(320))
    """As written, for display and sending."""
    key: Mapped[str] = mapped_column(String(320), index=True)
    """`shared.emails.email_key(address)`, for comparing."""

    contact: Mapped[Contact] = relationship(back_populates="emails")


class AccountGrant(Base):
    """A contact's access to an account: to file for it and, with `whole_account`, to read all its tickets."""

    __tablename__ = "account_grants"

    contact_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("contacts.id"), primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    whole_account: Mapped[bool] = mapped_column(default=False)

    contact: Mapped[Contact] = relationship(back_populates="grants")
    account: Mapped[Account] = relationship()


class Staff(Base):
    """A support agent."""

    __tablename__ = "staff"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    crm_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    """The CRM user this agent is; without it tickets cannot be assigned in the CRM, which is shown."""
    crm_revision: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(String(255))
    email: Mapped[str] = mapped_column(String(320), unique=True)
    available: Mapped[bool] = mapped_column(default=True)
    active: Mapped[bool] = mapped_column(default=True)
    deactivated_at: Mapped[datetime | None]
    """When an administrator sent him off here: what the CRM says of him does not let him in again."""
    is_admin: Mapped[bool] = mapped_column(default=False)

    permissions: Mapped[list["StaffPermission"]] = relationship(cascade="all, delete-orphan")
    user: Mapped["User | None"] = relationship(viewonly=True)
    """Who logs in as this agent."""


class StaffPermission(Base):
    """Which tickets an agent may take: of this type and this product; None means any."""

    __tablename__ = "staff_permissions"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    staff_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff.id"), index=True)
    request_type_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("request_types.id"))
    product_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("products.id"))


class User(Base):
    """A log-in: of a contact or of a support agent, never of both."""

    __tablename__ = "users"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    username: Mapped[str] = mapped_column(String(150))
    username_key: Mapped[str] = mapped_column(String(150), unique=True)
    """Casefolded, so that log-in ignores case."""
    password_hash: Mapped[str] = mapped_column(String(255))
    contact_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("contacts.id"), unique=True)
    staff_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"), unique=True)
    language: Mapped[str] = mapped_column(String(8), default="en")
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    state: Mapped[str] = mapped_column(String(20), default="approved", index=True)
    """unconfirmed, awaiting_approval, approved or rejected."""

    contact: Mapped[Contact | None] = relationship()
    staff: Mapped[Staff | None] = relationship()


class LoginSession(Base):
    """A browser that is logged in. The cookie holds a random token; only its hash is stored.

    `expires_at` moves on while the session is used, but never beyond `ends_at`.
    """

    __tablename__ = "login_sessions"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ends_at: Mapped[datetime | None]
    user_agent: Mapped[str] = mapped_column(Text, default="")
    address: Mapped[str] = mapped_column(String(64), default="", server_default="")
    method: Mapped[str] = mapped_column(String(20), default="password", server_default="password")
    """password, two_factor, passkey or sso."""

    user: Mapped[User] = relationship()


class PeopleChange(Base):
    """One thing an administrator did to somebody's log-in or rights; never changed, never deleted."""

    __tablename__ = "people_changes"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    by: Mapped[str] = mapped_column(String(255))
    """The name as it was then, as in the two below."""
    about: Mapped[str] = mapped_column(String(255))
    action: Mapped[str] = mapped_column(String(40))
    detail: Mapped[str] = mapped_column(Text, default="")


class LoginFailure(Base):
    """A refused log-in or another guess, counted by who was meant and from where; a restart forgets no guesser."""

    __tablename__ = "login_failures"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime]

    __table_args__ = (Index("ix_login_failures_key_at", "key", "at"),)
