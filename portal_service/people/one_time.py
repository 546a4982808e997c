"""Tokens that work once and not for long: in links of mails, as challenges, between two steps of a log-in."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, delete, select
from sqlalchemy.orm import Session

from portal_service.people.credentials import OneTimeToken
from portal_service.people.models import User


def issue(
    session: Session,
    purpose: str,
    *,
    lifetime: timedelta,
    now: datetime,
    user: User | None = None,
    data: Mapping[str, Any] | None = None,
    token: str | None = None,
) -> str:
    """A new token, or `token` made elsewhere; the caller hands it out, only its hash is stored."""
    token = token or secrets.token_urlsafe(32)
    session.add(
        OneTimeToken(
            token_hash=token_hash(token),
            purpose=purpose,
            user_id=user.id if user else None,
            data=dict(data or {}),
            created_at=now,
            expires_at=now + lifetime,
        )
    )
    session.flush()
    return token


def look_up(session: Session, purpose: str, token: str, *, now: datetime) -> OneTimeToken | None:
    """What a token stands for, without using it up; None when unknown, used, too old or for another purpose."""
    return session.scalar(
        select(OneTimeToken).where(
            OneTimeToken.token_hash == token_hash(token),
            OneTimeToken.purpose == purpose,
            OneTimeToken.expires_at > now,
        )
    )


def spend(session: Session, purpose: str, token: str, *, now: datetime) -> OneTimeToken | None:
    """What a token stands for, for the one caller who is first; None for every other."""
    found = look_up(session, purpose, token, now=now)
    if found is None:
        return None
    session.expunge(found)
    done = session.execute(delete(OneTimeToken).where(OneTimeToken.token_hash == found.token_hash))
    assert isinstance(done, CursorResult)
    return found if done.rowcount == 1 else None


def revoke_all(session: Session, user: User) -> None:
    """End every token of a user: links in mails, and log-ins that have got half way with the old password."""
    session.execute(delete(OneTimeToken).where(OneTimeToken.user_id == user.id))


def forget_expired(session: Session, *, now: datetime) -> None:
    session.execute(delete(OneTimeToken).where(OneTimeToken.expires_at <= now))


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
