"""What the API remembers: answers to calls that may be sent again."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import String, Text, delete
from sqlalchemy.orm import Mapped, Session, mapped_column

from portal_service.base import Base

KEPT_FOR = timedelta(hours=24)


class KeptAnswer(Base):
    """The answer to a call with an `Idempotency-Key`, stored in the transaction of what the call did."""

    __tablename__ = "api_answers"

    token_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    """The token that called. No foreign key: the answer outlives a token that revokes itself."""
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(default=0)
    headers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    body: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(index=True)


def forget_answers(session: Session, *, now: datetime) -> None:
    """Delete the answers that no longer count."""
    session.execute(delete(KeptAnswer).where(KeptAnswer.created_at < now - KEPT_FOR))
