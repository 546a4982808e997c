"""Who may read which article (S79)."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_

from portal_service.knowledge.models import Article
from portal_service.people.models import User

FALLBACK = "en"
VISIBILITIES = ("public", "users", "staff")


def audiences(reader: User | None) -> list[str]:
    """The visibilities this reader may see."""
    if reader is None:
        return ["public"]
    return ["public", "users", "staff"] if reader.staff_id is not None else ["public", "users"]


def readable(reader: User | None, *, now: datetime) -> ColumnElement[bool]:
    """What this reader may see: published, not scheduled for later, and meant for him."""
    return and_(Article.state == "published", Article.published_at <= now, Article.visibility.in_(audiences(reader)))
