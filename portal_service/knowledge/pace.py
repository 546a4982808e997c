"""Keeps one visitor from asking too often: calls of the present minute, counted for all processes together."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog
from sqlalchemy import String, case, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, Session, mapped_column

from portal_service.base import Base
from shared.database import Database

_KEPT = timedelta(hours=1)

log = structlog.get_logger(__name__)


class CallCount(Base):
    """How often one visitor or address has asked in its last minute."""

    __tablename__ = "call_counts"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    window_at: Mapped[datetime] = mapped_column(index=True)
    calls: Mapped[int]


def allows(session: Session, limits: Mapping[str, int], *, now: datetime) -> bool:
    """Count one call for each key; whether none had more in this minute than it may."""
    window = now.replace(second=0, microsecond=0)
    # In one order, so that two calls never wait for each other.
    rows = [{"key": key[:200], "window_at": window, "calls": 1} for key in sorted(limits)]
    insert = (sqlite if session.get_bind().dialect.name == "sqlite" else postgresql).insert(CallCount).values(rows)
    counted = case((CallCount.window_at == insert.excluded.window_at, CallCount.calls + 1), else_=1)
    query = insert.on_conflict_do_update(
        index_elements=["key"], set_={"window_at": insert.excluded.window_at, "calls": counted}
    ).returning(CallCount.key, CallCount.calls)
    most = {key[:200]: value for key, value in limits.items()}
    return all(calls <= most[key] for key, calls in session.execute(query))


def within_pace(database: Database, limits: Mapping[str, int], *, now: datetime) -> bool:
    """The same in a transaction of its own; where nothing can be written, reading goes on."""
    try:
        with database.write() as session:
            return allows(session, limits, now=now)
    except DBAPIError as error:
        log.warning("call_not_counted", error=str(error.orig))
        return True


def forget(session: Session, *, now: datetime) -> None:
    """Delete what no longer counts."""
    session.execute(delete(CallCount).where(CallCount.window_at < now - _KEPT))
