"""Log-ins by name and password, and their throttling (S03)."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.messages import message
from portal_service.people import passwords, throttle
from portal_service.people.models import User
from portal_service.people.sessions import may_log_in
from portal_service.people.throttle import THROTTLED, Limit, limit, per_address

_MOST_PER_NAME_AND_ADDRESS = 10
_MOST_PER_ADDRESS = 50
_MOST_PER_NAME = 50
"""From all addresses together: higher, as otherwise anybody could lock somebody out."""
_MOST_AGAIN = 10

WRONG = message("The user name or the password is wrong.")
WRONG_PASSWORD = message("The password is wrong.")
NOT_CONFIRMED = message("Please confirm your e-mail address first: the link is in the mail we sent you.")
NOT_APPROVED = message("Your registration has not been approved yet. You will get an e-mail when it is.")
NOT_ACCEPTED = message("Your registration was not approved. The reason is in the e-mail we sent you.")

_STATES = {"unconfirmed": NOT_CONFIRMED, "awaiting_approval": NOT_APPROVED, "rejected": NOT_ACCEPTED}


class LoginRefused(Exception):  # noqa: N818 (reads as what it says: the log-in is refused)
    """Nobody was logged in. One text for an unknown name and a wrong password."""

    def __init__(self, message_key: str) -> None:
        super().__init__(message_key)
        self.message_key = message_key


def verify_login(session: Session, username: str, password: str, *, address: str, now: datetime) -> User:
    """The user with this name and password. Raises LoginRefused.

    Catch it inside the transaction: the failure it counted has to be committed.
    """
    name_key = username_key(username)
    limits = (
        throttle.per_name_and_address(name_key, address, _MOST_PER_NAME_AND_ADDRESS),
        limit("name", name_key, _MOST_PER_NAME),
        per_address("address", address, _MOST_PER_ADDRESS),
    )
    if throttle.is_exceeded(session, limits, now=now):
        raise LoginRefused(THROTTLED)
    user = session.scalar(select(User).where(User.username_key == name_key))
    if not passwords.matches(user.password_hash if user else None, password) or user is None or _is_gone(user):
        throttle.count(session, limits, now=now)
        raise LoginRefused(WRONG)
    if user.state != "approved":
        raise LoginRefused(_STATES[user.state])
    throttle.forgive(session, limits[0])
    if passwords.needs_rehash(user.password_hash):
        user.password_hash = passwords.hash_password(password)
    return user


def verify_again(session: Session, user: User, password: str, *, now: datetime) -> None:
    """Ask somebody who is logged in for the password before something that matters. Raises LoginRefused.

    Catch it inside the transaction: the failure it counted has to be committed.
    """
    limits = (_again(user),)
    if throttle.is_exceeded(session, limits, now=now):
        raise LoginRefused(THROTTLED)
    if not passwords.matches(user.password_hash, password):
        throttle.count(session, limits, now=now)
        raise LoginRefused(WRONG_PASSWORD)


def username_key(username: str) -> str:
    return username.strip().casefold()


def forgive_name(session: Session, user: User) -> None:
    """Forget the failures of somebody who has a new password."""
    throttle.forgive(session, _again(user))
    throttle.forgive_name(session, user.username_key)


def _again(user: User) -> Limit:
    return limit("again", str(user.id), _MOST_AGAIN)


def _is_gone(user: User) -> bool:
    """Approved, but the person is no longer active."""
    return user.state == "approved" and not may_log_in(user)
