"""Mail on its way out: written with the change it tells of, sent afterwards, once per update and person."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import ColumnElement, ScalarSelect, Select, exists, literal, select, union_all
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from portal_service import site
from portal_service.channels.models import OutgoingMail, SuppressedAddress
from portal_service.channels.wording import written
from portal_service.tickets.models import Ticket
from portal_service.tickets.text import clean_line
from shared.emails import email_key, is_email
from shared.ids import derived_id

log = structlog.get_logger()

_MAX_NAME = 255


@dataclass(frozen=True, kw_only=True)
class Recipient:
    name: str
    address: str
    language: str
    timezone: str = "UTC"
    """Where moments in the mail are told."""
    guest: bool = False
    """Has no log-in: links in mails bring their own key."""
    staff: bool = False
    """Reads the words of the staff pages, not those for customers."""


@dataclass(frozen=True, kw_only=True)
class NewMail:
    """A mail to be written.

    `kind` is a table of the word catalogues in `templates/`; `words` are what its sentences need. `key` names the
    update: a second mail of it to one person is none. With `secret`, what the mail says is forgotten once it is sent:
    for links that open something.
    """

    kind: str
    key: str
    recipient: Recipient
    words: Mapping[str, Any]
    url: str
    ticket: Ticket | None = None
    secret: bool = False


def queue_mail(
    session: Session,
    kind: str,
    *,
    key: str,
    recipient: Recipient,
    now: datetime,
    words: Mapping[str, Any],
    url: str,
    ticket: Ticket | None = None,
    secret: bool = False,
) -> None:
    """Store one mail, as `queue_mails` does."""
    mail = NewMail(kind=kind, key=key, recipient=recipient, words=words, url=url, ticket=ticket, secret=secret)
    queue_mails(session, [mail], now=now)


def queue_mails(session: Session, mails: Iterable[NewMail], *, now: datetime) -> None:
    """Store mails to be sent after the transaction, all of them with one statement.

    An address that is none, or that is suppressed, gets nothing; neither does who has a mail of this update already.
    """
    rows = [_row(mail, now) for mail in mails if _has_address(mail.key, mail.recipient)]
    if not rows:
        return
    session.flush()
    columns = list(OutgoingMail.__table__.c)
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    query = insert(OutgoingMail).from_select(columns, union_all(*rows) if len(rows) > 1 else rows[0])
    session.execute(query.on_conflict_do_nothing())


def _row(mail: NewMail, now: datetime) -> Select[Any]:
    """The mail as a row, or as no row where the address is suppressed; the words are in the recipient's language."""
    recipient, ticket = mail.recipient, mail.ticket
    event_key = _event_key(mail.key, recipient)
    # The same for the same update and person, so a mail that had to be sent twice is shown once.
    mail_id = derived_id("mail", event_key)
    words = written(mail.kind, recipient, mail.words, url=mail.url, ticket=ticket)
    about = f"ticket-{ticket.number}." if ticket else ""
    values: dict[str, Any] = {
        "id": mail_id,
        "event_key": event_key,
        "ticket_id": ticket.id if ticket else None,
        "kind": mail.kind,
        "recipient": recipient.address,
        "recipient_name": clean_line(recipient.name)[:_MAX_NAME],
        "subject": clean_line(words.subject),
        "text": words.text,
        "html": words.html,
        "secret": mail.secret,
        "message_id": f"<{about}{mail_id}@{site.current().host}>",
        "in_reply_to": _thread(ticket, recipient),
        "created_at": now,
        "due_at": now,
        "attempts": 0,
    }
    columns = (
        values[column.name]
        if isinstance(values.get(column.name), ColumnElement)
        else literal(values.get(column.name), column.type)
        for column in OutgoingMail.__table__.c
    )
    suppressed = exists().where(SuppressedAddress.key == email_key(recipient.address))
    return select(*columns).where(~suppressed)


def _has_address(key: str, recipient: Recipient) -> bool:
    if is_email(recipient.address):
        return True
    log.warning("mail_to_no_address", update=key)
    return False


def is_wanted(session: Session, key: str, recipient: Recipient) -> bool:
    """Whether a mail of this update can and shall still be written to this person."""
    if not _has_address(key, recipient):
        return False
    suppressed = exists().where(SuppressedAddress.key == email_key(recipient.address))
    known = exists().where(OutgoingMail.event_key == _event_key(key, recipient))
    is_suppressed, is_known = session.execute(select(suppressed, known)).one()
    if is_suppressed:
        log.warning("mail_to_suppressed_address", update=key)
    return not (is_suppressed or is_known)


def withdraw(session: Session, key: str, recipient: Recipient) -> None:
    """Take back a mail that this very transaction wrote: one that says more takes its place."""
    mail = session.scalar(select(OutgoingMail).where(OutgoingMail.event_key == _event_key(key, recipient)))
    if mail is not None and not mail.attempts and mail.sent_at is None:
        session.delete(mail)
        session.flush()


def _event_key(key: str, recipient: Recipient) -> str:
    return f"{key}:{hashlib.sha256(email_key(recipient.address).encode()).hexdigest()[:32]}"


def _thread(ticket: Ticket | None, recipient: Recipient) -> ScalarSelect[str] | None:
    """The first mail this person got about the ticket: what later ones answer to, so that they stay together."""
    if ticket is None or ticket.version <= 1:
        return None
    return (
        select(OutgoingMail.message_id)
        .where(OutgoingMail.ticket_id == ticket.id, OutgoingMail.recipient == recipient.address)
        .order_by(OutgoingMail.created_at)
        .limit(1)
        .scalar_subquery()
    )
