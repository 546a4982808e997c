"""What programs log in with."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal_service.base import Base
from portal_service.guests.models import GuestKey
from portal_service.people.models import User
from shared.ids import new_id


class ApiToken(Base):
    """Lets a program act for a person, or for the guest of one ticket. Only the token's hash is stored."""

    __tablename__ = "api_tokens"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"), index=True)
    guest_key_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("guest_keys.id"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    scopes: Mapped[list[Any]]
    """Of `people.tokens.SCOPES`."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    last_used_at: Mapped[datetime | None]
    window_at: Mapped[datetime | None]
    """Beginning of the minute in which `window_count` calls were made."""
    window_count: Mapped[int] = mapped_column(default=0)

    user: Mapped[User | None] = relationship()
    guest_key: Mapped[GuestKey | None] = relationship()
