"""Log-in to the console: argon2, sessions kept on the server, guessing slowed down in the database."""

import hashlib
import secrets
from datetime import datetime, timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from crm_sync_service.console.models import ConsoleAttempt, ConsoleSession, ConsoleUser

LIFETIME = timedelta(hours=12)
IDLE_LIFETIME = timedelta(hours=2)
WINDOW = timedelta(minutes=15)
MOST_PER_NAME_AND_ADDRESS = 5
MOST_PER_ADDRESS = 20
MOST_PER_NAME = 50
"""From all addresses together: higher, as otherwise anybody could lock somebody out."""
MIN_PASSWORD_LENGTH = 12
_SEEN_EVERY = timedelta(minutes=1)

_hasher = PasswordHasher()


class PasswordError(ValueError):
    """A password that is too weak; the text says what would do."""


@cache
def nobodys_hash() -> str:
    """Verified when there is no such user, so that the time an answer takes tells nothing. Made when first needed."""
    return _hasher.hash(secrets.token_hex())


def add_user(session: Session, username: str, password: str, *, name: str, role: str) -> ConsoleUser:
    """Raises PasswordError."""
    user = ConsoleUser(
        username=username, username_key=_name_key(username), name=name, password_hash=new_hash(password), role=role
    )
    session.add(user)
    session.flush()
    return user


def new_hash(password: str) -> str:
    """Raises PasswordError."""
    if len(password) < MIN_PASSWORD_LENGTH:
        raise PasswordError(f"The password is too short: give at least {MIN_PASSWORD_LENGTH} characters.")
    return _hasher.hash(password)


def end_all(session: Session, user: ConsoleUser) -> None:
    """Log a person out of every browser."""
    session.execute(delete(ConsoleSession).where(ConsoleSession.user_id == user.id))


def find_user(session: Session, username: str) -> ConsoleUser | None:
    return session.scalars(select(ConsoleUser).where(ConsoleUser.username_key == _name_key(username))).first()


def count_attempt(session: Session, username: str, *, address: str, now: datetime) -> bool:
    """Count a log-in before it is tried; False when there were too many and it must not be tried.

    Counting first keeps parallel guesses within the limit.
    """
    limits = {
        _attempt_key(username, address): MOST_PER_NAME_AND_ADDRESS,
        f"address:{address}"[:200]: MOST_PER_ADDRESS,
        f"name:{_name_key(username)}": MOST_PER_NAME,
    }
    session.execute(delete(ConsoleAttempt).where(ConsoleAttempt.at < now - WINDOW))
    session.add_all([ConsoleAttempt(key=key, at=now) for key in limits])
    session.flush()
    rows = session.execute(
        select(ConsoleAttempt.key, func.count()).where(ConsoleAttempt.key.in_(limits)).group_by(ConsoleAttempt.key)
    )
    counted = dict(rows.all())
    return all(counted[key] <= most for key, most in limits.items())


def password_fits(user: ConsoleUser | None, password: str) -> bool:
    """Whether this is the user's password; takes as long when there is no user. Needs no transaction."""
    try:
        return _hasher.verify(user.password_hash if user else nobodys_hash(), password) and user is not None
    except VerificationError:
        return False


def start_session(session: Session, user: ConsoleUser, *, address: str, now: datetime) -> str:
    """Log a browser in and forget the failed attempts; returns the token for its cookie."""
    token = secrets.token_urlsafe(32)
    session.execute(delete(ConsoleAttempt).where(ConsoleAttempt.key == _attempt_key(user.username, address)))
    session.execute(delete(ConsoleSession).where(ConsoleSession.expires_at < now))
    session.add(
        ConsoleSession(
            token_hash=_token_hash(token), user_id=user.id, created_at=now, seen_at=now, expires_at=now + LIFETIME
        )
    )
    return token


def read_session(session: Session, token: str, *, now: datetime) -> ConsoleSession | None:
    """The log-in a token stands for, unless it has ended."""
    return session.scalars(
        select(ConsoleSession).where(
            ConsoleSession.token_hash == _token_hash(token),
            ConsoleSession.expires_at > now,
            ConsoleSession.seen_at > now - IDLE_LIFETIME,
        )
    ).first()


def should_note_use(found: ConsoleSession, *, now: datetime) -> bool:
    """Whether `note_use` is worth a write."""
    return now - found.seen_at >= _SEEN_EVERY


def note_use(session: Session, token: str, *, now: datetime) -> None:
    found = session.get(ConsoleSession, _token_hash(token))
    if found is not None:
        found.seen_at = now


def end_session(session: Session, token: str, *, now: datetime) -> None:
    """Log a browser out, and clear away sessions that ended by themselves."""
    session.execute(
        delete(ConsoleSession).where(
            or_(ConsoleSession.token_hash == _token_hash(token), ConsoleSession.expires_at < now)
        )
    )


def _name_key(username: str) -> str:
    return username.strip().casefold()[:150]


def _attempt_key(username: str, address: str) -> str:
    return f"both:{_name_key(username)}@{address}"[:200]


def _token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
