"""The breaker for a field that two parties set back and forth (O3; FAILURES 34, 35). Pure."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from crm_sync_service.links import Flip
from crm_sync_service.merge import Decision, Side
from shared.clock import from_text

WINDOW = timedelta(hours=1)
MOST_FLIPS = 10
"""In a window: so often a side may set a field back to what it had set before the other side changed it."""
MOST_REDOS = 3
"""The same where the policy has us write our value again over somebody else's."""


def with_moves(
    flips: Sequence[Flip], decision: Decision, *, ours: str | None, theirs: str | None, at: str, unanswered: bool
) -> tuple[Flip, ...]:
    """Who set the field, as far back as the window goes, with what this decision shows.

    `unanswered`: a write of ours to it had no answer. A CRM that still has its own value then has not set it again.
    """
    if (decision.conflict or decision.pulls) and not (unanswered and _last_of(flips, "crm") == _hash(theirs)):
        flips = with_move(flips, "crm", theirs, at=at)
    if decision.pushes:
        flips = with_move(flips, "portal", ours, at=at)
    return tuple(flips)


def with_move(flips: Sequence[Flip], side: Side, value: str | None, *, at: str) -> tuple[Flip, ...]:
    """A side was seen to have set the field; seeing the same once more is no move."""
    recent = tuple(flip for flip in flips if from_text(at) - from_text(flip.at) < WINDOW)
    flip = Flip(at=at, side=side, value=_hash(value))
    return recent if recent and (recent[-1].side, recent[-1].value) == (side, flip.value) else (*recent, flip)


def flaps(flips: Sequence[Flip], decision: Decision) -> bool:
    """Whether the field is to be frozen instead of being written once more."""
    return flip_count(flips) > (MOST_REDOS if decision.conflict and decision.pushes else MOST_FLIPS)


def flip_count(flips: Sequence[Flip]) -> int:
    """How often a side set the field to a value again that the other side had changed in between."""
    count = 0
    for place, flip in enumerate(flips):
        earlier = [i for i in range(place) if (flips[i].side, flips[i].value) == (flip.side, flip.value)]
        count += any(flips[i].side != flip.side for i in range(earlier[-1], place)) if earlier else 0
    return count


def _last_of(flips: Sequence[Flip], side: Side) -> str | None:
    return next((flip.value for flip in reversed(flips) if flip.side == side), None)


def _hash(value: str | None) -> str:
    return hashlib.blake2b(repr(value).encode(errors="replace"), digest_size=8).hexdigest()
