from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from portal_service.knowledge.editing import publish, withdraw
from portal_service.knowledge.queries import article_for, articles_for
from tests.portal_service.knowledge.writing import published, written
from tests.portal_service.support_desk import START, Help


def slugs(session: Session, reader: Any = None, language: str = "en", **more: Any) -> list[str]:
    found = articles_for(session, reader, language=language, **{"limit": 50, "now": START, **more})
    return [article.slug for article in found]


@pytest.mark.parametrize(
    ("username", "seen"),
    [(None, {"public"}), ("carol", {"public", "users"}), ("sam", {"public", "users", "staff"})],
)
def test_readers_find_what_is_meant_for_them(desk: Help, username: str | None, seen: set[str]) -> None:
    with desk.write() as session:
        for visibility in ("public", "users", "staff"):
            published(session, visibility, visibility=visibility)
        written(session, "draft")
        withdraw(session, published(session, "withdrawn"), by="Sam", now=START)
        reader = desk.user(session, username) if username else None
        assert set(slugs(session, reader)) == seen
        for slug in ("public", "users", "staff", "draft", "withdrawn"):
            found = article_for(session, reader, slug, language="en", now=START)
            assert (found is not None) == (slug in seen)


def test_a_scheduled_article_appears_when_its_time_has_come(desk: Help) -> None:
    later = START + timedelta(hours=2)
    with desk.write() as session:
        publish(session, written(session, "soon"), by="Sam", now=START, at=later)
        assert slugs(session, now=later - timedelta(seconds=1)) == []
        assert slugs(session, now=later) == ["soon"]


def test_each_article_appears_once_in_the_readers_language_or_another(desk: Help) -> None:
    with desk.write() as session:
        published(session, "both", "en", title="Password")
        published(session, "both", "nl", title="Wachtwoord")
        published(session, "dutch", "nl", title="Alleen Nederlands")
        for language, titles in (
            ("en", {"Password", "Alleen Nederlands"}),
            ("nl", {"Wachtwoord", "Alleen Nederlands"}),
        ):
            found = articles_for(session, None, language=language, now=START, limit=9)
            assert {article.title for article in found} == titles
        english = article_for(session, None, "dutch", language="en", now=START)
        assert english is not None
        assert english.language == "nl"


def test_kind_and_limit_narrow_the_list(desk: Help) -> None:
    with desk.write() as session:
        published(session, "news", kind="announcement")
        published(session, "help")
        assert slugs(session, kind="announcement") == ["news"]
        assert len(slugs(session, limit=1)) == 1
