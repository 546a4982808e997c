"""Change feeds: every row of a kind in the order in which it last changed, page by page, losing none."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session, selectinload

from crm_sync_service.desk.models import Case, Stamped

T = TypeVar("T", bound=Stamped)


@dataclass(frozen=True, kw_only=True)
class FeedPage(Generic[T]):
    rows: Sequence[T]
    complete: bool
    """Whether there was nothing behind these rows."""


def read_feed(
    session: Session, model: type[T], *, since: datetime | None, after: uuid.UUID | None, limit: int
) -> FeedPage[T]:
    """Rows with `modified_at` >= `since`, deleted ones too; with `after`, those behind that row of `since`."""
    statement = select(model).order_by(model.modified_at, model.id).limit(limit + 1)
    if since is not None:
        statement = statement.where(_behind(model, since, after))
    if issubclass(model, Case):
        statement = statement.options(selectinload(Case.contacts))
    rows = session.scalars(statement).all()
    return FeedPage(rows=rows[:limit], complete=len(rows) <= limit)


def _behind(model: type[Stamped], since: datetime, after: uuid.UUID | None) -> Any:
    if after is None:
        return model.modified_at >= since
    return or_(model.modified_at > since, and_(model.modified_at == since, model.id > after))
