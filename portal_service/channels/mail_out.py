"""Mail on its way out: written with the change it tells of, sent afterwards, once per update and person."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import exists, select
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
    """Store a mail to be sent after the transaction. `key` names the update: a second mail of it to one person is none.

    `kind` is a table of the word catalogues in `templates/`; `words` are what its sentences need. With `secret`, what
    the mail says is forgotten once it is sent: for links that open something. An address that is none, or that is
    suppressed, gets nothing.
    """
    if not is_wanted(session, key, recipient):
        return
    event_key = _event_key(key, recipient)
    # The same for the same update and person, so a mail that had to be sent twice is shown once.
    mail_id = derived_id("mail", event_key)
    mail = written(kind, recipient, words, url=url, ticket=ticket)
    about = f"ticket-{ticket.number}." if ticket else ""
    session.add(
        OutgoingMail(
            id=mail_id,
            event_key=event_key,
            ticket_id=ticket.id if ticket else None,
            kind=kind,
            recipient=recipient.address,
            recipient_name=clean_line(recipient.name)[:_MAX_NAME],
            subject=clean_line(mail.subject),
            text=mail.text,
            html=mail.html,
            secret=secret,
            message_id=f"<{about}{mail_id}@{site.current().host}>",
            in_reply_to=_thread(session, ticket, recipient),
            created_at=now,
            due_at=now,
        )
    )
    session.flush()


def is_wanted(session: Session, key: str, recipient: Recipient) -> bool:
    """Whether a mail of this update can and shall still be written to this person."""
    if not is_email(recipient.address):
        log.warning("mail_to_no_address", update=key)
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


def _thread(session: Session, ticket: Ticket | None, recipient: Recipient) -> str | None:
    """The first mail this person got about the ticket: what later ones answer to, so that they stay together."""
    if ticket is None or ticket.version <= 1:
        return None
    return session.scalar(
        select(OutgoingMail.message_id)
        .where(OutgoingMail.ticket_id == ticket.id, OutgoingMail.recipient == recipient.address)
        .order_by(OutgoingMail.created_at)
        .limit(1)
    )
