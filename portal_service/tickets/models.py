"""Tickets, what was said about them and what happened to them."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, event, text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal_service.base import Base
from portal_service.crm.models import Mirror
from portal_service.files.models import Attachment
from portal_service.people.models import Account, Contact, Staff
from portal_service.tickets.numbering import start_numbers
from shared.database import BigId
from shared.ids import new_id


class RequestType(Base):
    """Step 1 of filing: billing, sales, level 1 support, level 2 support, custom programming request (S14).

    `key` never changes: addresses, drafts and answers of the troubleshooter name it.
    """

    __tablename__ = "request_types"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    name_en: Mapped[str] = mapped_column(String(255))
    name_nl: Mapped[str] = mapped_column(String(255))
    hint_en: Mapped[str] = mapped_column(String(255), default="")
    hint_nl: Mapped[str] = mapped_column(String(255), default="")
    position: Mapped[int] = mapped_column(default=0)
    active: Mapped[bool] = mapped_column(default=True, server_default=true())
    """False: no new ticket is of it; those that are keep and show it."""


class Product(Base):
    """A product, as the CRM knows it."""

    __tablename__ = "products"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    crm_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    crm_revision: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(String(255))
    active: Mapped[bool] = mapped_column(default=True)


class Category(Base):
    """What a ticket is about where no product fits (S17)."""

    __tablename__ = "categories"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    name_en: Mapped[str] = mapped_column(String(255), unique=True)
    name_nl: Mapped[str] = mapped_column(String(255))
    position: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    active: Mapped[bool] = mapped_column(default=True, server_default=true())
    """False: it is chosen no more; tickets that have it keep and show it."""


def _created_at(context: Any) -> Any:
    return context.get_current_parameters()["created_at"]


class Ticket(Base):
    """A request for support. `number` is for people, `id` for links and events."""

    __tablename__ = "tickets"

    number: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    id: Mapped[uuid.UUID] = mapped_column(unique=True, default=new_id)
    version: Mapped[int] = mapped_column(default=0)
    """Grows with each change that is synced."""
    subject: Mapped[str] = mapped_column(String(255))
    description: Mapped[str] = mapped_column(Text)
    """The customer's words, never altered."""
    link_url: Mapped[str | None] = mapped_column(String(2000))
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Recommended information by its English label, in the order asked (S25)."""
    status: Mapped[str] = mapped_column(String(20), default="new")
    priority: Mapped[str] = mapped_column(String(20), default="normal")
    call_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the requester wants to be phoned (S24); in words, with his zone, it is among the details."""
    called_at: Mapped[datetime | None]
    origin: Mapped[str] = mapped_column(String(20), default="portal")
    """portal, email, chat, phone, staff, import."""
    request_type_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("request_types.id"))
    account_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("accounts.id"), index=True)
    contact_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("contacts.id"), index=True)
    product_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("products.id"), index=True)
    category_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("categories.id"))
    assignee_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"))
    foreign_assignee: Mapped[dict[str, Any] | None]
    """{"crm_id", "name"} of a CRM user who is no support agent (FAILURES 42)."""
    assignment: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Why it is assigned as it is: candidates, open counts, who was left out and for what reason (O9)."""
    filed_by: Mapped[str | None] = mapped_column(String(255))
    """The agent who filed it on behalf of the contact (S28)."""
    entry_count: Mapped[int] = mapped_column(default=0)
    attachment_count: Mapped[int] = mapped_column(default=0)
    pull_number: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    opened_at: Mapped[datetime | None] = mapped_column(default=_created_at)
    """When it was last opened: filed, or taken up again after it was solved or closed (S70)."""
    changed_at: Mapped[datetime]
    last_activity_at: Mapped[datetime]
    reviewed_at: Mapped[datetime | None]
    """First opened or acted on by an agent (S38)."""
    pending_since: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None] = mapped_column(String(255))
    redacted_at: Mapped[datetime | None]
    """Since when its words are gone for good; it is deleted then, too, and cannot be restored."""
    parent_number: Mapped[int | None] = mapped_column(BigId, index=True)
    """The ticket this one follows from or belongs to (S72); never itself or one of its own followers."""
    external_ref: Mapped[str | None] = mapped_column(String(255), unique=True)
    """`source:id` of an imported ticket, so that a repeated import finds it."""

    request_type: Mapped[RequestType] = relationship()
    account: Mapped[Account | None] = relationship()
    contact: Mapped[Contact | None] = relationship()
    product: Mapped[Product | None] = relationship()
    category: Mapped[Category | None] = relationship()
    assignee: Mapped[Staff | None] = relationship()
    entries: Mapped[list["Entry"]] = relationship(order_by="Entry.position", viewonly=True)
    attachments: Mapped[list[Attachment]] = relationship(order_by=Attachment.position, viewonly=True)
    parent: Mapped["Ticket | None"] = relationship(
        primaryjoin="foreign(Ticket.parent_number) == remote(Ticket.number)", viewonly=True
    )
    rating: Mapped["Rating | None"] = relationship(viewonly=True)
    mirror: Mapped[Mirror | None] = relationship(viewonly=True)

    __table_args__ = (
        Index("ix_tickets_last_activity", "last_activity_at", "number"),
        Index("ix_tickets_status_number", "status", "number"),
        Index("ix_tickets_assignee_status", "assignee_id", "status"),
        Index("ix_tickets_changed_at", "changed_at"),
        {"sqlite_autoincrement": True},
    )


# An alembic migration creates the table without this event: it calls `start_numbers` itself.
event.listen(Ticket.__table__, "after_create", start_numbers)


class Entry(Base):
    """One contribution to a ticket, never edited (S44). Its kind decides who may ever see it.

    Customer-facing code reads `Reply`, staff code reads `Entry`: the type is the protection, not a filter.
    """

    __tablename__ = "entries"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(String(20))
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"))
    position: Mapped[int]
    """1, 2, 3 ... per ticket."""
    side: Mapped[str] = mapped_column(String(20))
    """customer, staff or system."""
    author_name: Mapped[str] = mapped_column(String(255))
    author_email: Mapped[str | None] = mapped_column(String(320))
    author_crm_id: Mapped[str | None] = mapped_column(String(64))
    channel: Mapped[str] = mapped_column(String(20), default="portal")
    body: Mapped[str] = mapped_column(Text)
    crm_note_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    """The CRM's Note that this reply came from (S91)."""
    created_at: Mapped[datetime]

    attachments: Mapped[list[Attachment]] = relationship(order_by=Attachment.position, viewonly=True)

    __table_args__ = (UniqueConstraint("ticket_id", "position"),)
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_abstract": True}  # noqa: RUF012 (read by sqlalchemy)


