"""The mails about a ticket, by event; `matrix.MATRIX` says who gets them. An import tells nobody."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service import site
from portal_service.channels.mail_out import NewMail, Recipient, is_wanted, queue_mails, withdraw
from portal_service.channels.matrix import MATRIX
from portal_service.channels.readers import readers
from portal_service.guests.keys import direct_link, issue_key
from portal_service.tickets.actor import CLOCK, SYSTEM, Actor
from portal_service.tickets.lifecycle import CLOSED, DONE, OPEN
from portal_service.tickets.models import Entry, InternalNote, Reply, Ticket
from shared.emails import email_key


def ticket_created(session: Session, ticket: Ticket, *, actor: Actor, now: datetime) -> None:
    """The requester gets the number and who has it; the agent learns that it is his (S23, S31, S32)."""
    favourite = ticket.assignment.get("favourite", {})
    missed = favourite.get("name") if favourite.get("outcome") not in {None, "chosen"} else None
    _tell(
        session,
        ticket,
        "created",
        key=f"created:{ticket.id}",
        actor=actor,
        now=now,
        quote=ticket.description,
        missed_favourite=missed,
        by=None,
    )


def ticket_assigned(
    session: Session, ticket: Ticket, *, note: InternalNote | None, actor: Actor, now: datetime
) -> None:
    """The new assignee, unless he took it himself, is told; with the internal note that came with it."""
    _tell(
        session,
        ticket,
        "assigned",
        key=_update(ticket),
        actor=actor,
        now=now,
        quote=ticket.description,
        note=note.body if note else None,
        by=actor.name,
    )


def reply_added(
    session: Session, ticket: Ticket, reply: Reply, *, actor: Actor, now: datetime, before: str | None = None
) -> None:
    """Requester and assignee, except the author (S53); an agent's question says that the ticket waits (S61).

    `before` is the status the ticket had: a reply that takes a finished one up again says so (S65).
    """
    event = "asked" if ticket.status == "pending" and actor.kind != "customer" else "replied"
    reopened = before in DONE and ticket.status == OPEN
    words = _said(reply) | {"reopened": reopened}
    _tell(session, ticket, event, key=f"reply:{reply.id}", actor=actor, now=now, **words)


def note_added(session: Session, ticket: Ticket, note: InternalNote, *, actor: Actor, now: datetime) -> None:
    """The assignee; never the customer."""
    _tell(session, ticket, "noted", key=f"note:{note.id}", actor=actor, now=now, **_said(note))


def status_changed(session: Session, ticket: Ticket, *, actor: Actor, now: datetime, before: str | None = None) -> None:
    """Waiting, solved, closed, and taken up again after either of these (S61, S62, S65).

    What the same person said in the same moment stands in the same mail: one update, one mail.
    """
    event = _status_event(ticket, actor, before)
    if event is None:
        return
    reply = _said_with_it(session, ticket, actor, now)
    key = f"reply:{reply.id}" if reply else _update(ticket)
    words = _said(reply) if reply else {"by": actor.name}
    _tell(session, ticket, event, key=key, actor=actor, now=now, instead=reply is not None, **words)


def reminded(session: Session, ticket: Ticket, *, since: datetime, closes: datetime | None, now: datetime) -> None:
    """The customer has not answered for a week (S63)."""
    question = session.scalars(
        select(Reply).where(Reply.ticket_id == ticket.id, Reply.side != "customer").order_by(Reply.position.desc())
    ).first()
    key = f"reminded:{ticket.id}:{since.timestamp():.0f}"
    quote = question.body if question else None
    _tell(session, ticket, "reminded", key=key, actor=CLOCK, now=now, since=since, closes=closes, quote=quote)


def review_overdue(session: Session, ticket: Ticket, *, due: datetime, now: datetime) -> None:
    """Nobody opened a new ticket in time (S38)."""
    key = f"review:{ticket.id}"
    quote = ticket.description
    _tell(session, ticket, "review_overdue", key=key, actor=CLOCK, now=now, due=due, quote=quote)


def _tell(
    session: Session,
    ticket: Ticket,
    event: str,
    *,
    key: str,
    actor: Actor,
    now: datetime,
    instead: bool = False,
    **words: Any,
) -> None:
    """One mail per recipient; `instead` of one that this transaction wrote about the same update."""
    if ticket.origin == "import" and actor == SYSTEM:
        return
    known = {
        "assignee": ticket.assignee.name if ticket.assignee else None,
        "requester": ticket.contact.name if ticket.contact else None,
    }
    mails = []
    for kind, recipient in _recipients(session, ticket, event, actor):
        if instead:
            withdraw(session, key, recipient)
        if not recipient.guest or is_wanted(session, key, recipient):
            mails.append(_mail(session, ticket, kind, recipient, key=key, now=now, words=known | words))
    queue_mails(session, mails, now=now)


def _recipients(session: Session, ticket: Ticket, event: str, actor: Actor) -> Iterator[tuple[str, Recipient]]:
    """What is mailed to whom: whoever has two parts in a ticket gets the mail of the first."""
    own = email_key(actor.email) if actor.email else None
    told = set()
    for mail in MATRIX[event]:
        for recipient in readers(session, ticket, mail.to):
            address = email_key(recipient.address)
            if address not in told and (mail.even_to_actor or address != own):
                told.add(address)
                yield (mail.to_guest if mail.to_guest and recipient.guest else mail.kind), recipient


def _mail(
    session: Session,
    ticket: Ticket,
    kind: str,
    recipient: Recipient,
    *,
    key: str,
    now: datetime,
    words: dict[str, Any],
) -> NewMail:
    """A guest's mail has a key of its own, because those given out before are not kept readable (S09, S54)."""
    guest_key = issue_key(session, ticket, mailed=True, now=now) if recipient.guest else None
    return NewMail(
        kind=kind,
        key=key,
        recipient=recipient,
        words={**words, "key": guest_key},
        url=direct_link(ticket.number, guest_key) if guest_key else site.current().ticket_url(ticket.number),
        ticket=ticket,
        secret=guest_key is not None,
    )


def _update(ticket: Ticket) -> str:
    return f"update:{ticket.id}:{ticket.version}"


def _said(entry: Entry) -> dict[str, Any]:
    return {"by": entry.author_name, "quote": entry.body, "files": [file.name for file in entry.attachments]}


def _status_event(ticket: Ticket, actor: Actor, before: str | None) -> str | None:
    if ticket.status == OPEN:
        return "reopened" if before is None or before in DONE else None
    if ticket.status == CLOSED and actor == CLOCK:
        return "closed_unanswered"
    return ticket.status if ticket.status in MATRIX else None


def _said_with_it(session: Session, ticket: Ticket, actor: Actor, now: datetime) -> Reply | None:
    """The reply that this transaction added for the same person."""
    return session.scalars(
        select(Reply)
        .where(Reply.ticket_id == ticket.id, Reply.created_at == now, Reply.author_name == actor.name)
        .order_by(Reply.position.desc())
    ).first()
