"""No word of a customer leaves the ticket with the article that is made of it (S22)."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.knowledge.editing import Content, begin, content_of, edit, publish
from portal_service.knowledge.from_ticket import Review, accept, propose
from portal_service.knowledge.models import Article
from portal_service.knowledge.redaction import Secret, findings, redact
from portal_service.knowledge.search import search
from portal_service.people.models import ContactEmail
from portal_service.tickets.actions import add_internal_note, add_reply, close
from portal_service.tickets.errors import Invalid
from portal_service.tickets.models import Ticket
from shared.emails import email_key
from tests.portal_service.support_desk import START, Help

_ADDRESS = re.compile(r"\S+@\S+\.\w+|https?://|www\.|\\\\\w")
_PHONE = re.compile(r"\d[\d ().-]{6,}\d")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mail carol.j+x@acme.example, please.", "Mail [e-mail address], please."),
        ("See https://intra.acme.example/a?b=c#d.", "See [address]"),
        ("Open www.acme.example now", "Open [address] now"),
        (r"It is on \\server7\share\x", "It is on [address]"),
        ("Call +31 (0)20 123 45 67 or 020-1234567", "Call [phone number] or [phone number]"),
        ("Ticket #1001 again", "Ticket [ticket number] again"),
        ("Key 4F2KX-9QZ7M-1A2B3-XYZ45", "Key [key]"),
        ("id 0b6f5a3e-1c2d-4e5f-8a9b-0c1d2e3f4a5b", "id [key]"),
        ("token: hunter2secret", "token: [key]"),
        ("IBAN NL91 ABNA 0417 1643 00", "IBAN [key]"),
        ("from 10.20.30.40", "from [IP address]"),
        ("On 2026-11-24 10:00 version 4.1 listens on 7420.", "On 2026-11-24 10:00 version 4.1 listens on 7420."),
    ],
)
def test_patterns_are_found(text: str, expected: str) -> None:
    assert redact(text, [], language="en") == expected
    assert redact(expected, [], language="en") == expected


def test_names_are_found_however_they_are_written() -> None:
    secrets = [Secret("name", "Sofía García"), Secret("name", "Li", strict=False), Secret("name", "李伟")]
    text = "SOFIA  GARCIA and sofía\ngarcía, 你好李伟. Li too, but no list or lithium, and no li."
    assert (
        redact(text, secrets, language="nl")
        == "[naam] and [naam], 你好[naam]. [naam] too, but no list or lithium, and no li."
    )
    assert [finding.strict for finding in findings("Li", secrets)] == [False]
    assert redact("Li", secrets, language="en", kept=["name:Li"]) == "Li"
    assert redact("Sofia Garcia", secrets, language="en", kept=["name:Sofia Garcia"]) == "[name]"
    (mail,) = findings("x@acme.example", [Secret("url", "acme.example")])
    assert (mail.kind, mail.strict) == ("email", True)


@pytest.fixture
def backend() -> str:
    """The search is tried on both databases, in its own tests; one is enough here."""
    return "sqlite"


@pytest.fixture
def solved(desk: Help) -> int:
    """A ticket full of what nobody else may learn, solved."""
    with desk.write() as session:
        carol = desk.contact(session, "Carol")
        carol.emails.append(ContactEmail(position=1, address="cj@home.example", key=email_key("cj@home.example")))
        ticket = desk.submit(
            session,
            subject="Carol Jansen of Acme cannot print (see #1000)",
            description="Hello,\nI am Carol, of ACME. Mail me: carol@acme.example or CJ@home.example, phone "
            "+31 20 123 4567.\nLook at https://reports.acme.example/17 with password: s3cretWord.\n"
            "Our number is K-7788. The tray is empty.",
            link_url="https://reports.acme.example/17",
            details={"Customer number": "K-7788", "Person or group concerned": "Bertram"},
        )
        carol.name = "Carol Jansen"
        sam = desk.actor(session, "sam")
        add_reply(session, ticket, actor=sam, body="Dear Carol, fill the tray of the printer.", now=START)
        add_internal_note(session, ticket, actor=sam, body="The unicorn is internal.", now=START)
        add_reply(session, ticket, actor=desk.actor(session, "carol"), body="Bertram did it. Thanks!", now=START)
        close(session, ticket, actor=sam, now=START + timedelta(hours=1))
        return ticket.number


def _ticket(session: Session, number: int) -> Ticket:
    return session.scalars(select(Ticket).where(Ticket.number == number)).one()


def _whole(content: Content) -> str:
    return f"{content.title}\n{content.summary}\n{content.body}"


def _review(
    confirmed: list[str], *, was_read: bool = True, kept: tuple[str, ...] = (), extra: tuple[str, ...] = ()
) -> Review:
    return Review(confirmed=confirmed, kept=kept, extra=extra, was_read=was_read)


def _assert_tells_nothing(text: str) -> None:
    lower = text.lower()
    for word in ("carol", "jansen", "acme", "home.example", "cj@", "k-7788", "bertram", "s3cret", "#1000", "unicorn"):
        assert word not in lower, word
    assert not _ADDRESS.search(text)
    assert not _PHONE.search(text)


def test_nothing_of_the_customer_is_proposed(desk: Help, solved: int) -> None:
    with desk.write() as session:
        proposal = propose(session, _ticket(session, solved), language="en")
        _assert_tells_nothing(_whole(proposal.content))
        assert "tray of the printer" in proposal.content.body
        assert {finding.kind for finding in proposal.findings} >= {"name", "company", "email", "phone", "url", "key"}


def test_every_finding_has_to_be_confirmed_and_the_text_read(desk: Help, solved: int) -> None:
    with desk.write() as session:
        ticket = _ticket(session, solved)
        proposal = propose(session, ticket, language="en")
        keys = [finding.key for finding in proposal.findings]
        for review, field in ((_review(keys[1:]), "confirm"), (_review(keys, was_read=False), "read")):
            with pytest.raises(Invalid) as refused:
                accept(session, ticket, proposal.content, review, language="en", by="Sam", now=START)
            assert set(refused.value.errors) == {field}
        assert session.scalar(select(Article.id)) is None
        accept(session, ticket, proposal.content, _review(keys), language="en", by="Sam", now=START)


def test_what_a_reviewer_types_back_is_refused_then_and_at_publishing(desk: Help, solved: int) -> None:
    with desk.write() as session:
        ticket = _ticket(session, solved)
        proposal = propose(session, ticket, language="en")
        review = _review([finding.key for finding in proposal.findings])
        bad = Content(**{**vars(proposal.content), "body": "Ask Carol at Acme."})
        with pytest.raises(Invalid):
            accept(session, ticket, bad, review, language="en", by="Sam", now=START)
        article = accept(session, ticket, proposal.content, review, language="en", by="Sam", now=START)
        edit(session, article, bad, seen=1, by="Sam", now=START)
        with pytest.raises(Invalid) as refused:
            publish(session, article, by="Sam", now=START)
        assert refused.value.errors["leaks"] == "Carol, Acme"
        assert article.state == "draft"
        dutch = begin(session, bad, language="nl", slug=article.slug, by="Sam", now=START)
        with pytest.raises(Invalid):
            publish(session, dutch, by="Sam", now=START)


def test_a_common_word_may_be_kept_and_more_be_left_out(desk: Help, solved: int) -> None:
    with desk.write() as session:
        ticket = _ticket(session, solved)
        keys = [finding.key for finding in propose(session, ticket, language="en").findings]
        content = Content(kind="documentation", title="Bertram", summary="", body="The Falcon.", visibility="users")
        with pytest.raises(Invalid):
            accept(session, ticket, content, _review(keys), language="en", by="Sam", now=START)
        kept = _review(keys, kept=("name:Bertram",), extra=("Falcon",))
        with pytest.raises(Invalid):
            accept(session, ticket, content, kept, language="en", by="Sam", now=START)
        fine = Content(**{**vars(content), "body": "A bird."})
        article = accept(session, ticket, fine, kept, language="en", by="Sam", now=START)
        publish(session, article, by="Sam", now=START)


def test_the_published_answer_is_found_by_the_next_who_types_the_same_words(desk: Help, solved: int) -> None:
    with desk.write() as session:
        ticket = _ticket(session, solved)
        proposal = propose(session, ticket, language="en")
        review = _review([finding.key for finding in proposal.findings])
        article = accept(session, ticket, proposal.content, review, language="en", by="Sam", now=START)
        publish(session, article, by="Sam", now=START)
        reader = desk.user(session, "dave")
        (hit,) = search(session, reader, "printer tray", language="en", now=START, limit=5)
        _assert_tells_nothing(_whole(content_of(hit.article)) + hit.article.slug)
        assert search(session, None, "printer tray", language="en", now=START, limit=5) == []