class Reply(Entry):
    """Public: customer and staff see it."""

    __mapper_args__ = {"polymorphic_identity": "reply"}  # noqa: RUF012 (read by sqlalchemy)


class InternalNote(Entry):
    """Staff and account managers only."""

    __mapper_args__ = {"polymorphic_identity": "internal_note"}  # noqa: RUF012 (read by sqlalchemy)


class Rating(Base):
    """What the requester thinks of how a finished ticket was handled: one a ticket, mirrored nowhere."""

    __tablename__ = "ratings"

    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"), primary_key=True)
    score: Mapped[int]
    """1 (very bad) to 5 (very good)."""
    words: Mapped[str] = mapped_column(Text, default="")
    rated_by: Mapped[str] = mapped_column(String(255))
    rated_at: Mapped[datetime]
    """When it was given or last changed."""


class HistoryEntry(Base):
    """Something that happened to a ticket; only ever added."""

    __tablename__ = "history"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"), index=True)
    at: Mapped[datetime]
    actor_kind: Mapped[str] = mapped_column(String(20))
    """customer, staff, crm or system."""
    actor_name: Mapped[str] = mapped_column(String(255))
    action: Mapped[str] = mapped_column(String(40))
    """created, changed, replied, noted, transferred, closed, deleted, refused ..."""
    field: Mapped[str | None] = mapped_column(String(40))
    before: Mapped[str | None] = mapped_column(Text)
    after: Mapped[str | None] = mapped_column(Text)
    public: Mapped[bool] = mapped_column(default=True)
    """False hides it from customers."""

    __table_args__ = ({"sqlite_autoincrement": True},)
