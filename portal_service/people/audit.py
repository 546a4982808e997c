"""The log of what administrators do to people's log-ins and rights: who, whom, what, when."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.people.models import PeopleChange, Staff

COMMAND_LINE = "casebridge"
"""Who did what somebody with access to the machine did by a command."""


def record(session: Session, action: str, *, by: Staff | None, about: str, now: datetime, detail: str = "") -> None:
    """Keep it with the change itself: neither is without the other. `action` is a key of the pages' PEOPLE_ACTION.

    `by` is None for the command line.
    """
    session.add(
        PeopleChange(at=now, by=by.name if by else COMMAND_LINE, about=about[:255], action=action, detail=detail)
    )


def latest(session: Session, *, limit: int, about: str | None = None) -> Sequence[PeopleChange]:
    """The newest first; of one person by name, or of all."""
    query = select(PeopleChange).order_by(PeopleChange.id.desc()).limit(limit)
    return session.scalars(query.where(PeopleChange.about == about) if about is not None else query).all()
