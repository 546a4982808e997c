"""Articles that were made from a ticket, and what of that ticket's customer may never be in them (S22)."""

import re
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from portal_service import site
from portal_service.base import Base
from portal_service.guests.models import GuestTicket
from portal_service.knowledge.models import Article
from portal_service.knowledge.redaction import Secret, findings, secrets_of
from portal_service.people.models import Contact, User
from portal_service.tickets.models import Reply, Ticket

_COMMON_PARTS = (
    "van von de den der des del dos the und and bij ten ter "
    "gmbh ltd limited inc llc corp bvba sarl company group holding holdings"
)
_PARTICLES = frozenset(_COMMON_PARTS.split())
_MAILBOXES = "gmail.com googlemail.com outlook.com hotmail.com live.com yahoo.com icloud.com ziggo.nl kpnmail.nl"
_SOMEBODY_ELSES_DOMAIN = frozenset(_MAILBOXES.split())
_TELLING_DETAILS = {"Customer number": ("other", True), "Phone number": ("phone", True), "Company": ("company", True),
                    "Person or group concerned": ("name", False)}  # fmt: skip
_WORDS = re.compile(r"[^\W\d_]+")


class ArticleSource(Base):
    """The ticket an article was made from, and what the reviewer decided."""

    __tablename__ = "article_sources"

    article_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("articles.id"), primary_key=True)
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"), index=True)
    kept: Mapped[list[Any]] = mapped_column(default=list)
    """Keys of findings that are common words here."""
    extra: Mapped[list[Any]] = mapped_column(default=list)
    """What the reviewer wanted to be left out besides."""
    reviewed_by: Mapped[str] = mapped_column(String(255))
    reviewed_at: Mapped[datetime]


def inherit_source(session: Session, article: Article) -> None:
    """A translation of an article that was made from a ticket is watched like that article."""
    known = select(ArticleSource).join(Article, Article.id == ArticleSource.article_id)
    source = session.scalars(known.where(Article.slug == article.slug).limit(1)).first()
    if source is not None:
        names = ("ticket_id", "kept", "extra", "reviewed_by", "reviewed_at")
        session.add(ArticleSource(article_id=article.id, **{name: getattr(source, name) for name in names}))
        session.flush()


def leaks(session: Session, article: Article, text: str) -> list[str]:
    """What in this text tells of the customer whose ticket the article was made from; nothing for other articles."""
    source = session.get(ArticleSource, article.id)
    ticket = session.scalar(select(Ticket).where(Ticket.id == source.ticket_id)) if source else None
    if source is None or ticket is None:
        return []
    secrets = [*customer_secrets(session, ticket), *secrets_of("other", source.extra)]
    return [finding.text for finding in findings(without_own_links(text), secrets, kept=source.kept)]


def customer_secrets(session: Session, ticket: Ticket) -> list[Secret]:
    """Everything we know of the ticket's customer."""
    replies = session.scalars(select(Reply).where(Reply.ticket_id == ticket.id, Reply.side == "customer")).all()
    guest = session.get(GuestTicket, ticket.id)
    addresses = [reply.author_email for reply in replies] + ([guest.email] if guest else [])
    names = [reply.author_name for reply in replies]
    companies = [ticket.account.name] if ticket.account else []
    if ticket.contact is not None:
        addresses += [email.address for email in ticket.contact.emails]
        names.append(ticket.contact.name)
        companies += [account.name for account in _accounts(ticket.contact)]
    found = [
        *secrets_of("name", names),
        *secrets_of("name", _parts(names), strict=False),
        *secrets_of("company", companies),
        *secrets_of("company", _parts(companies), strict=False),
        *secrets_of("email", addresses),
        *secrets_of("url", _domains(addresses)),
        *secrets_of("username", _usernames(session, ticket.contact)),
        *secrets_of("ticket", [str(ticket.number)]),
        *_told(ticket),
    ]
    return list(dict.fromkeys(found))


def without_own_links(text: str) -> str:
    """The text without addresses of this portal, which tell of nobody."""
    own = re.escape(site.current().portal_url)
    return re.sub(rf"{own}/(?:knowledge|downloads|troubleshooter|news)\b[^\s)\]]*", "", text)


def _accounts(contact: Contact) -> list[Any]:
    granted = [grant.account for grant in contact.grants]
    return [*granted, contact.account] if contact.account else granted


def _parts(names: Iterable[str]) -> list[str]:
    """The words of a name that may stand for it."""
    words = [word for name in names for word in _WORDS.findall(name)]
    return [word for word in words if len(word) > 1 and word.lower() not in _PARTICLES]


def _domains(addresses: Iterable[str | None]) -> set[str]:
    domains = {address.rpartition("@")[2].lower() for address in addresses if address and "@" in address}
    return domains - _SOMEBODY_ELSES_DOMAIN


def _usernames(session: Session, contact: Contact | None) -> list[str]:
    if contact is None:
        return []
    return list(session.scalars(select(User.username).where(User.contact_id == contact.id)))


def _told(ticket: Ticket) -> list[Secret]:
    """What the form asked that tells who somebody is."""
    found = []
    for label, (kind, strict) in _TELLING_DETAILS.items():
        found += secrets_of(kind, [str(ticket.details.get(label) or "")], strict=strict)
    if ticket.link_url:
        found += secrets_of("url", [ticket.link_url, urlsplit(ticket.link_url).hostname])
    return found
