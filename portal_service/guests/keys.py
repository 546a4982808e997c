"""Access keys: long, random, readable aloud; hashed at rest (SPEC section 2)."""

import hashlib
import secrets
import uuid
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from portal_service import site
from portal_service.guests.models import GuestKey
from portal_service.tickets.models import Ticket

# Crockford's: without the letters that look like digits.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH, _GROUP = 20, 5
_MISREAD = str.maketrans("ILO", "110")
GUEST_REF = "guest:"
"""Begins the `external_ref` of every guest's ticket."""


def is_guest_ticket(ticket: Ticket) -> bool:
    return (ticket.external_ref or "").startswith(GUEST_REF)


def issue_key(session: Session, ticket: Ticket, *, mailed: bool, now: datetime) -> str:
    """A new key for a ticket, in groups as people read it."""
    plain = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    session.add(GuestKey(ticket_id=ticket.id, key_hash=_hash(plain), mailed=mailed, created_at=now))
    session.flush()
    return "-".join(plain[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))


def find_key(session: Session, number: int, key: str) -> GuestKey | None:
    """The key somebody typed, if it opens the ticket of this number; None for wrong, old and foreign ones alike."""
    return session.scalar(_opening(number).where(GuestKey.key_hash == _hash(_plain(key))))


def opened(session: Session, number: int, key_ids: Collection[uuid.UUID]) -> tuple[GuestKey, Ticket] | None:
    """The ticket of this number, and which of a browser's keys opens it; one that was mailed counts more."""
    keys = _opening(number).where(GuestKey.id.in_(key_ids)).order_by(GuestKey.mailed.desc())
    key = session.scalars(keys.limit(1)).first()
    ticket = session.scalar(select(Ticket).where(Ticket.number == number)) if key else None
    return (key, ticket) if key is not None and ticket is not None else None


def revoke_keys(session: Session, ticket: Ticket, *, now: datetime, unmailed_only: bool = False) -> None:
    """End every key given out for a ticket, or those that prove no address."""
    query = update(GuestKey).where(GuestKey.ticket_id == ticket.id, GuestKey.revoked_at.is_(None))
    if unmailed_only:
        query = query.where(GuestKey.mailed.is_(False))
    session.execute(query.values(revoked_at=now))


def direct_link(number: int, key: str) -> str:
    """The address that opens a ticket with its key."""
    return f"{site.current().portal_url}/guest/open/{number}/{key}"


def _opening(number: int) -> Select[GuestKey]:
    return (
        select(GuestKey)
        .join(Ticket, Ticket.id == GuestKey.ticket_id)
        .where(Ticket.number == number, Ticket.deleted_at.is_(None), GuestKey.revoked_at.is_(None))
    )


def _plain(key: str) -> str:
    """A key as it was made, however it was typed."""
    return "".join(key.upper().translate(_MISREAD).replace("-", " ").split())


def _hash(plain: str) -> str:
    return hashlib.sha256(f"guest-key:{plain}".encode(errors="replace")).hexdigest()
