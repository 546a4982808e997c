"""Versions, publishing and what readers say."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from portal_service.knowledge import feedback, rights, shelf
from portal_service.knowledge.compare import Piece, differences
from portal_service.knowledge.editing import (
    CHANGED_MEANWHILE,
    begin,
    content_of,
    edit,
    newest,
    publish,
    restore,
    slug_of,
    withdraw,
)
from portal_service.tickets.errors import Invalid, Refused
from shared.ids import new_id
from tests.portal_service.knowledge.writing import published, written
from tests.portal_service.support_desk import START, Help


@pytest.fixture
def backend() -> str:
    """The search is tried on both databases, in its own tests; one is enough here."""
    return "sqlite"


@pytest.fixture
def session(desk: Help) -> Iterator[Session]:
    with desk.write() as session:
        yield session


def test_readers_see_the_published_version_until_the_next_is_published(session: Session) -> None:
    article = published(session, "one", body="old")
    edit(session, article, replace(content_of(article), body="new"), seen=1, by="Nora", now=START, remark="why")
    assert (article.body, article.version, article.latest) == ("old", 1, 2)
    assert (newest(session, article).author_name, newest(session, article).remark) == ("Nora", "why")
    publish(session, article, by="Sam", now=START + timedelta(days=1))
    assert (article.body, article.version, article.published_at) == ("new", 2, START)


def test_an_edit_of_an_outdated_version_is_refused(session: Session) -> None:
    article = written(session, "one")
    edit(session, article, replace(content_of(article), body="first"), seen=1, by="Sam", now=START)
    with pytest.raises(Refused, match="meanwhile") as refused:
        edit(session, article, replace(content_of(article), body="second"), seen=1, by="Nora", now=START)
    assert refused.value.message_key == CHANGED_MEANWHILE
    assert article.body == "first"


def test_an_edit_that_changes_nothing_is_no_version(session: Session) -> None:
    article = written(session, "one")
    edit(session, article, content_of(article), seen=1, by="Sam", now=START)
    assert article.latest == 1


def test_an_earlier_version_comes_back_as_the_newest(session: Session) -> None:
    article = published(session, "one", body="old")
    edit(session, article, replace(content_of(article), body="new"), seen=1, by="Sam", now=START)
    restore(session, article, 1, by="Nora", now=START)
    assert [version.body for version in shelf.versions(session, article)] == ["old", "new", "old"]
    with pytest.raises(KeyError):
        restore(session, article, 9, by="Nora", now=START)


def test_who_published_and_withdrew_is_kept(session: Session) -> None:
    article = written(session, "one")
    publish(session, article, by="Sam", now=START, at=START + timedelta(days=1))
    assert shelf.state_of(article, now=START) == "scheduled"
    assert shelf.state_of(article, now=START + timedelta(days=1)) == "published"
    withdraw(session, article, by="Nora", now=START + timedelta(days=2))
    events = [(event.action, event.actor_name) for event in shelf.events(session, article)]
    assert events == [("withdrawn", "Nora"), ("scheduled", "Sam")]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": " "}, "title"),
        ({"title": "x" * 256}, "title"),
        ({"body": "\n"}, "body"),
        ({"summary": "x" * 501}, "summary"),
        ({"kind": "song"}, "kind"),
        ({"visibility": "aliens"}, "visibility"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(session: Session, change: dict[str, str], field: str) -> None:
    content = replace(content_of(written(session, "one")), **change)
    with pytest.raises(Invalid) as refused:
        begin(session, content, language="en", by="Sam", now=START)
    assert list(refused.value.errors) == [field]


def test_languages_of_an_article_share_its_address_and_each_exists_once(session: Session) -> None:
    english = written(session, "one")
    dutch = begin(session, content_of(english), language="nl", slug=english.slug, by="Sam", now=START)
    assert shelf.languages_of(session, "one") == {"en": english.id, "nl": dutch.id}
    with pytest.raises(Invalid):
        begin(session, content_of(english), language="nl", slug=english.slug, by="Sam", now=START)


def test_addresses_are_made_of_titles_and_never_taken_twice(session: Session) -> None:
    content = replace(content_of(written(session, "x")), title="Crème brûlée & Co.")
    slugs = [begin(session, content, language="en", by="Sam", now=START).slug for _ in range(3)]
    assert slugs == ["creme-brulee-co", "creme-brulee-co-2", "creme-brulee-co-3"]
    assert slug_of("李伟") == "article"


def test_only_named_agents_and_admins_publish(desk: Help, session: Session) -> None:
    sam, nora, admin = (desk.staff(session, name) for name in ("Sam", "Nora", "Admin"))
    admin.is_admin = True
    rights.set_publishers(session, {sam.id, new_id()})
    assert [rights.may_publish(session, one) for one in (sam, nora, admin)] == [True, False, True]
    with pytest.raises(Refused):
        rights.require_publisher(session, nora)


def test_a_vote_counts_once_and_may_change(desk: Help, session: Session) -> None:
    article = published(session, "one")
    for voter, helpful in (("a", True), ("a", True), ("b", True), ("b", False)):
        feedback.vote(session, article, voter, helpful=helpful, now=START)
    echo = feedback.echoes(session, [article.id])[article.id]
    assert (echo.helpful, echo.unhelpful) == (1, 1)


def test_a_draft_that_was_not_needed_counts_once(session: Session) -> None:
    article, draft = published(session, "one"), new_id()
    for token in (draft, draft, None):
        feedback.solved_without_ticket(session, article, token, now=START)
    assert feedback.echoes(session, [article.id])[article.id].deflections == 2
    assert feedback.deflections_since(session, START + timedelta(seconds=1)) == 0


def test_comments_show_no_more_of_a_customer_than_a_first_name(desk: Help, session: Session) -> None:
    article, carol = published(session, "one"), desk.user(session, "carol")
    assert carol.contact is not None
    carol.contact.name = "Carol de Jong"
    for body in ("Thanks!", "Thanks!"):
        feedback.comment(session, article, carol, body, now=START)
    (said,) = feedback.comments(session, article)
    assert (said.author_name, said.by_staff) == ("Carol J.", False)
    feedback.remove_comment(session, article, said.id, by="Sam", now=START)
    assert not feedback.comments(session, article)
    for body in (" ", "x" * 5000):
        with pytest.raises(Invalid):
            feedback.comment(session, article, carol, body, now=START)


def test_differences_are_shown_word_by_word() -> None:
    assert differences("Stop it.\nWait.\n", "Stop him.\nWait.\n") == [
        Piece("same", "Stop "),
        Piece("out", "it."),
        Piece("in", "him."),
        Piece("same", "\n"),
        Piece("same", "Wait.\n"),
    ]
    assert {piece.kind for piece in differences("a " * 3000, "b " * 3000)} == {"in", "out"}
