"""Who gets which mail about a ticket: the only table that decides it (S31, S32, S38, S52 - S54, S61 - S65).

Whoever did something is not told of it, except that a requester gets the confirmation of what he filed. An internal
note goes to nobody but the assignee.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Reader = Literal["requester", "assignee", "managers"]
"""The client contact; the agent who has the ticket; the admins, or every agent where there is no admin."""


@dataclass(frozen=True, kw_only=True)
class Mail:
    """One mail of an event: to whom, and which table of the word catalogues it is written from."""

    to: Reader
    kind: str
    to_guest: str = ""
    """What somebody without a log-in gets instead."""
    even_to_actor: bool = False


MATRIX: Mapping[str, tuple[Mail, ...]] = {
    "created": (
        Mail(to="requester", kind="created", to_guest="guest_created", even_to_actor=True),
        Mail(to="assignee", kind="assigned", even_to_actor=True),
    ),
    "assigned": (Mail(to="assignee", kind="assigned"),),
    "replied": (Mail(to="requester", kind="reply"), Mail(to="assignee", kind="reply_staff")),
    "asked": (Mail(to="requester", kind="question"), Mail(to="assignee", kind="reply_staff")),
    "noted": (Mail(to="assignee", kind="note"),),
    "pending": (Mail(to="requester", kind="waiting"),),
    "solved": (Mail(to="requester", kind="solved"), Mail(to="assignee", kind="solved_staff")),
    "closed": (Mail(to="requester", kind="closed"), Mail(to="assignee", kind="closed_staff")),
    "reopened": (Mail(to="requester", kind="reopened"), Mail(to="assignee", kind="reopened")),
    "reminded": (Mail(to="requester", kind="reminder"),),
    "closed_unanswered": (
        Mail(to="requester", kind="closed_unanswered"),
        Mail(to="assignee", kind="closed_unanswered_staff"),
    ),
    "review_overdue": (Mail(to="assignee", kind="review_overdue"), Mail(to="managers", kind="review_overdue")),
}

BY_MACHINE = frozenset({"created", "guest_created", "guest_link", "reminder", "closed_unanswered", "review_overdue"})
"""Mails nobody's words are in: marked as bulk, too, so that old out-of-office programs leave them alone."""
