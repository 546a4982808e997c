"""What the requester thinks of how a finished ticket was handled."""

from datetime import datetime

from sqlalchemy.orm import Session

from portal_service.messages import message
from portal_service.people import policy
from portal_service.tickets import fields, history, text
from portal_service.tickets.actor import Actor
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.lifecycle import status_after
from portal_service.tickets.models import Rating, Ticket

SCORES = (1, 2, 3, 4, 5)
MAX_WORDS = 2_000

NO_SCORE = message("Please choose one of the five.")
WORDS_TOO_LONG = message("This is too long: please use at most 2,000 characters.")


def rate(session: Session, ticket: Ticket, *, actor: Actor, score: int, words: str, now: datetime) -> Rating:
    """Give a solved or closed ticket its rating, or change it. Staff see it, the CRM does not.

    Only the requester's own opinion counts, not that of colleagues who may read the ticket. `score`: one of SCORES.
    Raises Invalid, Refused.
    """
    policy.require(actor.kind, "rate")
    if actor.contact_id != ticket.contact_id:
        raise Refused(policy.NOT_ALLOWED)
    fields.lock(session, ticket)
    status_after("rate", ticket.status)
    words = text.clean_body(words).strip()
    errors = {"score": "" if score in SCORES else NO_SCORE, "words": WORDS_TOO_LONG if len(words) > MAX_WORDS else ""}
    if any(errors.values()):
        raise Invalid({field: error for field, error in errors.items() if error})
    rating = session.get(Rating, ticket.id)
    before = rating.score if rating else None
    if rating is None:
        rating = Rating(ticket_id=ticket.id)
        session.add(rating)
    rating.score, rating.words, rating.rated_by, rating.rated_at = score, words, actor.name, now
    if before != score:
        mark = None if before is None else str(before)
        history.record(session, ticket, "changed", actor=actor, now=now, field="rating", before=mark, after=str(score))
    session.flush()
    return rating
