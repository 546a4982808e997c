"""The call a requester asked for (S24) is made."""

from datetime import datetime

from sqlalchemy.orm import Session

from portal_service.people import policy
from portal_service.tickets import history
from portal_service.tickets.actor import Actor
from portal_service.tickets.models import Ticket


def mark_called(session: Session, ticket: Ticket, *, actor: Actor, now: datetime) -> None:
    """Take a ticket off the list of calls; told a second time, nothing happens. Raises Refused for customers."""
    policy.require(actor.kind, "note")
    if ticket.called_at is None:
        ticket.called_at = now
        history.record(session, ticket, "called", actor=actor, now=now)
