"""The log of what administrators do to people's log-ins and rights, and to what is offered: who, whom, what, when."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.people.models import PeopleChange, Staff

COMMAND_LINE = "casebridge"
"""Who did what somebody with access to the machine did by a command."""

OF_OFFER = tuple(
    f"{kind}_{done}" for kind in ("type", "category") for done in ("added", "changed", "moved", "withdrawn", "offered")
)
"""The actions that are about request types and categories, not about people."""


def record(session: Session, action: str, *, by: Staff | None, about: str, now: datetime, detail: str = "") -> None:
    """Keep it with the change itself: neither is without the other. `action` is a key of the pages' PEOPLE_ACTION.

    `by` is None for the command line.
    """
    session.add(
        PeopleChange(at=now, by=by.name if by else COMMAND_LINE, about=about[:255], action=action, detail=detail)
    )


def latest(
    session: Session, *, limit: int, about: str | None = None, offer: bool | None = None
) -> Sequence[PeopleChange]:
    """The newest first; of one person by name, of request types and categories alone (`offer`) or without them."""
    query = select(PeopleChange).order_by(PeopleChange.id.desc()).limit(limit)
    if about is not None:
        query = query.where(PeopleChange.about == about)
    if offer is not None:
        query = query.where(PeopleChange.action.in_(OF_OFFER) == offer)
    return session.scalars(query).all()
