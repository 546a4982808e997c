"""Lists of articles and single ones (S79, S80). What a reader may not see is not there."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.knowledge.models import Article
from portal_service.knowledge.readers import FALLBACK, readable
from portal_service.people.models import User

KINDS = ("documentation", "announcement", "release_notes", "system_requirements")


def articles_for(
    session: Session, reader: User | None, *, language: str, now: datetime, kind: str | None = None, limit: int
) -> Sequence[Article]:
    """The newest articles this reader may see, each once."""
    query = select(Article).where(readable(reader, now=now))
    if kind is not None:
        query = query.where(Article.kind == kind)
    newest = session.scalars(query.order_by(Article.published_at.desc(), Article.slug).limit(limit * 2))
    return _one_each(newest, language)[:limit]


def article_for(session: Session, reader: User | None, slug: str, *, language: str, now: datetime) -> Article | None:
    """In the reader's language, else in another; None for an unknown article and for a hidden one alike."""
    found = _one_each(translations(session, reader, slug, now=now), language)
    return found[0] if found else None


def translations(session: Session, reader: User | None, slug: str, *, now: datetime) -> Sequence[Article]:
    """An article in all languages in which this reader may see it."""
    query = select(Article).where(readable(reader, now=now), Article.slug == slug)
    return session.scalars(query.order_by(Article.language)).all()


def _one_each(articles: Iterable[Article], language: str) -> list[Article]:
    """One language of each article, in the order in which the articles first appear."""
    by_slug: dict[str, Article] = {}
    for article in articles:
        held = by_slug.get(article.slug)
        if held is None or _rank(article, language) < _rank(held, language):
            by_slug[article.slug] = article
    return list(by_slug.values())


def _rank(article: Article, language: str) -> int:
    return [language, FALLBACK, article.language].index(article.language)
