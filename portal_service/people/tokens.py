"""Tokens for programs: made, found, counted, revoked. A token may do what its scopes say and its owner may."""

import math
import secrets
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, delete, select, update
from sqlalchemy.orm import Session, joinedload

from portal_service.guests.models import GuestKey
from portal_service.messages import message
from portal_service.people.models import User
from portal_service.people.one_time import token_hash
from portal_service.people.sessions import may_log_in
from portal_service.people.tokens_models import ApiToken
from portal_service.tickets.errors import UNKNOWN, Invalid
from portal_service.tickets.text import REQUIRED, clean_line

READ, WRITE, STAFF = "read", "write", "staff"
SCOPES = (READ, WRITE, STAFF)
DAYS, MOST_DAYS = 90, 365
MAX_NAME = 100
_MOST_TOKENS = 50
_GUEST_LIFETIME = timedelta(hours=12)
_WINDOW = timedelta(minutes=1)
_PREFIX = "cbt_"

NAME_TOO_LONG = message("Please use at most 100 characters.")
TOO_MANY = message("You have 50 tokens already. Please revoke one first.")
BAD_DAYS = message("Please give a number of days from 1 to 365.")


@dataclass(frozen=True)
class Usage:
    """Where a token stands within its present minute."""

    limit: int
    used: int
    reset_seconds: int

    @property
    def left(self) -> int:
        return max(self.limit - self.used, 0)

    @property
    def exceeded(self) -> bool:
        return self.used > self.limit


def scopes_for(user: User) -> tuple[str, ...]:
    """What a person can give a program."""
    return SCOPES if user.staff_id is not None else (READ, WRITE)


def issue(
    session: Session, user: User, *, name: str, scopes: Collection[str], days: int = DAYS, now: datetime
) -> tuple[ApiToken, str]:
    """A new token and its plain text, which is handed out once. Raises Invalid."""
    name = clean_line(name)
    errors = _errors(session, user, name, scopes, days, now=now)
    if errors:
        raise Invalid(errors)
    token = ApiToken(user=user, name=name, scopes=[one for one in SCOPES if one in scopes])
    return _stored(session, token, lifetime=timedelta(days=days), now=now)


def issue_for_guest(session: Session, key: GuestKey, *, now: datetime) -> tuple[ApiToken, str]:
    """A token for the one ticket of a key; it ends with the key."""
    token = ApiToken(guest_key_id=key.id, name="guest", scopes=[READ, WRITE])
    return _stored(session, token, lifetime=_GUEST_LIFETIME, now=now)


def find(session: Session, plain: str, *, now: datetime) -> ApiToken | None:
    """What a token stands for; None when unknown, expired, or of somebody who may no longer log in."""
    query = select(ApiToken).where(ApiToken.token_hash == token_hash(plain), ApiToken.expires_at > now)
    found = session.scalar(query.options(joinedload(ApiToken.user), joinedload(ApiToken.guest_key)))
    if found is None:
        return None
    if found.user is not None:
        return found if may_log_in(found.user) else None
    return found if found.guest_key is not None and found.guest_key.revoked_at is None else None


def tokens_of(session: Session, user: User, *, now: datetime) -> Sequence[ApiToken]:
    """A person's tokens that work, the newest first."""
    query = select(ApiToken).where(ApiToken.user_id == user.id, ApiToken.expires_at > now)
    return session.scalars(query.order_by(ApiToken.created_at.desc(), ApiToken.id)).all()


def revoke(session: Session, user: User, token_id: uuid.UUID) -> bool:
    """End one token of a person; False when there is none."""
    found = session.get(ApiToken, token_id)
    if found is None or found.user_id != user.id:
        return False
    session.delete(found)
    session.flush()
    return True


def revoke_all(session: Session, user: User) -> None:
    session.execute(delete(ApiToken).where(ApiToken.user_id == user.id))


def count_use(session: Session, token_id: uuid.UUID, *, limit: int, now: datetime) -> Usage:
    """Count one call in the present minute."""
    window = now.replace(second=0, microsecond=0)
    counted = case((ApiToken.window_at == window, ApiToken.window_count + 1), else_=1)
    session.execute(
        update(ApiToken)
        .where(ApiToken.id == token_id)
        .values(window_count=counted, window_at=window, last_used_at=now)
        .execution_options(synchronize_session=False)
    )
    used = session.scalar(select(ApiToken.window_count).where(ApiToken.id == token_id)) or 0
    return Usage(limit, used, math.ceil((window + _WINDOW - now).total_seconds()))


def forget_expired(session: Session, *, now: datetime) -> None:
    session.execute(delete(ApiToken).where(ApiToken.expires_at <= now))


def _errors(
    session: Session, user: User, name: str, scopes: Collection[str], days: int, *, now: datetime
) -> dict[str, str]:
    found = {}
    if not name or len(name) > MAX_NAME:
        found["name"] = NAME_TOO_LONG if name else REQUIRED
    if not scopes or not set(scopes) <= set(scopes_for(user)):
        found["scopes"] = UNKNOWN if scopes else REQUIRED
    if not 1 <= days <= MOST_DAYS:
        found["days"] = BAD_DAYS
    if len(tokens_of(session, user, now=now)) >= _MOST_TOKENS:
        found[""] = TOO_MANY
    return found


def _stored(session: Session, token: ApiToken, *, lifetime: timedelta, now: datetime) -> tuple[ApiToken, str]:
    plain = _PREFIX + secrets.token_urlsafe(32)
    token.token_hash = token_hash(plain)
    token.created_at = now
    token.expires_at = now + lifetime
    session.add(token)
    session.flush()
    return token, plain
