"""A solved ticket becomes an article after a person has checked that it tells nothing of the customer (S22)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.knowledge.editing import Content, begin
from portal_service.knowledge.models import Article
from portal_service.knowledge.redaction import Finding, Secret, findings, redact, secrets_of
from portal_service.knowledge.sources import ArticleSource, customer_secrets, without_own_links
from portal_service.messages import message
from portal_service.tickets.errors import Invalid
from portal_service.tickets.models import Reply, Ticket

UNCONFIRMED = message("Please check each of these and say so.")
UNREAD = message("Please read the text and say so.")
TAKEN_OUT = message("Something of the customer was still in the text. It has been taken out now: please look again.")
_HEADINGS = {"en": ("Question", "Answer"), "nl": ("Vraag", "Antwoord")}
DONE = frozenset({"solved", "closed"})


@dataclass(frozen=True, kw_only=True)
class Review:
    """What the reviewer decided."""

    confirmed: Collection[str]
    """Keys of findings that were checked."""
    kept: Collection[str]
    """Keys of findings that are common words here."""
    extra: Sequence[str]
    """What to leave out besides."""
    was_read: bool


@dataclass(frozen=True)
class Proposal:
    """What a ticket offers for an article, and what in it tells of its customer."""

    content: Content
    findings: Sequence[Finding]


def propose(session: Session, ticket: Ticket, *, language: str, review: Review | None = None) -> Proposal:
    """The ticket's subject, question and public replies, redacted; internal notes are never read."""
    secrets = _secrets(session, ticket, review)
    subject, body = ticket.subject, _told(session, ticket, language)
    kept = review.kept if review else ()
    content = Content(
        kind="documentation",
        title=redact(subject, secrets, language=language, kept=kept),
        summary="",
        body=redact(body, secrets, language=language, kept=kept),
        visibility="users",
    )
    return Proposal(content, findings(f"{subject}\n{body}", secrets))


def accept(
    session: Session, ticket: Ticket, content: Content, review: Review, *, language: str, by: str, now: datetime
) -> Article:
    """Make a draft of a reviewed text. Raises Invalid while something is not checked or still in the text."""
    errors = {}
    asked = {finding.key for finding in propose(session, ticket, language=language, review=review).findings}
    if asked - set(review.confirmed) - set(review.kept):
        errors["confirm"] = UNCONFIRMED
    if not review.was_read:
        errors["read"] = UNREAD
    if cleaned(session, ticket, content, review, language=language) != content:
        errors[""] = TAKEN_OUT
    if errors:
        raise Invalid(errors)
    article = begin(session, content, language=language, by=by, now=now)
    session.add(
        ArticleSource(
            article_id=article.id,
            ticket_id=ticket.id,
            kept=sorted(review.kept),
            extra=list(review.extra),
            reviewed_by=by,
            reviewed_at=now,
        )
    )
    session.flush()
    return article


def cleaned(session: Session, ticket: Ticket, content: Content, review: Review, *, language: str) -> Content:
    """The content with marks for whatever in it still tells of the customer."""
    secrets = _secrets(session, ticket, review)

    def clean(text: str) -> str:
        if not findings(without_own_links(text), secrets, kept=review.kept):
            return text
        return redact(text, secrets, language=language, kept=review.kept)

    return replace(content, title=clean(content.title), summary=clean(content.summary), body=clean(content.body))


def _secrets(session: Session, ticket: Ticket, review: Review | None) -> list[Secret]:
    extra = secrets_of("other", review.extra) if review else []
    return [*customer_secrets(session, ticket), *extra]


def _told(session: Session, ticket: Ticket, language: str) -> str:
    """The question and what was answered, as Markdown; what the customer added is quoted."""
    question, answer = _HEADINGS.get(language, _HEADINGS["en"])
    replies = session.scalars(select(Reply).where(Reply.ticket_id == ticket.id).order_by(Reply.position)).all()
    said = [reply.body if reply.side == "staff" else _quoted(reply.body) for reply in replies]
    return "\n\n".join([f"## {question}", ticket.description, f"## {answer}", *said])


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())
