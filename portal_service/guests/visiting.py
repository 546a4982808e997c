"""Which tickets a browser without a log-in has keys for, and the refusal of all others (S06 - S08)."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from flask import Blueprint, abort, redirect, session, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from portal_service.guests import filing, keys
from portal_service.guests.models import GuestKey
from portal_service.messages import message
from portal_service.people import policy, throttle
from portal_service.people.entry import visitor_address
from portal_service.tickets.actor import Actor
from portal_service.tickets.models import Ticket
from portal_service.web.forms import Entered
from portal_service.web.visits import this_portal
from shared.clock import utc_now

guest_pages = Blueprint("guest", __name__, url_prefix="/guest")

MOST_GUESSES = 20
_MOST_KEYS = 20
_KEYS = "guest_keys"
NEW = "guest_new"
"""Where the browser's cookie keeps the number and the key that the next page shows."""

Action = Literal["view", "reply", "close", "reopen", "rate"]

WRONG_KEY = message("No ticket fits this number and key. Please check both; a replaced key no longer works.")


@dataclass(frozen=True)
class Opened:
    """A ticket that one of this browser's keys opens, within one transaction."""

    session: Session
    ticket: Ticket
    key: GuestKey

    @property
    def actor(self) -> Actor:
        assert self.ticket.contact is not None
        return filing.guest_actor(self.ticket.contact)


def let_in(number: int, key: str, form: Entered) -> bool:
    """Remember in this browser that the key opens the ticket; one refusal for wrong, old and foreign keys."""
    limits = [throttle.per_address("guest-key", visitor_address(), MOST_GUESSES)]
    with this_portal().database.write() as writing:
        if throttle.is_exceeded(writing, limits, now=utc_now()):
            form.refuse({"key": throttle.THROTTLED})
            return False
        found = keys.find_key(writing, number, key[:100])
        if found is None:
            throttle.count(writing, limits, now=utc_now())
            form.refuse({"key": WRONG_KEY})
            return False
        remember(found.id)
    return True


def remember(key_id: uuid.UUID) -> None:
    kept = [key for key in session.get(_KEYS, []) if key != key_id.hex]
    session[_KEYS] = [*kept, key_id.hex][-_MOST_KEYS:]


def find_opened(reading: Session, number: int, action: Action) -> Opened | None:
    held = [uuid.UUID(hex=key) for key in session.get(_KEYS, [])]
    found = keys.opened(reading, number, held)
    if found is None or found[1].contact is None or not policy.guest_can(found[0], action, found[1]):
        return None
    return Opened(reading, found[1], found[0])


@contextmanager
def changing(number: int, action: Action) -> Iterator[Opened]:
    """A transaction in which a guest changes his ticket; anything that is not his does not exist."""
    with this_portal().database.write() as writing:
        yield find_opened(writing, number, action) or abort(404)


def closed_page(number: int) -> ResponseReturnValue:
    """For whoever has no key in this browser: the page to enter one, whether the ticket exists or not."""
    return redirect(url_for("guest.look_up", number=number), 303)
