"""Mail on its way out."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from portal_service.base import Base
from shared.ids import new_id


class OutgoingMail(Base):
    """A mail stored with the change it tells of, sent afterwards; `event_key` makes it one per update and person."""

    __tablename__ = "outgoing_mails"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    event_key: Mapped[str] = mapped_column(String(255), unique=True)
    """For example `reply:<reply id>:<address key>`."""
    ticket_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tickets.id"), index=True)
    kind: Mapped[str] = mapped_column(String(40), default="", server_default="")
    """Which mail it is: a table of the word catalogues."""
    recipient: Mapped[str] = mapped_column(String(320))
    recipient_name: Mapped[str] = mapped_column(String(255), default="", server_default="")
    subject: Mapped[str] = mapped_column(String(998))
    text: Mapped[str] = mapped_column(Text)
    html: Mapped[str] = mapped_column(Text)
    secret: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Holds a link that opens something: its words are forgotten once it is sent."""
    message_id: Mapped[str] = mapped_column(String(255), unique=True)
    in_reply_to: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(Text)
    sent_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    """Given up, because the mail server refused it for good or for days, with its words in `error`."""

    __table_args__ = (
        Index("ix_outgoing_mails_due", "sent_at", "due_at"),
        Index("ix_outgoing_mails_failed_at", "failed_at"),
    )


class SuppressedAddress(Base):
    """An address that gets no more mails: its server said that there is no such mailbox. An admin may lift it."""

    __tablename__ = "suppressed_addresses"

    key: Mapped[str] = mapped_column(String(320), primary_key=True)
    """`shared.emails.email_key(address)`."""
    reason: Mapped[str] = mapped_column(Text)
    """The mail server's words."""
    since: Mapped[datetime]
