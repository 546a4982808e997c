"""What log-ins rest on besides the password: one-time links, second factors, passkeys, other log-in services."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal_service.base import Base
from portal_service.people.models import User
from shared.ids import new_id


class Registration(Base):
    """Somebody asks for a log-in. The user exists, without a contact, until staff have decided (S01, S02)."""

    __tablename__ = "registrations"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    email: Mapped[str] = mapped_column(String(320))
    email_key: Mapped[str] = mapped_column(String(320), index=True)
    company: Mapped[str] = mapped_column(String(255), default="")
    """As the applicant calls it; staff choose the account."""
    created_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    """When the address was proved by its link."""
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(String(255))
    reason: Mapped[str | None] = mapped_column(Text)
    """Why it was refused, as the applicant read it."""

    user: Mapped[User] = relationship()


class OneTimeToken(Base):
    """Something that works once and not for long: a link of a mail, a challenge. Only the token's hash is stored."""

    __tablename__ = "one_time_tokens"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(30))
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"), index=True)
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)

    user: Mapped[User | None] = relationship()


class Authenticator(Base):
    """An app that shows six digits (RFC 6238)."""

    __tablename__ = "authenticators"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    secret: Mapped[str] = mapped_column(String(255))
    """Encrypted with a key of the installation."""
    last_step: Mapped[int] = mapped_column(default=0)
    """The newest 30 seconds whose code was used; none of them works twice."""
    created_at: Mapped[datetime]


class RecoveryCode(Base):
    """A code that stands in once for a lost authenticator. Only its hash is stored."""

    __tablename__ = "recovery_codes"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), index=True)
    code_hash: Mapped[str] = mapped_column(String(64))


class Passkey(Base):
    """A key a browser or a phone keeps for its owner (WebAuthn)."""

    __tablename__ = "passkeys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), index=True)
    credential_id: Mapped[str] = mapped_column(String(1500), unique=True)
    """Base64url, as browsers send it."""
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]

    user: Mapped[User] = relationship()


class ExternalLogin(Base):
    """Who a user is at the company's log-in service (OpenID Connect), by the service's own lasting id."""

    __tablename__ = "external_logins"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), index=True)
    issuer: Mapped[str] = mapped_column(String(500))
    subject: Mapped[str] = mapped_column(String(255))
    email: Mapped[str] = mapped_column(String(320))
    created_at: Mapped[datetime]

    user: Mapped[User] = relationship()

    __table_args__ = (UniqueConstraint("issuer", "subject"),)
