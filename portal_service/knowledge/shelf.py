"""The articles as their editors see them: all of them, with state and echo."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from portal_service.knowledge import feedback
from portal_service.knowledge.feedback import Echo
from portal_service.knowledge.models import Article, ArticleEvent, ArticleVersion

LENGTH = 100
STATES = ("draft", "published", "scheduled", "withdrawn")


@dataclass(frozen=True)
class Row:
    """An article in the editors' list."""

    article: Article
    newest: ArticleVersion
    state: str
    echo: Echo


def state_of(article: Article, *, now: datetime) -> str:
    """One of STATES."""
    return "scheduled" if article.state == "published" and article.published_at > now else article.state


def rows(
    session: Session, *, now: datetime, state: str = "", language: str = "", q: str = "", limit: int = LENGTH
) -> Sequence[Row]:
    """Those changed last come first."""
    newest = (ArticleVersion.article_id == Article.id) & (ArticleVersion.number == Article.latest)
    query = select(Article, ArticleVersion).join(ArticleVersion, newest)
    if state in {"draft", "withdrawn"}:
        query = query.where(Article.state == state)
    elif state in {"published", "scheduled"}:
        later = Article.published_at > now
        query = query.where(Article.state == "published", later if state == "scheduled" else ~later)
    if language:
        query = query.where(Article.language == language)
    for word in q.split():
        query = query.where(
            or_(
                ArticleVersion.title.icontains(word, autoescape=True),
                ArticleVersion.body.icontains(word, autoescape=True),
            )
        )
    found = session.execute(query.order_by(ArticleVersion.created_at.desc(), Article.slug).limit(limit)).all()
    echoes = feedback.echoes(session, [article.id for article, _version in found])
    return [Row(article, version, state_of(article, now=now), echoes[article.id]) for article, version in found]


def versions(session: Session, article: Article) -> Sequence[ArticleVersion]:
    """Newest first."""
    query = select(ArticleVersion).where(ArticleVersion.article_id == article.id)
    return session.scalars(query.order_by(ArticleVersion.number.desc())).all()


def events(session: Session, article: Article) -> Sequence[ArticleEvent]:
    """Newest first."""
    query = select(ArticleEvent).where(ArticleEvent.article_id == article.id)
    return session.scalars(query.order_by(ArticleEvent.at.desc())).all()


def languages_of(session: Session, slug: str) -> dict[str, uuid.UUID]:
    """The article of each language in which this one exists, whatever its state."""
    query = select(Article.language, Article.id).where(Article.slug == slug)
    return {language: article_id for language, article_id in session.execute(query)}  # noqa: C416 (a row is no pair)
