"""Tickets of people without a log-in, and the keys that open them."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from portal_service.base import Base
from shared.ids import new_id


class GuestTicket(Base):
    """What is known of the guest who filed a ticket."""

    __tablename__ = "guest_tickets"

    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"), primary_key=True)
    email: Mapped[str] = mapped_column(String(320))
    """The ticket's own address: keys are mailed nowhere else."""
    language: Mapped[str] = mapped_column(String(8))
    confirmed_at: Mapped[datetime | None]
    """When somebody who got a mail at this address said that the ticket is his."""


class GuestKey(Base):
    """Opens one ticket. A ticket may have several; only their hashes are stored."""

    __tablename__ = "guest_keys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"), index=True)
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    mailed: Mapped[bool]
    """Went by mail, so whoever has it can read the mails to this address."""
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
