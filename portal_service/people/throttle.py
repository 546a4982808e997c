"""Slows down guessing: whoever fails too often has to wait. Counted in the database, so a restart forgets nothing."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from portal_service.messages import message
from portal_service.people.models import LoginFailure

_WINDOW = timedelta(minutes=15)

THROTTLED = message("Too many attempts. Please wait 15 minutes and try again.")


@dataclass(frozen=True)
class Limit:
    """At most `most` counted attempts of `key` within 15 minutes."""

    key: str
    most: int


def limit(kind: str, value: str, most: int) -> Limit:
    return Limit(f"{kind}:{value}"[:200], most)


def per_address(kind: str, address: str, most: int) -> Limit:
    """A limit for everybody behind one address; the holder of an IPv6 network cannot multiply himself."""
    return limit(f"{kind}@", _network(address), most)


def per_name_and_address(name: str, address: str, most: int) -> Limit:
    """A limit for guessing one name's password from one address; others may still log in under that name."""
    return limit("name-from", f"{name[:100]}\t{_network(address)}", most)


def is_exceeded(session: Session, limits: Iterable[Limit], *, now: datetime) -> bool:
    return any(_counted(session, one.key, now=now) >= one.most for one in limits)


def count(session: Session, limits: Iterable[Limit], *, now: datetime) -> None:
    """Count one attempt. The caller's transaction has to be committed, whatever became of the attempt."""
    session.add_all(LoginFailure(key=one.key, at=now) for one in limits)
    session.flush()


def forgive(session: Session, one: Limit) -> None:
    """Start over for a key whose owner has shown that it is his."""
    session.execute(delete(LoginFailure).where(LoginFailure.key == one.key))


def forgive_name(session: Session, name: str) -> None:
    """Start over for a name, from wherever it was tried."""
    forgive(session, limit("name", name, 0))
    from_anywhere = LoginFailure.key.startswith(limit("name-from", f"{name[:100]}\t", 0).key, autoescape=True)
    session.execute(delete(LoginFailure).where(from_anywhere))


def forget(session: Session, *, now: datetime) -> None:
    """Delete what no longer counts."""
    session.execute(delete(LoginFailure).where(LoginFailure.at < now - _WINDOW))


def _counted(session: Session, key: str, *, now: datetime) -> int:
    query = select(func.count()).where(LoginFailure.key == key, LoginFailure.at > now - _WINDOW)
    return session.scalar(query) or 0


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:150]
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)
