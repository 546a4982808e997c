"""New versions of our programs, to be downloaded (S83)."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal_service.base import Base
from shared.ids import new_id


class Download(Base):
    """A file with its version; its checksum lets people see that it arrived whole."""

    __tablename__ = "downloads"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    title: Mapped[str] = mapped_column(String(255))
    version: Mapped[str] = mapped_column(String(60))
    released_at: Mapped[datetime]
    summary_en: Mapped[str] = mapped_column(Text, default="")
    summary_nl: Mapped[str] = mapped_column(Text, default="")
    article_slug: Mapped[str | None] = mapped_column(String(120))
    """Its release notes."""
    visibility: Mapped[str] = mapped_column(String(20), default="public")
    """As of articles."""
    name: Mapped[str] = mapped_column(String(300))
    content_type: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    withdrawn_at: Mapped[datetime | None]
    added_by: Mapped[str] = mapped_column(String(255), default="")
