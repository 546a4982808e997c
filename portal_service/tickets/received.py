"""What somebody who has just filed a request is told: who has it, what happens next and by when (S23, S38)."""

from datetime import datetime
from typing import Any

from portal_service.clocks.settings import ClockSettings
from portal_service.tickets.fields import assignee_name
from portal_service.tickets.models import Ticket


def told_about(ticket: Ticket, clocks: ClockSettings) -> dict[str, Any]:
    """What the confirmation pages show of a new ticket."""
    return {
        "ticket": ticket,
        "assignee_name": assignee_name(ticket),
        "missed": missed_favourite(ticket),
        "review_by": _review_by(ticket, clocks),
    }


def missed_favourite(ticket: Ticket) -> str | None:
    """The favourite representative who did not get the ticket (S23)."""
    favourite = ticket.assignment.get("favourite") or {}
    return favourite.get("name") if favourite.get("outcome") not in {None, "chosen"} else None


def _review_by(ticket: Ticket, clocks: ClockSettings) -> datetime | None:
    """When somebody will have looked at it; None when nobody promises it or somebody has."""
    if clocks.review is None or ticket.reviewed_at is not None:
        return None
    return clocks.review_hours.after(ticket.created_at, clocks.review)
