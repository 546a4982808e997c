"""Attachments, stored by content and never changed, and files that wait for their ticket."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from portal_service.base import Base
from shared.ids import new_id


class Attachment(Base):
    """A file of a ticket, of one of its replies or of one of its internal notes."""

    __tablename__ = "attachments"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"), index=True)
    entry_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("entries.id"), index=True)
    """The reply or internal note it came with; None: it came with the ticket."""
    name: Mapped[str] = mapped_column(String(300))
    """As the sender named it, for display and download only."""
    content_type: Mapped[str] = mapped_column(String(255))
    """Found from the content, not from the name."""
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    position: Mapped[int]
    internal: Mapped[bool] = mapped_column(default=False)
    """True for files of internal notes: staff and account managers only."""
    link_version: Mapped[int] = mapped_column(default=0)
    """Signed links name it; raising it revokes those given out."""
    created_at: Mapped[datetime]


class StagedFile(Base):
    """An upload that is not part of a ticket yet: its form is still being filled in, or kept as a draft."""

    __tablename__ = "staged_files"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(String(64), index=True)
    """Who may use it: the id of a log-in, or of a browser without one."""
    name: Mapped[str] = mapped_column(String(300))
    content_type: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    """From then on it is of no use; its content goes a while later, if nothing else has the same."""
