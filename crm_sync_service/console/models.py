"""Who may use the console, and what they did there."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm_sync_service.models import Base
from shared.database import BigId
from shared.ids import new_id


class ConsoleUser(Base):
    """Somebody who may log in to the console."""

    __tablename__ = "console_users"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    username: Mapped[str] = mapped_column(String(150))
    username_key: Mapped[str] = mapped_column(String(150), unique=True)
    """Casefolded, so that log-in ignores case."""
    name: Mapped[str] = mapped_column(String(255))
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20))
    """viewer, operator or admin; see rights.ROLES."""


class ConsoleSession(Base):
    """A browser that is logged in. The cookie holds a random token; only its hash is stored."""

    __tablename__ = "console_sessions"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("console_users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)

    user: Mapped[ConsoleUser] = relationship()


class ConsoleAttempt(Base):
    """A log-in that was tried and did not succeed, by name and by address, so that a restart forgets no guesser."""

    __tablename__ = "console_attempts"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime]

    __table_args__ = (Index("ix_console_attempts_key_at", "key", "at"),)


class Alert(Base):
    """Something that needs a person, and whether somebody was told; kept a while after it ended."""

    __tablename__ = "alerts"

    cause: Mapped[str] = mapped_column(String(150), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    size: Mapped[int]
    """How many tickets or things it is about, now."""
    since: Mapped[datetime]
    gone_at: Mapped[datetime | None]
    """Since when it is well again."""
    told_at: Mapped[datetime | None]
    """When somebody was last told of it, by whatever way."""
    told_size: Mapped[int] = mapped_column(default=0)
    """What `size` was then; 0: nobody was told since it began."""


class ConsoleAction(Base):
    """One thing somebody did in the console; never changed, never deleted."""

    __tablename__ = "console_actions"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    who: Mapped[str] = mapped_column(String(255))
    """The name as it was then."""
    action: Mapped[str] = mapped_column(String(40))
    detail: Mapped[str] = mapped_column(Text)
    ticket_ids: Mapped[list[Any]]
    """The tickets it was about, as texts."""
