"""What the portal knows about the other side, from receipts only."""

import uuid
from datetime import datetime

from sqlalchemy import JSON, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal_service.base import Base


class Mirror(Base):
    """A ticket's Case as the newest receipt tells of it."""

    __tablename__ = "mirrors"

    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"), primary_key=True)
    receipt_number: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))
    """in_sync, waiting or failed."""
    version: Mapped[int]
    """The ticket version that was compared."""
    case_id: Mapped[str | None] = mapped_column(String(64))
    case_number: Mapped[str | None] = mapped_column(String(64))
    case_url: Mapped[str | None] = mapped_column(String(2000))
    notes: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str | None] = mapped_column(Text)
    compared_at: Mapped[datetime]
    decisions: Mapped[int] = mapped_column(default=0, server_default="0")
    """Fields that both sides changed and that wait for a person's choice."""
    heard_at: Mapped[datetime | None]
    """When the newest receipt came, by our clock."""


class CrmUser(Base):
    """Somebody who logs in to the CRM, whether an agent here or not."""

    __tablename__ = "crm_users"

    crm_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    revision: Mapped[int]
    name: Mapped[str] = mapped_column(String(255))
    active: Mapped[bool]
    emails: Mapped[list[str]] = mapped_column(JSON)
    """As they are compared: `email_key` of each."""


class Resend(Base):
    """A ticket whose events were sent again, as no receipt came."""

    __tablename__ = "resends"

    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"), primary_key=True)
    version: Mapped[int]
    attempts: Mapped[int] = mapped_column(default=0)
    """For this version."""
    sent_at: Mapped[datetime]
    next_at: Mapped[datetime]
    """Not again before this moment."""


class CrmStatus(Base):
    """Whether a CRM answers, by its newest announcement."""

    __tablename__ = "crm_status"

    crm: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(String(20))
    since: Mapped[datetime]
    checked_at: Mapped[datetime]
    reason: Mapped[str | None] = mapped_column(Text)
