"""Searching: by word, stem, beginning and typing error, in two languages, within what one may read."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from portal_service.knowledge.editing import content_of, edit, publish, withdraw
from portal_service.knowledge.index import FORM, index_stale
from portal_service.knowledge.models import Article, Posting
from portal_service.knowledge.search import search, suggest
from portal_service.knowledge.snippets import mark, snippet
from portal_service.knowledge.words import misspellings, telling_words, terms
from tests.portal_service.knowledge.writing import published, written
from tests.portal_service.support_desk import START, Help


def found(session: Session, words: str, reader: Any = None, language: str = "en", **more: Any) -> list[str]:
    hits = search(session, reader, words, language=language, **{"now": START, "limit": 20, **more})
    return [hit.article.slug for hit in hits]


def offered(session: Session, draft: str, language: str = "en") -> list[str]:
    return [hit.article.slug for hit in suggest(session, None, draft, language=language, now=START, limit=5)]


@contextmanager
def statements(session: Session) -> Iterator[list[str]]:
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(session.get_bind(), "before_cursor_execute", note)
    yield sent
    event.remove(session.get_bind(), "before_cursor_execute", note)


@pytest.fixture
def shelf(desk: Help) -> Iterator[Session]:
    with desk.write() as session:
        published(session, "password", title="Reset your password", body="Choose *Forgotten?* on the log-in page.")
        published(session, "password", "nl", title="Wachtwoord opnieuw instellen", body="Kies *Vergeten?*.")
        published(session, "gateway", title="Connect a sensor gateway", body="Installations with several sensors.")
        published(session, "licence", title="Licences", body="The café needs a licence file and a password.")
        yield session


@pytest.mark.parametrize(
    ("words", "slugs"),
    [
        ("password", ["password", "licence"]),
        ("PASSWORDS resetting", ["password"]),
        ("installation sensors", ["gateway"]),
        ("wachtwoorden", ["password"]),
        ("cafe", ["licence"]),
        ("gatew", ["gateway"]),
        ("pasword", ["password", "licence"]),
        ("passwrod reset", ["password"]),
        ("wachtwoort", ["password"]),
        ("instalations", ["gateway"]),
        ("how do I reset my password?", ["password"]),
        ("%", []),
        ("zzzzzz", []),
    ],
)
def test_articles_are_found(shelf: Session, words: str, slugs: list[str]) -> None:
    assert found(shelf, words) == slugs


def test_an_article_is_shown_in_the_readers_language_if_that_was_found_too(desk: Help) -> None:
    with desk.write() as session:
        published(session, "app", title="Mobile App")
        published(session, "app", "nl", title="Mobiele App")
        for language in ("en", "nl"):
            (hit,) = search(session, None, "app", language=language, now=START, limit=5)
            assert hit.article.language == language
        (dutch,) = search(session, None, "mobiele", language="en", now=START, limit=5)
        assert dutch.article.language == "nl"


def test_the_title_counts_more_than_the_summary_and_that_more_than_the_text(desk: Help) -> None:
    with desk.write() as session:
        published(session, "text", body="about a gateway and again a gateway, gateway")
        published(session, "title", title="The Gateway")
        published(session, "summary", summary="a gateway, shortly")
        assert found(session, "gateway") == ["title", "summary", "text"]


def test_all_words_first_and_some_only_if_there_is_no_such_article(shelf: Session) -> None:
    assert found(shelf, "licence password") == ["licence"]
    hits = search(shelf, None, "password unicorn", language="en", now=START, limit=5)
    assert [hit.complete for hit in hits] == [False, False]


@pytest.mark.parametrize(
    ("username", "seen"),
    [(None, {"public"}), ("carol", {"public", "users"}), ("sam", {"public", "users", "staff"})],
)
def test_what_may_not_be_read_is_not_found(desk: Help, username: str | None, seen: set[str]) -> None:
    with desk.write() as session:
        for visibility in ("public", "users", "staff"):
            published(session, visibility, visibility=visibility, body="the unicorn")
        written(session, "draft", body="the unicorn")
        publish(session, written(session, "later", body="unicorn"), by="Sam", now=START, at=START + timedelta(days=1))
        reader = desk.user(session, username) if username else None
        for words in ("unicorn", "unicron", "unic"):
            assert set(found(session, words, reader)) == seen, words


def test_the_index_follows_what_readers_see(desk: Help) -> None:
    with desk.write() as session:
        article = published(session, "one", body="unicorn")
        values = {**vars(content_of(article)), "body": "zebra"}
        edit(session, article, type(content_of(article))(**values), seen=1, by="Sam", now=START)
        assert (found(session, "unicorn"), found(session, "zebra")) == (["one"], [])
        publish(session, article, by="Sam", now=START)
        assert (found(session, "unicorn"), found(session, "zebra")) == ([], ["one"])
        withdraw(session, article, by="Sam", now=START)
        assert found(session, "zebra") == []
        assert session.scalar(select(func.count()).select_from(Posting)) == 0


def test_articles_of_an_older_index_are_indexed_again(desk: Help) -> None:
    with desk.write() as session:
        for number in range(5):
            session.add(
                Article(slug=f"old-{number}", language="en", kind="documentation", title="Unicorn", body="x",
                        published_at=START, state="published")
            )  # fmt: skip
        session.flush()
        assert found(session, "unicorn") == []
        assert [index_stale(session, limit=3) for _ in range(3)] == [3, 2, 0]
        assert len(found(session, "unicorn")) == 5
        assert set(session.scalars(select(Article.indexed_as))) == {FORM}


def test_a_draft_is_answered_by_what_it_is_about(shelf: Session) -> None:
    assert offered(shelf, "Hello, I have forgotten the pasword of my account")[:1] == ["password"]
    assert offered(shelf, "pass")[0] == "password"
    assert offered(shelf, "Ik ben mijn wachtwoord vergeten", "nl") == ["password"]
    assert offered(shelf, "the printer is on fire and nobody knows why") == []
    assert offered(shelf, "") == []


@pytest.mark.parametrize("words", ["password", "pasword rest licnce gateway sensor unknwon", "instal " * 30])
def test_a_question_costs_four_statements_however_many_words_and_articles(shelf: Session, words: str) -> None:
    for number in range(20):
        published(shelf, f"more-{number}", title=f"More about password {number}")
    with statements(shelf) as sent:
        assert search(shelf, None, words, language="en", now=START, limit=20)
        searched = len(sent)
        suggest(shelf, None, words, language="en", now=START, limit=4)
    assert searched <= 4
    assert len(sent) - searched <= 4


def test_snippets_mark_the_words_and_nothing_else() -> None:
    body = "## Start\n" + "Filler words. " * 30 + "Then **reset** the <b>Pässword</b> & wait. " + "More. " * 50
    shown = snippet(body, terms("reset") | terms("password"), "en")
    assert "<mark>reset</mark>" in shown
    assert "<mark>Pässword</mark>" in shown
    assert "&lt;b" in shown
    assert shown.startswith("… ")
    assert len(shown) < 320
    assert mark("A <script>", frozenset(), "en") == "A &lt;script&gt;"


def test_words_are_those_that_tell_something() -> None:
    assert telling_words("How do I reset the Sync-Engine's licence?") == ["reset", "sync", "engine", "licence"]
    assert telling_words("the") == ["the"]
    assert len(telling_words("x" * 5000)[0]) == 40
    assert {"abcd", "bcd", "acd", "abd", "abc"} == misspellings("abcd")
    assert not misspellings("7420")
