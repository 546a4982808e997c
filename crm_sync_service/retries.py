"""What to do after a failure: one table for all of them. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    AmbiguousError,
    CrmError,
    InvalidError,
    RateLimitedError,
    StaleError,
    UnauthorisedError,
    UnreachableError,
)
from shared.retry import backoff_delay

MAX_ATTEMPTS = 8
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
"""Seconds between two attempts of one ticket."""

Action = Literal["again", "later", "wait", "all_wait", "person", "final"]
"""What happens to the ticket:

again: tried again at once; what was read before is old.
later: tried again after a pause that grows.
wait: it rests until a moment that is known, and no attempt is counted.
all_wait: the whole CRM rests, until the moment it named or until it answers; no ticket is to blame.
person: nobody knows what is right; parked until somebody decides.
final: the CRM will never take this; parked, with its words.
"""


class HoldError(CrmError):
    """Not asked at all: there is a known moment before which it makes no sense."""

    def __init__(self, words: str, *, until: datetime) -> None:
        super().__init__(words)
        self.until = until


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to do, and when to try again if that is known."""

    action: Action
    at: datetime | None = None


def classify(error: Exception, *, attempts: int, now: datetime) -> Verdict:
    """Sort a failure of a ticket's run. `attempts`: failed runs before this one."""
    match error:
        case HoldError():
            verdict = Verdict(action="wait", at=error.until)
        case RateLimitedError():
            verdict = Verdict(action="all_wait", at=now + error.retry_after)
        case UnauthorisedError() | UnreachableError():
            verdict = Verdict(action="all_wait")
        case InvalidError():
            verdict = Verdict(action="final")
        case AmbiguousError():
            verdict = Verdict(action="person")
        case _:
            verdict = _of_this_ticket(error, attempts)
    return verdict


def _of_this_ticket(error: Exception, attempts: int) -> Verdict:
    if attempts + 1 >= MAX_ATTEMPTS:
        return Verdict(action="person")
    if isinstance(error, StaleError | AlreadyExistsError) and attempts == 0:
        return Verdict(action="again")
    return Verdict(action="later")


def pause_after(attempts: int, *, chance: float) -> timedelta:
    """Before the next attempt, after `attempts` failed ones and the one that just failed; `chance`, 0 to 1, spreads."""
    return timedelta(seconds=backoff_delay(attempts + 1, chance=chance, first=FIRST_PAUSE, most=LONGEST_PAUSE))
