"""Browsers that are logged in. A session ends when it was not used for a while, and at the latest at its end."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, joinedload

from portal_service.people.models import Contact, LoginSession, User
from portal_service.people.one_time import token_hash
from portal_service.people.tokens_models import ApiToken

CUSTOMER_IDLE, CUSTOMER_LONGEST = timedelta(days=14), timedelta(days=90)
STAFF_IDLE, STAFF_LONGEST = timedelta(minutes=30), timedelta(hours=12)
_SHOWN = 16
"""Characters of a token's hash that name a session on pages; they open nothing."""
_USER = joinedload(LoginSession.user)
_CONTACT = _USER.joinedload(User.contact)
_WHO_IT_IS = (_CONTACT.joinedload(Contact.grants), _CONTACT.joinedload(Contact.emails), _USER.joinedload(User.staff))
"""Every page asks for these, so they come in one statement."""


def start_session(
    session: Session,
    user: User,
    *,
    now: datetime,
    user_agent: str = "",
    address: str = "",
    method: str = "password",
) -> str:
    """Log a browser in; returns the token for its cookie. Only the token's hash is stored."""
    token = secrets.token_urlsafe(32)
    session.add(
        LoginSession(
            token_hash=token_hash(token),
            user=user,
            created_at=now,
            last_seen_at=now,
            expires_at=now + _idle(user),
            ends_at=now + longest(user),
            user_agent=user_agent[:500],
            address=address[:64],
            method=method,
        )
    )
    session.execute(delete(LoginSession).where(LoginSession.expires_at < now))
    session.flush()
    return token


def longest(user: User) -> timedelta:
    """How long a session can last however much it is used."""
    return STAFF_LONGEST if user.staff_id else CUSTOMER_LONGEST


def find_session(session: Session, token: str, *, now: datetime) -> LoginSession | None:
    """What a cookie's token stands for: None when unknown, ended, or of somebody who may no longer log in."""
    found = read_login(session, token_hash(token)) if token else None
    if found is None or found.expires_at <= now or (found.ends_at is not None and found.ends_at <= now):
        return None
    return found if may_log_in(found.user) else None


def read_login(session: Session, hashed: str) -> LoginSession | None:
    """The session of this hash, whether it is still good or not, with all that pages ask of who it is."""
    return session.get(LoginSession, hashed, options=_WHO_IT_IS)


def read_session(session: Session, token: str, *, now: datetime) -> User | None:
    """Who a cookie's token stands for."""
    found = find_session(session, token, now=now)
    return found.user if found else None


def may_log_in(user: User) -> bool:
    """Whether a log-in is approved and the person behind it still active."""
    person = user.staff or user.contact
    return user.state == "approved" and person is not None and person.active


def is_stale(login: LoginSession, *, now: datetime) -> bool:
    """Whether its use is worth writing down: not at every click."""
    return now - login.last_seen_at > _idle(login.user) / 30


def keep_alive(session: Session, login: LoginSession, *, now: datetime) -> None:
    """Move the end of a used session on, never beyond its longest."""
    ends_at = login.ends_at or login.expires_at
    session.execute(
        update(LoginSession)
        .where(LoginSession.token_hash == login.token_hash)
        .values(last_seen_at=now, expires_at=min(now + _idle(login.user), ends_at), ends_at=ends_at)
    )


def sessions_of(session: Session, user: User, *, now: datetime) -> Sequence[LoginSession]:
    """Where a user is logged in, the newest first."""
    query = select(LoginSession).where(LoginSession.user_id == user.id, LoginSession.expires_at > now)
    return session.scalars(query.order_by(LoginSession.last_seen_at.desc())).all()


def shown_id(login: LoginSession) -> str:
    """What names a session on pages."""
    return login.token_hash[:_SHOWN]


def end_session(session: Session, token: str) -> None:
    session.execute(delete(LoginSession).where(LoginSession.token_hash == token_hash(token)))


def end_one(session: Session, user: User, shown: str) -> None:
    """Log out one browser of a user; nothing happens for what is not his."""
    if len(shown) == _SHOWN:
        mine = LoginSession.user_id == user.id
        session.execute(delete(LoginSession).where(mine, LoginSession.token_hash.startswith(shown, autoescape=True)))


def end_all_sessions(session: Session, user: User, *, besides: LoginSession | None = None) -> None:
    """Log out every browser of a user, as after a change of the password; or every other one. All API tokens end."""
    session.execute(delete(ApiToken).where(ApiToken.user_id == user.id))
    query = delete(LoginSession).where(LoginSession.user_id == user.id)
    if besides is not None:
        query = query.where(LoginSession.token_hash != besides.token_hash)
    session.execute(query)


def _idle(user: User) -> timedelta:
    return STAFF_IDLE if user.staff_id else CUSTOMER_IDLE
