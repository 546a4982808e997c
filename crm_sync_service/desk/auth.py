"""Who may use the pages: passwords, log-ins that cannot be guessed at, and browsers that stay logged in."""

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.orm import Session, joinedload

from crm_sync_service.desk.models import LoginAttempt, LoginSession, User
from shared.ids import new_id

WINDOW = timedelta(minutes=15)
MOST_PER_NAME_AND_ADDRESS = 8
MOST_PER_ADDRESS = 40
MOST_PER_NAME = 50
"""From all addresses together: higher, as otherwise anybody could lock somebody out."""
IDLE = timedelta(hours=4)
LONGEST = timedelta(hours=14)
_NOTICED_EVERY = timedelta(minutes=5)

_hasher = PasswordHasher()


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A log-in that was counted and may now be decided."""

    name_key: str
    user_id: uuid.UUID | None
    password_hash: str
    too_many: bool = False
    """Too many failed ones: the password must not even be looked at."""


@cache
def nobodys_hash() -> str:
    """Verified where there is no such user, so that the time taken tells nobody which names exist."""
    return _hasher.hash(secrets.token_urlsafe())


def hash_password(password: str) -> str:
    return _hasher.hash(password)


def name_key(username: str) -> str:
    return username.strip().casefold()[:150]


def count_attempt(session: Session, username: str, *, address: str, now: datetime) -> Attempt:
    """Count it before the password is checked, so that guesses in parallel cannot slip past the limit."""
    key, address = name_key(username), address[:64]
    user = session.scalar(select(User).where(User.username_key == key, User.active, ~User.deleted))
    attempt = Attempt(
        name_key=key,
        user_id=user.id if user else None,
        password_hash=(user and user.password_hash) or "",
        too_many=_too_many(session, key, address, now=now),
    )
    if not attempt.too_many:
        session.add(LoginAttempt(id=new_id(), name_key=key, address=address, at=now))
    return attempt


def _too_many(session: Session, key: str, address: str, *, now: datetime) -> bool:
    name, here = LoginAttempt.name_key == key, LoginAttempt.address == address
    limits = {
        and_(name, here): MOST_PER_NAME_AND_ADDRESS,
        here: MOST_PER_ADDRESS,
        name: MOST_PER_NAME,
    }
    recent = select(*(func.count().filter(which) for which in limits)).where(LoginAttempt.at > now - WINDOW)
    counted = session.execute(recent).one()
    return any(number >= most for number, most in zip(counted, limits.values(), strict=True))


def password_fits(attempt: Attempt, password: str) -> bool:
    """Whether this is the password of an existing user. Slow on purpose; needs no transaction."""
    try:
        _hasher.verify(attempt.password_hash or nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return attempt.user_id is not None


def start_session(session: Session, attempt: Attempt, *, now: datetime) -> str:
    """Log in a browser whose password fitted; returns the token for its cookie."""
    assert attempt.user_id is not None
    session.execute(
        delete(LoginAttempt).where(or_(LoginAttempt.name_key == attempt.name_key, LoginAttempt.at < now - WINDOW))
    )
    session.execute(delete(LoginSession).where(LoginSession.created_at < now - LONGEST))
    token = secrets.token_urlsafe(32)
    session.add(LoginSession(token_hash=_hash(token), user_id=attempt.user_id, created_at=now, last_seen_at=now))
    return token


def find_session(session: Session, token: str, *, now: datetime) -> LoginSession | None:
    """The session a cookie names, with its user; None when it has ended or its user may no longer log in."""
    found = session.get(LoginSession, _hash(token), options=[joinedload(LoginSession.user)])
    if found is None or not found.user.active or found.user.deleted:
        return None
    ended = now - found.last_seen_at > IDLE or now - found.created_at > LONGEST
    return None if ended else found


def is_due(found: LoginSession, *, now: datetime) -> bool:
    """Whether it is time to note that the browser was seen; not every page needs a write."""
    return now - found.last_seen_at > _NOTICED_EVERY


def note_seen(session: Session, token: str, *, now: datetime) -> None:
    found = session.get(LoginSession, _hash(token))
    if found is not None:
        found.last_seen_at = now


def end_session(session: Session, token: str) -> None:
    session.execute(delete(LoginSession).where(LoginSession.token_hash == _hash(token)))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
