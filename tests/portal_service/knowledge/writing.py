"""Articles as tests need them: written and published in one line."""

from typing import Any

from sqlalchemy.orm import Session

from portal_service.knowledge.editing import Content, begin, publish
from portal_service.knowledge.models import Article
from tests.portal_service.support_desk import START


def written(session: Session, slug: str, language: str = "en", **more: Any) -> Article:
    """A draft; its title is its slug unless `more` says otherwise."""
    values = {"kind": "documentation", "title": slug, "summary": "", "body": "-", "visibility": "public", **more}
    return begin(session, Content(**values), language=language, slug=slug, by="Sam", now=START)


def published(session: Session, slug: str, language: str = "en", **more: Any) -> Article:
    article = written(session, slug, language, **more)
    publish(session, article, by="Sam", now=START)
    return article
