"""Mending what a comparison found, by the ordinary way: what is remembered wrongly is forgotten, lanes do the rest.

Nothing is written to the CRM or to the portal here.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from crm_sync_service import lanes
from crm_sync_service.compare import Difference
from crm_sync_service.lanes import Priority
from crm_sync_service.merge import Policy, decide
from crm_sync_service.models import Lane, Link, ReplyReplica

Direction = Literal["auto", "to-crm", "to-portal"]
DIRECTIONS: tuple[Direction, ...] = ("auto", "to-crm", "to-portal")

_BY_LANE = {
    "Note missing": "writes the Note again",
    "removal Note missing": "writes the Note that says the ticket was removed",
    "Case missing": "looks for the Case; if it is gone, the ticket is listed for a decision in the console",
    "Case deleted": "lists the ticket for a decision in the console: no Case is made again by itself",
}
_REPORTED = {
    "words altered": "nothing: account managers may edit the words outside the managed block",
    "second Case": "nothing: merge the two in the CRM",
    "stranger Case": "nothing: link or delete it in the CRM (see `casebridge adopt`)",
    "dangling Case": "nothing: it names a ticket that does not exist here",
    "extra Note": "nothing: Notes are never deleted",
    "Note altered": "nothing: Notes are never rewritten",
    "order of Notes": "nothing: Notes are never moved",
    "link dead": "nothing: look for the file in the portal",
}


def can_repair(difference: Difference, policies: Mapping[str, Policy]) -> bool:
    """Whether the lane can do anything about it."""
    if difference.name is not None:
        return difference.name in policies
    return difference.kind in _BY_LANE


def preview(difference: Difference, link: Link | None, *, direction: Direction, policies: Mapping[str, Policy]) -> str:
    """What a repair would do about it, in words."""
    name = difference.name
    if name is None or name not in policies:
        return _BY_LANE.get(difference.kind) or _REPORTED.get(
            difference.kind, "nothing: the portal's value has no counterpart in the CRM, or the other way round"
        )
    ours, theirs = difference.values
    base = (
        _base(difference, policies[name], direction) if direction != "auto" else (link.base if link else {}).get(name)
    )
    verdict = decide(policy=policies[name], base=base, ours=ours, theirs=theirs, pushed=()).verdict
    what = difference.field
    if verdict == "push":
        return f"writes {what} to the Case, as the ticket has it"
    if verdict == "pull":
        return f"asks the portal to take {what} as the Case has it"
    return "nothing by itself: see the ticket's page in the console"


def repair(
    session: Session,
    ticket_id: uuid.UUID,
    differences: Sequence[Difference],
    *,
    direction: Direction,
    policies: Mapping[str, Policy],
    now: datetime,
) -> bool:
    """Forget what is wrong and mark the lane due; False if nothing can be done, or somebody works on the ticket."""
    wanted = [difference for difference in differences if can_repair(difference, policies)]
    lane = session.get(Lane, ticket_id, with_for_update=True)
    if not wanted or (lane is not None and lane.state != "idle"):
        return False
    link = session.get(Link, ticket_id)
    if link is not None:
        if direction != "auto":
            link.base = {**link.base, **dict(_bases(wanted, policies, direction))}
        if any(difference.kind == "removal Note missing" for difference in wanted):
            link.state = "linked"
            removal = f"removal:{ticket_id}"
            link.extra_notes = {key: note for key, note in link.extra_notes.items() if not key.startswith(removal)}
    for difference in wanted:
        if difference.reply_id is not None:
            reply = session.get_one(ReplyReplica, uuid.UUID(difference.reply_id))
            reply.note_id, reply.parked = None, None
    lanes.mark_due(session, [ticket_id], now=now, priority=Priority.BACKGROUND)
    return True


def _bases(
    differences: Sequence[Difference], policies: Mapping[str, Policy], direction: Direction
) -> Iterator[tuple[str, str | None]]:
    for difference in differences:
        if difference.name is not None:
            yield difference.name, _base(difference, policies[difference.name], direction)


def _base(difference: Difference, policy: Policy, direction: Direction) -> str | None:
    """As if only the side that is to win had changed the field. What travels one way only goes that way."""
    ours, theirs = difference.values
    to_portal = policy.direction == "to_portal" or (direction == "to-portal" and policy.direction == "both")
    return ours if to_portal else theirs
